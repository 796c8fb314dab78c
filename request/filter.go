package request

import (
	"slices"
	"strings"
	"time"

	"github.com/hookstream/hookstream/history/query"
)

// Language is what requests can be searched by.
var Language = query.Language{Keys: []query.Key{
	{Name: "source"},
	{Name: "cause", Aliases: []string{"result"}, Kind: query.Word, Values: causes()},
	{Name: "reason"},
	{Name: "remote", Aliases: []string{"address", "remote_address"}},
	{Name: "method"},
	{Name: "id", Aliases: []string{"name", "event"}},
	{Name: "sha256"},
	{Name: "promoted", Kind: query.Word, Values: []string{"yes", "no"}},
	{Name: "after", Aliases: []string{"since"}, Kind: query.Time},
	{Name: "before", Aliases: []string{"until"}, Kind: query.Time},
	{Name: "time", Aliases: []string{"last_receive_time", "receive_time"}, Kind: query.Time},
}}

func causes() (words []string) {
	for _, c := range Causes() {
		words = append(words, string(c))
	}
	return words
}

// Filter is a question.
type Filter struct{ *query.Query }

// ParseFilter reads a line of Language. What it says of time is relative to now. The error
// is a *query.Error.
func ParseFilter(line string, now time.Time) (Filter, error) {
	q, err := Language.Parse(line, now)
	return Filter{q}, err
}

// Match reports whether a request is as asked.
func (q Filter) Match(r *Request) bool {
	if !q.After.IsZero() && r.LastTime.Before(q.After) || !q.Before.IsZero() && !r.LastTime.Before(q.Before) {
		return false
	}
	for _, t := range q.Terms {
		if slices.ContainsFunc(valuesOf(t.Key, r), t.Match) == t.Not {
			return false
		}
	}
	return true
}

// valuesOf are what a request has for a key, under each of its names.
func valuesOf(key string, r *Request) []string {
	switch key {
	case "source":
		if r.Source == Nowhere {
			return []string{""}
		}
		return []string{r.Source, "sources/" + r.Source}
	case "cause":
		return []string{string(r.Cause)}
	case "reason":
		return []string{r.Reason}
	case "remote":
		if !r.Remote.IsValid() {
			return []string{""}
		}
		return []string{r.Remote.String()}
	case "method":
		return []string{r.Method}
	case "id":
		return []string{r.ID, "requests/" + r.ID, r.Event, strings.TrimPrefix(r.Event, "events/")}
	case "sha256":
		return []string{r.SHA256}
	case "promoted":
		if r.PromoteTime.IsZero() {
			return []string{"no"}
		}
		return []string{"yes"}
	}
	return nil
}

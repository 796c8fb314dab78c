package main

import (
	"maps"
	"regexp"
	"strings"
)

// varying is what is another each time in what a page shows: how it looks on the
// page, with the part in a group, and what may stand in its place. Where a part is
// learnt, the same text on the page is the same text in truth, in commands too.
var varying = []struct {
	page, actual string
	learnt       bool
}{
	{`/([a-z2-7]{26})\b`, `[a-z2-7]{26}`, true},            // the end of an ingress path
	{`events/(\w{7}-\d+)`, `\w{7}-\d+`, true},              //
	{`requests/([0-9a-f]{16})`, `[0-9a-f]{16}`, true},      //
	{`\b(A[\w-]{29})\b`, `A[\w-]{29}`, true},               // a cursor
	{`"streamId": ?"(\w{16})"`, `\w{16}`, false},           //
	{`200 [\w.]+ ([0-9a-f-]{36})`, `[0-9a-f-]{36}`, false}, // the id of what trigger sends
	{`(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)`, `[\d-]{10}T[\d:.]{8,18}Z`, false},
	{`\b(\d\d:\d\d:\d\d\.\d{3})\b`, `\d\d:\d\d:\d\d\.\d{3}`, false},
	{`(\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT)`, `\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT`, false},
	{` in ([\dms.]+):`, `[\dms.]+`, false},
	{`(127\.0\.0\.1:\d+)`, `127\.0\.0\.1:\d+`, false},
	{`(?m:^(…)$)`, `(?s:.*?)`, false}, // some lines
	{`(…)`, `.*`, false},
}

// A reading is what a page's texts are in this run of it.
type reading struct {
	version string
	same    map[string]string // on the page, and in truth
}

// actual is a text of the page as it is in truth.
func (r *reading) actual(text string) string {
	var pairs []string
	for page, actual := range r.same {
		pairs = append(pairs, page, actual)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// match answers how much of what is shown the page's text and what is before it are,
// and learns from it; -1 when the text is not there.
func (r *reading) match(page, shown string) int {
	parts := make([]string, 0, len(varying)+1)
	for _, v := range varying {
		parts = append(parts, v.page)
	}
	parts = append(parts, "("+regexp.QuoteMeta(r.version)+")\\b")
	var re strings.Builder
	re.WriteString("(?m:^)")
	var learnt []string // by the groups of re
	at := 0
	for _, m := range regexp.MustCompile(strings.Join(parts, "|")).FindAllStringSubmatchIndex(page, -1) {
		kind := 0
		for m[2*kind+2] < 0 {
			kind++
		}
		from, to := m[2*kind+2], m[2*kind+3]
		part := page[from:to]
		re.WriteString(r.literal(page[at:from]))
		at = to
		switch _, known := r.same[part]; {
		case kind == len(varying): // any build of it
			re.WriteString(regexp.QuoteMeta(part) + `(?:\+[0-9a-f]{12})?(?:\.dirty)?`)
		case known:
			re.WriteString(r.literal(part))
		case varying[kind].learnt:
			learnt = append(learnt, part)
			re.WriteString("(" + varying[kind].actual + ")")
		default:
			re.WriteString(varying[kind].actual)
		}
	}
	re.WriteString(r.literal(page[at:]))
	found := regexp.MustCompile(re.String()).FindStringSubmatchIndex(shown)
	if found == nil {
		return -1
	}
	same := maps.Clone(r.same)
	for i, part := range learnt {
		is := shown[found[2*i+2]:found[2*i+3]]
		if was, known := same[part]; known && was != is {
			return -1
		}
		same[part] = is
	}
	r.same = same
	return found[1]
}

// literal matches a text. Each build of a program has spaces of its own in what is
// JSON of Protobuf.
func (r *reading) literal(text string) string {
	return loose.Replace(regexp.QuoteMeta(r.actual(text)))
}

var loose = strings.NewReplacer(`": `, `": *`, `":`, `": *`, `, "`, `, *"`, `,"`, `, *"`, `, \{`, `, *\{`, `,\{`, `, *\{`)

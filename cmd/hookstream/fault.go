package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A hintError carries what may help beside what is wrong.
type hintError struct {
	error
	hint string
}

func (e hintError) Unwrap() error { return e.error }

// Hint answers it, as provider.Advice does.
func (e hintError) Hint() string { return e.hint }

// hinted adds a hint for people to err.
func hinted(err error, format string, args ...any) error {
	return hintError{err, fmt.Sprintf(format, args...)}
}

// A usageError is the fault of the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usage makes err a fault of the command line, pointing to the help of the
// command that was meant.
func usage(err error) error {
	help := "hookstream --help"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		help = helpOf(parse.Context)
	}
	return usageError{hinted(err, "%s shows what there is", help)}
}

// helpOf names the help of the innermost command that was recognised. Help on a
// group that lacks its subcommand lists the subcommands.
func helpOf(c *kong.Context) string {
	words := []string{"hookstream"}
	for _, path := range c.Path {
		if path.Command != nil {
			words = append(words, path.Command.Name)
		}
	}
	return strings.Join(append(words, "--help"), " ")
}

// misused is a fault of the command line that kong could not see.
func misused(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// explain says what is wrong and, if something can be done, a hint.
func explain(err error) (what, hint string) {
	var h interface {
		error
		Hint() string
	}
	if errors.As(err, &h) {
		hint = h.Hint()
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted", hint
	}
	if all := joined(err); len(all) > 1 {
		return explainAll(all, hint)
	}
	if st, ok := statusOf(err); ok {
		what, h := explainStatus(st)
		if hint == "" {
			hint = h
		}
		return what, hint
	}
	return err.Error(), hint
}

// statusOf answers the status that a gateway refused with, whatever was wrapped
// around it since. status.FromError would put the wrapping into its message.
func statusOf(err error) (*status.Status, bool) {
	var refused interface {
		error
		GRPCStatus() *status.Status
	}
	if !errors.As(err, &refused) {
		return nil, false
	}
	return refused.GRPCStatus(), true
}

// joined answers the errors of which err is made, one below the other.
func joined(err error) []error {
	many, ok := err.(interface{ Unwrap() []error }) // this error, not one that it wraps
	if !ok || errors.Join(many.Unwrap()...).Error() != err.Error() {
		return nil
	}
	return many.Unwrap()
}

// explainAll says of each error what is wrong, and the first hint there is.
func explainAll(all []error, hint string) (string, string) {
	lines := make([]string, len(all))
	for i, err := range all {
		what, h := explain(err)
		lines[i] = what
		if hint == "" {
			hint = h
		}
	}
	return strings.Join(lines, "\n"), hint
}

// explainStatus shows a gateway's refusal with every field it complains about.
func explainStatus(st *status.Status) (what, hint string) {
	what = st.Message()
	if what == "" {
		what = strings.ToLower(st.Code().String())
	}
	if lines := violations(st); len(lines) > 1 || len(lines) == 1 && !strings.Contains(what, lines[0]) {
		what = "the gateway refused the request:\n  " + strings.Join(lines, "\n  ")
	}
	if why := reason(st); why != "" { // a gateway said it: it is there
		return what, reasonHints[why]
	}
	return what, codeHints[st.Code()]
}

// reasonHints say what can be done about the reasons of hookstream.dev.
var reasonHints = map[string]string{
	"CURSOR_EXPIRED":            "--on-expired skip goes on with the oldest event that is left; the lost ones are gone",
	"CURSOR_UNKNOWN":            "start anew with --from earliest and another --cursor-file, if this gateway is the right one",
	"CURSOR_INVALID":            "give a cursor as `tail --output json` prints it",
	"FILTER_INVALID":            `a filter is a CEL expression over "event" such as: event.type.endsWith(".done")`,
	"SENSITIVE_FIELDS_WITHHELD": "`hookstream sources update SOURCE --include-sensitive-fields` allows it, to everybody who may subscribe",
	"SOURCE_DIFFERS":            "`hookstream sources get` shows it; `hookstream sources update` and `rotate-secret` change it",
	"RESOURCE_EXISTS":           "`hookstream sources update` changes a source that exists",
	"ETAG_MISMATCH":             "somebody changed it meanwhile: look at it again, then repeat",
	"NOT_SUPPORTED_BY_PROVIDER": "only the sender can make its tokens; `hookstream simulate` plays it on this machine",
	"CONSUMER_UNRESPONSIVE":     "acknowledge what comes in time, or raise --ack-deadline of the subscription or --peer-timeout of the gateway",
	"STORE_FULL":                "it goes on when there is room: see the gateway's log, its disk, or the limits of its NATS cluster",
	"STORE_UNAVAILABLE":         "it goes on by itself when that passes: see the gateway's log, and /readyz",
	"DRAINING":                  "connect again: to another gateway, or to this one when it is back",
	"TOO_MANY_STREAMS":          "end other streams, or raise --max-streams of the gateway",
}

var codeHints = map[codes.Code]string{
	codes.Unavailable:   "is the gateway running, and is --server its gRPC address? `hookstream serve` starts one",
	codes.Unimplemented: "the server is not this version of Hookstream, or --server is not its gRPC address",
}

// reason answers the reason of an error of hookstream.dev.
func reason(st *status.Status) string {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == "hookstream.dev" {
			return info.GetReason()
		}
	}
	return ""
}

// violations lists what is wrong with which field.
func violations(st *status.Status) []string {
	var lines []string
	for _, detail := range st.Details() {
		bad, ok := detail.(*errdetails.BadRequest)
		if !ok {
			continue
		}
		for _, v := range bad.GetFieldViolations() {
			lines = append(lines, v.GetField()+": "+inWords(v))
		}
	}
	return lines
}

// inWords says what is wrong with a field. An expression that an id would have to
// match is no help to those who type ids.
func inWords(v *errdetails.BadRequest_FieldViolation) string {
	if !strings.Contains(v.GetDescription(), "regex pattern") {
		return v.GetDescription()
	}
	switch field := v.GetField(); {
	case strings.HasSuffix(field, "_id"):
		return "an id has 1 to 63 lower-case letters, digits and hyphens; it begins with a letter and does not end with a hyphen"
	case strings.HasPrefix(field, "names["):
		return "no such name can exist: ids are as `parked list` prints them"
	case field == "name" || strings.HasSuffix(field, ".name") || field == "subscription":
		return "no such name can exist: an id has lower-case letters, digits and hyphens, as in sources/billing, subscriptions/crm or events/h2k4q7a-12"
	}
	return v.GetDescription()
}

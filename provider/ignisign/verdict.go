package ignisign

import (
	"net/http"

	"github.com/tidwall/gjson"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/lenient"
)

// Reasons of verdicts that are not Genuine.
const (
	// Rejected: Ignisign does not vouch for the request.

	// ReasonTokenMissing: the request has no envelope with a token.
	ReasonTokenMissing = "token_missing"
	// ReasonTokenAlreadyConsumed: the token was spent by an earlier check.
	ReasonTokenAlreadyConsumed = "token_already_consumed"
	// ReasonTokenNotFound: Ignisign knows no such token.
	ReasonTokenNotFound = "token_not_found"
	// ReasonTokenExpired: the token was not checked in time.
	ReasonTokenExpired = "token_expired"
	// ReasonTokenWrongPurpose: the token was not made for a webhook.
	ReasonTokenWrongPurpose = "token_wrong_purpose"
	// ReasonTokenWrongApp: the token belongs to another application or object.
	ReasonTokenWrongApp = "token_wrong_app"
	// ReasonTokenInvalid: Ignisign says no more than no.
	ReasonTokenInvalid = "token_invalid"
	// ReasonContentMismatch: the token is good, but was made for an event that
	// differs from the body.
	ReasonContentMismatch = "content_mismatch"

	// Undecided: no verdict was to be had.

	// ReasonCredentialsRefused: Ignisign refuses our API key.
	ReasonCredentialsRefused = "credentials_refused"
	// ReasonRateLimited: Ignisign asks us to slow down.
	ReasonRateLimited = "rate_limited"
	// ReasonAPIUnavailable: no answer, or one that says that Ignisign is in
	// trouble.
	ReasonAPIUnavailable = "api_unavailable"
	// ReasonQuestionRefused: Ignisign does not take the question, for a reason
	// that says nothing about the token.
	ReasonQuestionRefused = "question_refused"
	// ReasonAnswerUnreadable: the answer is not one that we understand.
	ReasonAnswerUnreadable = "answer_unreadable"
)

func vouchedFor() provider.Verdict {
	return provider.Verdict{Outcome: provider.Genuine, Method: Method, Coverage: hookstreamv1.Verification_COVERAGE_TOKEN}
}

func rejected(reason string) provider.Verdict {
	v := provider.Verdict{Outcome: provider.Rejected, Method: Method, Reason: reason}
	if reason == ReasonTokenAlreadyConsumed {
		v.AlreadySpent, v.Coverage = true, hookstreamv1.Verification_COVERAGE_TOKEN
	}
	return v
}

func undecided(reason string) provider.Verdict {
	return provider.Verdict{Outcome: provider.Undecided, Method: Method, Reason: reason}
}

// judge reads the answer to a check. How a negative verdict comes is documented
// nowhere, so it is looked for in the body of every answer below 500, except
// those that say that the question was not considered.
func judge(got answer, asked envelope) provider.Verdict {
	if considered(got.status) && lenient.Check(got.body) == nil {
		if v, ok := readVerdict(got.status, gjson.ParseBytes(got.body), asked); ok {
			return v
		}
	}
	return unanswered(got)
}

// considered reports whether the body of an answer may hold a verdict.
func considered(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return status/100 == 2 || status/100 == 4
}

// unanswered says what an answer without a verdict means.
func unanswered(got answer) provider.Verdict {
	v := undecided(ReasonAPIUnavailable)
	v.MaybeSpent, v.RetryAfter = got.taken, got.retryAfter
	switch {
	case got.status == http.StatusUnauthorized || got.status == http.StatusForbidden:
		v.Reason, v.OurFault, v.MaybeSpent = ReasonCredentialsRefused, true, false
	case got.status == http.StatusTooManyRequests:
		v.Reason, v.MaybeSpent = ReasonRateLimited, false
	case got.status == 0 || got.status >= 500 || got.status == http.StatusRequestTimeout:
	case got.status/100 == 4:
		v.Reason = ReasonQuestionRefused
	default:
		v.Reason = ReasonAnswerUnreadable
	}
	return v
}

// readVerdict reads a verdict, or an error that amounts to one, from a body.
func readVerdict(status int, body gjson.Result, asked envelope) (provider.Verdict, bool) {
	valid := member(body, "isValid")
	switch {
	case valid.Type == gjson.True && status/100 == 2:
		return vouched(member(body, "context"), asked), true
	case valid.Type == gjson.True:
		return provider.Verdict{}, false // an error that says yes
	case valid.Type == gjson.False:
		return rejected(flagged(body)), true
	}
	reason, ok := errorReasons[member(body, "code").Str]
	if ok && credentialError(status) && ambiguous(reason) {
		return provider.Verdict{}, false
	}
	return rejected(reason), ok
}

// errorReasons are the codes of API errors that are verdicts.
var errorReasons = map[string]string{
	"TOKEN_ALREADY_CONSUMED": ReasonTokenAlreadyConsumed,
	"TOKEN_NOT_FOUND":        ReasonTokenNotFound,
	"TOKEN_EXPIRED":          ReasonTokenExpired,
	"TOKEN_INVALID":          ReasonTokenInvalid,
}

func credentialError(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// ambiguous reports a reason that, on an answer that refuses credentials, may
// mean our bearer. A rejection is final, so in doubt it is none.
func ambiguous(reason string) bool {
	return reason == ReasonTokenExpired || reason == ReasonTokenInvalid
}

// flags are looked at in this order. A token that is unknown or serves something
// else never was ours to spend, so that must not pass for already consumed, which
// may yet be accepted.
var flags = []struct{ name, reason string }{
	{"notFound", ReasonTokenNotFound},
	{"badTarget", ReasonTokenWrongPurpose},
	{"badRelatedId", ReasonTokenWrongApp},
	{"alreadyConsumed", ReasonTokenAlreadyConsumed},
	{"isExpired", ReasonTokenExpired},
}

func flagged(body gjson.Result) string {
	for _, f := range flags {
		if member(body, f.name).Type == gjson.True {
			return f.reason
		}
	}
	return ReasonTokenInvalid
}

// maxEventID bounds the event ids that are taken over.
const maxEventID = 128

// vouched is the verdict on a good token. The token is not bound to the body;
// but what is stored with it may be the event, and then must not contradict.
func vouched(context gjson.Result, asked envelope) provider.Verdict {
	v := vouchedFor()
	if !context.IsObject() {
		return v
	}
	if contradicts(context, asked) {
		return rejected(ReasonContentMismatch)
	}
	if id := clean(member(context, "webhookEventId")); len(id) <= maxEventID {
		v.EventID = id
	}
	return v
}

// contradicts compares what the context says of the event with the body. What
// the context does not say contradicts nothing.
func contradicts(context gjson.Result, asked envelope) bool {
	differs := func(key, sent string) bool {
		stored := member(context, key)
		return stored.Type == gjson.String && stored.Str != sent
	}
	if differs("appId", asked.appID) || differs("appEnv", asked.appEnv) || differs("msgNature", asked.nature) {
		return true
	}
	topic, action := member(context, "topic"), member(context, "action")
	if topic.Type == gjson.String && !sameTopic(topic.Str, asked.topic) {
		return true
	}
	if action.Type == gjson.String && !sameAction(asked.topic, action.Str, asked.action) {
		return true
	}
	content := member(context, "content")
	return content.IsObject() && string(canonical(content)) != string(canonical(asked.content))
}

// sameTopic reports whether two names mean one topic.
func sameTopic(a, b string) bool {
	n := topicOf(a)
	return a == b || n != ignisignv1.Topic_TOPIC_UNSPECIFIED && n == topicOf(b)
}

// sameAction reports whether two names mean one action of a topic.
func sameAction(topic, a, b string) bool {
	n := contentOf(topicOf(topic)).actionOf(a)
	return a == b || n != 0 && n == contentOf(topicOf(topic)).actionOf(b)
}

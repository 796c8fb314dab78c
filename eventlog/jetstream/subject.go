package jetstream

import (
	"strings"

	"github.com/hookstream/hookstream/event"
)

// Names of streams, subjects and buckets. On a cluster that serves others too
// they must not be anybody else's, hence the prefix.
const (
	StreamEvents    = "HOOKSTREAM_EVENTS"
	StreamInbox     = "HOOKSTREAM_INBOX"
	StreamParked    = "HOOKSTREAM_PARKED"
	StreamAcks      = "HOOKSTREAM_ACKS"
	StreamAttempts  = "HOOKSTREAM_ATTEMPTS"
	bucketPrefix    = "HOOKSTREAM_"
	SubjectEvents   = "hookstream.events"
	SubjectRows     = "hookstream.inbox.row"
	SubjectAsked    = "hookstream.inbox.asked"
	SubjectOutcome  = "hookstream.outcome"
	SubjectParked   = "hookstream.parked"
	SubjectReplays  = "hookstream.replays"
	SubjectAcks     = "hookstream.acks"
	SubjectAttempts = "hookstream.attempts"
	SubjectSettled  = "hookstream.acks.settled"
	SubjectGateway  = "hookstream.gateway"
	SubjectGateways = "hookstream.gateways"

	// advisoryDropped is where JetStream says what the bounds of a stream took while
	// it was handed out, and much else.
	AdvisoryDropped = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED." + StreamEvents + "."
)

// EventSubject is the subject of an entry: one per source and type. Where topic
// and action lie in it is read off the type, as who selects a type does: a sender
// may put dots into either.
func EventSubject(source, topic, action string) string {
	if strings.Contains(action, ".") || action == "" && strings.Contains(topic, ".") {
		topic, action = event.SplitType(event.JoinType(topic, action))
	}
	return Tokens(SubjectEvents, source, topic, action)
}

// tokens joins a prefix and names to a subject.
func Tokens(prefix string, names ...string) string {
	var b strings.Builder
	b.Grow(len(prefix) + 64)
	b.WriteString(prefix)
	for _, s := range names {
		b.WriteByte('.')
		writeToken(&b, s)
	}
	return b.String()
}

// maxToken bounds one token of a subject. What is longer is cut: subjects are
// for filtering, the event holds the name whole.
const maxToken = 128

const hexDigits = "0123456789ABCDEF"

// writeToken writes s as one token of a subject. Letters, digits, - and _ stand
// for themselves, all other bytes as %XX, an empty string as a single %: so no
// name that a sender chooses can reach another token, a wildcard, or a system
// subject.
func writeToken(b *strings.Builder, s string) {
	if s == "" {
		b.WriteByte('%')
		return
	}
	for i := range min(len(s), maxToken) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
}

package ignisign

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/lenient"
)

// maxName is Ignisign's own limit, in characters, for the texts of the envelope.
const maxName = 512

// An envelope is what a delivery says around its content, as sent. The token is
// there; the other texts are empty when they are not.
type envelope struct {
	// whole says that the body is JSON as Decode reads it. If it is not, the envelope
	// was found in it all the same, and is enough to ask Ignisign.
	whole bool

	appID, appEnv, topic, action, nature, token string

	content, problem gjson.Result // problem is the error
}

// Inspect reads the envelope. Info.Topic and Info.Action are the names as sent;
// Info.OccurTime is zero, Info.EventID empty and Info.Attempt -1, for Ignisign
// sends none of them.
func (p *Verifier) Inspect(req *provider.Request) (provider.Info, error) {
	e, err := readEnvelope(req.Body)
	if err != nil {
		return provider.Info{}, err
	}
	// Fixed texts: whoever sends a forgery learns nothing, and no log shows it. What
	// is not named is Ignisign's to know: it is asked for this application.
	if e.appID != "" && e.appID != p.appID {
		return provider.Info{}, fmt.Errorf("ignisign: another application: %w", provider.ErrNotForSource)
	}
	if e.appEnv != "" && e.appEnv != p.appEnv {
		return provider.Info{}, fmt.Errorf("ignisign: another environment: %w", provider.ErrNotForSource)
	}
	key := sha256.Sum256([]byte(e.token))
	info := provider.Info{Environment: p.appEnv, DedupKey: hex.EncodeToString(key[:]), Attempt: -1}
	if !e.whole { // nor does Decode read it
		return info, nil
	}
	info.Topic, info.Action = strings.Clone(e.topic), strings.Clone(e.action)
	info.Fingerprint, info.Entity = e.fingerprint, e.entity()
	return info, nil
}

// readEnvelope reads the envelope of a body that may be anything. Without a token
// there is nothing to ask; whatever else is missing, Ignisign can say whether the
// request is its own, and nobody else will send it again.
func readEnvelope(body []byte) (envelope, error) {
	doc, whole, err := lenient.Envelope(body)
	if err != nil {
		return envelope{}, fmt.Errorf("ignisign: %w: %w", err, provider.ErrMalformed)
	}
	e := envelope{whole: whole}
	e.read(doc)
	switch {
	case e.token == "":
		return envelope{}, fmt.Errorf("ignisign: no token: %w", provider.ErrMalformed)
	case len(e.token) > maxName && utf8.RuneCountInString(e.token) > maxName:
		return envelope{}, fmt.Errorf("ignisign: token too long: %w", provider.ErrMalformed)
	}
	return e, nil
}

type envelopeText struct {
	key  string // Ignisign's name
	text *string
}

func (e *envelope) texts() [6]envelopeText {
	return [6]envelopeText{
		{"appId", &e.appID},
		{"appEnv", &e.appEnv},
		{"topic", &e.topic},
		{"action", &e.action},
		{"msgNature", &e.nature},
		{"verificationToken", &e.token},
	}
}

// read fills the envelope in one pass. Of repeated keys the first counts, as it
// does for Decode: what is verified must be what is shown.
func (e *envelope) read(doc gjson.Result) {
	texts := e.texts()
	var seen [8]bool
	first := func(i int) bool {
		was := seen[i]
		seen[i] = true
		return !was
	}
	doc.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "content":
			if first(6) {
				e.content = value
			}
		case "error":
			if first(7) {
				e.problem = value
			}
		default:
			for i, f := range texts {
				if f.key == key.Str && first(i) {
					*f.text = clean(value)
					if f.key == "appId" {
						*f.text = id(value)
					}
				}
			}
		}
		return true
	})
}

// fingerprint is a hash of everything but the token, which is new when Ignisign
// sends an event again.
func (e *envelope) fingerprint() []byte {
	h := sha256.New()
	add := func(part []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write(part)
	}
	for _, text := range []string{e.appID, e.appEnv, e.topic, e.action, e.nature} {
		add([]byte(text))
	}
	add(canonical(e.content))
	add(canonical(e.problem))
	return h.Sum(nil)
}

// entities are the objects that a content may name. The first that it does is
// the event's: the request that a signer, a document or a proof belongs to goes
// before them, so that all of a request's events are found together.
var entities = []struct{ key, kind string }{
	{"signatureRequestId", "signature_requests/"},
	{"signatureProfileId", "signature_profiles/"},
	{"signatureId", "signatures/"},
	{"signerId", "signers/"},
	{"documentId", "documents/"},
}

func (e *envelope) entity() string {
	for _, entity := range entities {
		if id := id(member(e.content, entity.key)); id != "" && len(id) <= maxName {
			return entity.kind + id
		}
	}
	if topicOf(e.topic) == topicApp {
		return "applications/" + e.appID
	}
	return ""
}

// member answers the first value under a key of an object; nothing when the
// value is no object.
func member(object gjson.Result, key string) (found gjson.Result) {
	if !object.IsObject() {
		return found
	}
	object.ForEach(func(k, value gjson.Result) bool {
		if k.Str == key {
			found = value
			return false
		}
		return true
	})
	return found
}

// id answers an id as text, though it may have been sent as a number.
func id(value gjson.Result) string {
	if value.Type == gjson.Number {
		return strings.Clone(lenient.Digits(value))
	}
	return clean(value)
}

// clean answers the text of a JSON string as Decode shows it; empty for anything
// else.
func clean(value gjson.Result) string {
	if value.Type != gjson.String {
		return ""
	}
	return strings.ToValidUTF8(value.Str, "\uFFFD")
}

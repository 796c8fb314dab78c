package ignisign

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/ingress"
	"github.com/hookstream/hookstream/ingress/lenient"
)

// maxName is Ignisign's own limit, in characters, for the texts of the envelope.
const maxName = 512

// An envelope is what a delivery says around its content, as sent. All but
// content and problem are there.
type envelope struct {
	appID, appEnv, topic, action, nature, token string

	content, problem gjson.Result // problem is the error
}

// Inspect reads the envelope. Info.Topic and Info.Action are the names as sent;
// Info.OccurTime is zero, Info.EventID empty and Info.Attempt -1, for Ignisign
// sends none of them.
func (p *Provider) Inspect(req *ingress.Request) (ingress.Info, error) {
	e, err := readEnvelope(req.Body)
	if err != nil {
		return ingress.Info{}, err
	}
	// Fixed texts: whoever sends a forgery learns nothing, and no log shows it.
	if e.appID != p.appID {
		return ingress.Info{}, fmt.Errorf("ignisign: another application: %w", ingress.ErrNotForSource)
	}
	if e.appEnv != p.appEnv {
		return ingress.Info{}, fmt.Errorf("ignisign: another environment: %w", ingress.ErrNotForSource)
	}
	key := sha256.Sum256([]byte(e.token))
	return ingress.Info{
		Topic: strings.Clone(e.topic), Action: strings.Clone(e.action),
		Environment: p.appEnv,
		DedupKey:    hex.EncodeToString(key[:]),
		Fingerprint: e.fingerprint,
		Entity:      e.entity(),
		Attempt:     -1,
	}, nil
}

// readEnvelope reads the envelope of a body that may be anything.
func readEnvelope(body []byte) (envelope, error) {
	doc, err := lenient.View(body)
	if err != nil {
		return envelope{}, fmt.Errorf("ignisign: %w: %w", err, ingress.ErrMalformed)
	}
	var e envelope
	e.read(doc)
	for _, f := range e.texts() {
		if *f.text == "" {
			return envelope{}, fmt.Errorf("ignisign: no %s: %w", f.word, ingress.ErrMalformed)
		}
		if len(*f.text) > maxName && utf8.RuneCountInString(*f.text) > maxName {
			return envelope{}, fmt.Errorf("ignisign: %s too long: %w", f.word, ingress.ErrMalformed)
		}
	}
	return e, nil
}

type envelopeText struct {
	key, word string // Ignisign's name, and the one in errors
	text      *string
}

// texts are what Ignisign's SDK demands too: without one of them a message is
// none of Ignisign's.
func (e *envelope) texts() [6]envelopeText {
	return [6]envelopeText{
		{"appId", "application", &e.appID},
		{"appEnv", "environment", &e.appEnv},
		{"topic", "topic", &e.topic},
		{"action", "action", &e.action},
		{"msgNature", "nature", &e.nature},
		{"verificationToken", "token", &e.token},
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
		if id := clean(member(e.content, entity.key)); id != "" && len(id) <= maxName {
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

// clean answers the text of a JSON string as Decode shows it; empty for anything
// else.
func clean(value gjson.Result) string {
	if value.Type != gjson.String {
		return ""
	}
	return strings.ToValidUTF8(value.Str, "\uFFFD")
}

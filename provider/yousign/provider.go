package yousign

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
)

// ID is the provider's id, as in Event.provider.
const ID = "yousign"

// Provider is Yousign, for all its sources.
type Provider struct{}

var (
	_ provider.Decoding = Provider{}
	_ provider.Signer   = Provider{}
)

// Info describes Yousign for the catalog.
func (Provider) Info() *hookstreamv1.Provider {
	return &hookstreamv1.Provider{
		Id:                 ID,
		DisplayName:        "Yousign",
		VerificationMethod: method,
		EventTypeCount:     int32(len(meanings)),
	}
}

// EventTypes answers the Catalog.
func (Provider) EventTypes() []*hookstreamv1.EventType { return Catalog() }

// Open makes the verifier of a source.
func (Provider) Open(src *hookstreamv1.Source) (provider.Verifier, error) {
	return NewVerifier(src.GetYousign())
}

// Decoder makes and selects an Event of package yousignv1.
func (Provider) Decoder() provider.Decoder {
	return provider.NewDecoder(Decode, Match).Encoding(Encode)
}

// Sample answers an example, signed with the secret that the source accepts
// longest.
func (p Provider) Sample(src *hookstreamv1.Source, typ string, now time.Time) (*provider.Sample, error) {
	typ = cmp.Or(typ, "signature_request.done")
	body, id, err := Sample(typ, now)
	if err != nil {
		return nil, err
	}
	header, err := p.Sign(src, body)
	if err != nil {
		return nil, err
	}
	header.Set("Content-Type", "application/json")
	header.Set(attemptHeaders[0], "0")
	header.Set(issuedAtHeader, strconv.FormatInt(now.Unix(), 10))
	return &provider.Sample{Type: typ, EventID: id, Header: header, Body: body}, nil
}

// Sign signs a body in the same way.
func (Provider) Sign(src *hookstreamv1.Source, body []byte) (http.Header, error) {
	cfg := src.GetYousign()
	if len(cfg.GetSecrets()) == 0 {
		return nil, provider.ErrNoSample
	}
	header := http.Header{}
	header.Set(headerOf(cfg), Sign(cfg.GetSecrets()[0], body))
	return header, nil
}

// headerOf answers the header that carries the signature.
func headerOf(cfg *yousignv1.SourceConfig) string {
	return cmp.Or(cfg.GetSignatureHeader(), DefaultSignatureHeader)
}

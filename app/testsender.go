package app

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/yousign"
	"github.com/hookstream/hookstream/server"
)

// testSender posts samples to this gateway's own ingress, over the network as
// a sender does.
type testSender struct {
	url    func() string // of the ingress
	client *http.Client
}

func newTestSender(url func() string) *testSender {
	return &testSender{url: url, client: &http.Client{Timeout: 10 * time.Second}}
}

// SendTest implements server.TestSender.
func (s *testSender) SendTest(ctx context.Context, src *hookstreamv1.Source, typ string) (*hookstreamv1.SendTestEventResponse, error) {
	cfg := src.GetYousign()
	if cfg == nil || len(cfg.GetSecrets()) == 0 {
		return nil, server.ErrNotSupportedByProvider
	}
	if typ == "" {
		typ = "signature_request.done"
	}
	body, id, err := yousign.Sample(typ, time.Now())
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url()+src.GetIngressPath(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("test event: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "hookstream-test")
	req.Header.Set(cmp.Or(cfg.GetSignatureHeader(), yousign.DefaultSignatureHeader), yousign.Sign(cfg.GetSecrets()[0], body))
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("test event: the ingress does not answer: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return &hookstreamv1.SendTestEventResponse{HttpStatus: int32(resp.StatusCode), Type: typ, ProviderEventId: id}, nil
}

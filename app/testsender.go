package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/server"
)

// testSender posts samples to this gateway's own ingress, over the network as
// a sender does.
type testSender struct {
	providers *provider.Set
	url       func() string // of the ingress
	client    *http.Client
}

func newTestSender(providers *provider.Set, url func() string) *testSender {
	return &testSender{providers: providers, url: url, client: &http.Client{Timeout: 10 * time.Second}}
}

// SendTest implements server.TestSender.
func (s *testSender) SendTest(ctx context.Context, src *hookstreamv1.Source, typ string) (*hookstreamv1.SendSourceTestEventResponse, error) {
	sample, err := s.providers.Sample(src, typ, time.Now())
	if errors.Is(err, provider.ErrNoSample) {
		return nil, server.ErrNotSupportedByProvider
	}
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url()+src.GetIngressPath(), bytes.NewReader(sample.Body))
	if err != nil {
		return nil, fmt.Errorf("test event: %w", err)
	}
	req.Header = sample.Header
	req.Header.Set("User-Agent", "hookstream-test")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("test event: the ingress does not answer: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return &hookstreamv1.SendSourceTestEventResponse{HttpStatus: int32(resp.StatusCode), Type: sample.Type, ProviderEventId: sample.EventID}, nil
}

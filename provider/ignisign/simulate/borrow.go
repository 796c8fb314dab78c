package simulate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/ignisign"
)

var _ provider.Borrower = Provider{}

// Borrow answers an example with a token that a simulator made: the real ones are
// Ignisign's alone to make. A source without an application is that of the simulator.
func (Provider) Borrow(ctx context.Context, simulator string, src *hookstreamv1.Source, typ string) (*provider.Sample, error) {
	cfg := src.GetIgnisign()
	appID, appEnv := cmp.Or(cfg.GetAppId(), DefaultAppID), cmp.Or(cfg.GetAppEnv(), DefaultAppEnv)
	typ = cmp.Or(typ, usualType)
	token, err := mintToken(ctx, simulator, appID, appEnv)
	if err != nil {
		return nil, err
	}
	body, err := ignisign.Sample(typ, appID, appEnv, token)
	if err != nil {
		return nil, err
	}
	return &provider.Sample{Type: typ, Header: header(), Body: body}, nil
}

// usualType is the one that matters most.
const usualType = "SIGNATURE_PROOF.GENERATED"

// mintToken asks a simulator for a token that it will vouch for.
func mintToken(ctx context.Context, simulator, appID, appEnv string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ask, err := json.Marshal(map[string]string{"appId": appID, "appEnv": appEnv})
	if err != nil {
		return "", err
	}
	target := strings.TrimRight(simulator, "/") + "/_simulator/tokens"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(ask))
	if err != nil {
		return "", fmt.Errorf("ask the simulator for a token: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", provider.Advise(fmt.Errorf("ask the simulator for a token: %w", err), "`hookstream simulate` runs one")
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"token"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer)
	if err != nil || answer.Token == "" {
		return "", provider.Advise(fmt.Errorf("%s answered %d and no token", simulator, resp.StatusCode), "is that a simulator of Hookstream?")
	}
	return answer.Token, nil
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hookstream/hookstream/provider/ignisign"
)

// sendIgnisign sends a sample with a token that a simulator made: the real ones
// are Ignisign's alone to make.
func (c *triggerCommand) sendIgnisign(ctx context.Context, p *program) error {
	switch {
	case c.Simulator == "":
		return hinted(misused("a sample of Ignisign needs a token, which only Ignisign's API can make: name a --simulator of it"),
			"`hookstream simulate` plays Ignisign's API; the source's --api-url must point to it")
	case c.Body != "":
		return misused("--body is for Yousign: a body of Ignisign holds a token, which is good for one request")
	}
	token, err := mintToken(ctx, c.Simulator, c.AppID, c.AppEnv)
	if err != nil {
		return err
	}
	body, err := ignisign.Sample(c.Type, c.AppID, c.AppEnv, token)
	if err != nil {
		return hinted(err, "`hookstream event-types ignisign` lists the types")
	}
	status, err := post(ctx, c.URL, body, http.Header{})
	if err != nil {
		return err
	}
	return c.answered(p, status, "")
}

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
		return "", misused("--simulator %s is no URL", simulator)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", hinted(fmt.Errorf("ask the simulator for a token: %w", err), "`hookstream simulate` runs one")
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"token"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer)
	if err != nil || answer.Token == "" {
		return "", hinted(fmt.Errorf("%s answered %d and no token", simulator, resp.StatusCode), "is that a simulator of Hookstream?")
	}
	return answer.Token, nil
}

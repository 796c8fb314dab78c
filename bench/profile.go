package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// profiles of a gateway, by the name of the file; taken one after the other when
// the first, the CPU's, has ended.
var profiles = []struct{ file, path string }{
	{"heap", "/debug/pprof/allocs"},
	{"mutex", "/debug/pprof/mutex"},
	{"block", "/debug/pprof/block"},
}

// profile takes profiles of a gateway while it is measured. What is answered
// waits for them and writes down what went wrong with them.
func (b *Bench) profile(ctx context.Context, p *Process) func() {
	g := b.gatewayOf(p)
	if b.ProfileDir == "" || g == nil || g.PProf == "" {
		return func() {}
	}
	failed := make(chan error, 1)
	go func() { failed <- g.writeProfiles(ctx, b.profileName, b.Span) }()
	return func() {
		if err := <-failed; err != nil && ctx.Err() == nil {
			b.Say("no profile of %s: %v", b.name, err)
		}
	}
}

// profileName is where a profile of this scenario belongs.
func (b *Bench) profileName(kind string) string {
	return filepath.Join(b.ProfileDir, strings.ReplaceAll(b.name, "/", "-")+"."+kind+".pprof")
}

func (g *Gateway) writeProfiles(ctx context.Context, name func(kind string) string, span time.Duration) error {
	seconds := max(int(span/time.Second), 1)
	if err := g.writeProfile(ctx, name("cpu"), fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds)); err != nil {
		return err
	}
	for _, p := range profiles {
		if err := g.writeProfile(ctx, name(p.file), p.path); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gateway) writeProfile(ctx context.Context, name, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.PProf+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

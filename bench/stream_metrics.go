package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// gauges are the metrics of a gateway that have no labels, by name.
type gauges map[string]float64

// scrape reads the gateway's metrics at its HTTP address.
func scrape(ctx context.Context, addr string) (gauges, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics: %s", resp.Status)
	}
	return readGauges(resp.Body)
}

func readGauges(r io.Reader) (gauges, error) {
	out := make(gauges)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, text, ok := strings.Cut(lines.Text(), " ")
		if !ok || name == "#" || strings.Contains(name, "{") {
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("metrics: %s: %w", name, err)
		}
		out[name] = v
	}
	return out, lines.Err()
}

// need answers the values of names, all of which must be there.
func (g gauges) need(names ...string) ([]float64, error) {
	out := make([]float64, len(names))
	for i, name := range names {
		v, ok := g[name]
		if !ok {
			return nil, fmt.Errorf("metrics: no %s", name)
		}
		out[i] = v
	}
	return out, nil
}

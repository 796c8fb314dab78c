package bench

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMetricsAreRead(t *testing.T) {
	g, err := readGauges(strings.NewReader("# HELP a_total What.\n# TYPE a_total counter\na_total 3\nb_bytes 1.5e+06\nc{x=\"y z\"} 7\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := g.need("b_bytes", "a_total")
	if d := cmp.Diff([]float64{1.5e6, 3}, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	if _, err := g.need("c"); err == nil {
		t.Error("a metric with labels was taken for one without")
	}
}

package jetstream

import "testing"

// Servers name a delivery in two ways; neither may be taken for the other.
func TestParsePlace(t *testing.T) {
	want := place{seq: 42, count: 7, nanos: 1772439061123456789, pending: 9}
	for _, subject := range []string{
		"$JS.ACK.S.c.1.42.7.1772439061123456789.9",
		"$JS.ACK._.hash.S.c.1.42.7.1772439061123456789.9",
		"$JS.ACK.domain.hash.S.c.1.42.7.1772439061123456789.9.token",
	} {
		if got, err := parsePlace(subject); err != nil || got != want {
			t.Errorf("%s: %+v, %v", subject, got, err)
		}
	}
	for _, subject := range []string{"", "_INBOX.x", "$JS.ACK.S.c.1.42.7.1772439061123456789", "$JS.ACK.S.c.1.x.7.1.9", "$JS.ACK.S.c.1.1.7.x.9", "$JS.ACK.S.c.1.1.7.1."} {
		if got, err := parsePlace(subject); err == nil {
			t.Errorf("%q is %+v", subject, got)
		}
	}
}

func BenchmarkParsePlace(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parsePlace("$JS.ACK.HOOKSTREAM_EVENTS.abcdefgh.1.1234567.7.1772439061123456789.1000000"); err != nil {
			b.Fatal(err)
		}
	}
}

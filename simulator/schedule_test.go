package simulator

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// elsewhere is a target of a sender with one example.
type elsewhere struct{ url string }

func (elsewhere) Repertoire() *Repertoire {
	return &Repertoire{
		Provider: "elsewhere", Types: []string{"a"},
		Example: func(string) ([]byte, error) { return []byte("{}"), nil },
		TypeOf:  func([]byte) string { return "a" },
	}
}
func (e elsewhere) URL() string                  { return e.url }
func (elsewhere) Validate() error                { return nil }
func (elsewhere) Prepare(Message, Wrong) Sending { return Sending{} }
func (elsewhere) Manners() Manners               { return Manners{} }

func TestRateSpacesEventsEvenly(t *testing.T) {
	s, err := NewSender(SenderOptions{Targets: []Target{elsewhere{"http://127.0.0.1/"}}, Rate: 40, Count: 3})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 11, 5, 9, 30, 0, 0, time.UTC)
	r := &run{Sender: s, sending: context.Background(), begin: begin}
	for i, want := range []time.Duration{0, 25 * time.Millisecond, 50 * time.Millisecond} {
		if _, _, at, ok := r.next(); !ok || at.Sub(begin) != want {
			t.Errorf("event %d: %v, %t", i, at.Sub(begin), ok)
		}
	}
	if _, _, _, ok := r.next(); ok {
		t.Error("a fourth event of three")
	}
}

// A name that resolves to somewhere else is found out where the connection is made.
func TestConnectionsElsewhereAreRefused(t *testing.T) {
	client := NewClient(1, false)
	if _, err := Post(t.Context(), client, "http://192.0.2.1:9/", nil, nil); !errors.Is(err, ErrRemote) {
		t.Errorf("%v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
		}
	}()
	if _, err := Post(t.Context(), client, "http://"+l.Addr().String(), nil, nil); err == nil || errors.Is(err, ErrRemote) {
		t.Errorf("loopback: %v", err)
	}
}

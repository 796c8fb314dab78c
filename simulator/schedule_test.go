package simulator

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"
)

// 5,798 minutes from the first attempt to the last, less what attempts take.
func TestBackOffSpansFourDays(t *testing.T) {
	var sum time.Duration
	for _, pause := range backOff {
		sum += pause
	}
	if len(backOff) != 8 || sum != 5798*time.Minute || !slices.IsSorted(backOff) {
		t.Errorf("%d pauses, %v together", len(backOff), sum)
	}
}

func TestYousignWaitsASecondThenTen(t *testing.T) {
	d := delivery{provider: yousignID}
	if d.timeout(0) != time.Second || d.timeout(1) != 10*time.Second || d.timeout(8) != 10*time.Second {
		t.Errorf("%v, %v, %v", d.timeout(0), d.timeout(1), d.timeout(8))
	}
}

func TestRateSpacesEventsEvenly(t *testing.T) {
	s, err := NewSender(SenderOptions{Yousign: YousignTarget{URL: "http://127.0.0.1/", Secret: "s"}, Rate: 40, Count: 3})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{Sender: s, sending: context.Background(), begin: storyStart}
	for i, want := range []time.Duration{0, 25 * time.Millisecond, 50 * time.Millisecond} {
		if _, _, at, ok := r.next(); !ok || at.Sub(storyStart) != want {
			t.Errorf("event %d: %v, %t", i, at.Sub(storyStart), ok)
		}
	}
	if _, _, _, ok := r.next(); ok {
		t.Error("a fourth event of three")
	}
}

// A name that resolves to somewhere else is found out where the connection is made.
func TestConnectionsElsewhereAreRefused(t *testing.T) {
	client := newClient(1, false)
	if _, err := post(t.Context(), client, "http://192.0.2.1:9/", nil, nil); !errors.Is(err, ErrRemote) {
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
	if _, err := post(t.Context(), client, "http://"+l.Addr().String(), nil, nil); err == nil || errors.Is(err, ErrRemote) {
		t.Errorf("loopback: %v", err)
	}
}

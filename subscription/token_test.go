package subscription

import (
	"strings"
	"testing"
	"time"
)

func TestTokenIsOnlyOurs(t *testing.T) {
	s := newSigner([]byte("a key of ours"))
	want := token{
		uid: "uid", generation: 3, replay: true, seq: 1 << 40, turn: 7, attempt: 2, hand: 9,
		home: "gateway-1", deadline: time.UnixMilli(1772439061123),
	}
	text := s.sign(want)
	if got, err := s.parse(text); err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := newSigner([]byte("another")).parse(text); err == nil {
		t.Error("a token that was signed with another key was taken")
	}
	for i := range text {
		for _, c := range "Ab0_" {
			if altered := text[:i] + string(c) + text[i+1:]; altered != text {
				if _, err := s.parse(altered); err == nil {
					t.Fatalf("taken though altered at %d", i)
				}
			}
		}
		if _, err := s.parse(text[:i]); err == nil {
			t.Fatalf("taken though cut at %d", i)
		}
		if _, err := s.parse(text[:i] + "\r\n" + text[i:]); err == nil {
			t.Fatalf("taken though broken at %d", i)
		}
	}
}

func FuzzToken(f *testing.F) {
	s := newSigner([]byte("a key of ours"))
	f.Add(s.sign(token{uid: "uid", home: "g", deadline: time.UnixMilli(5)}))
	f.Add(strings.Repeat("A", 80))
	f.Fuzz(func(t *testing.T, text string) {
		got, err := s.parse(text)
		if err == nil && s.sign(got) != text {
			t.Errorf("%q is read as %+v, which is written otherwise", text, got)
		}
	})
}

func BenchmarkToken(b *testing.B) {
	s := newSigner([]byte("a key of ours"))
	t := token{uid: "0123456789abcdef", seq: 1 << 20, turn: 1 << 20, hand: 1 << 20, home: "0123456789abcdef", deadline: time.UnixMilli(1772439061123)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.parse(s.sign(t)); err != nil {
			b.Fatal(err)
		}
	}
}

func TestBackoff(t *testing.T) {
	s := Settings{BackoffMin: time.Second, BackoffMax: 5 * time.Second}
	for attempt, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 5 * time.Second, 1000: 5 * time.Second} {
		if got := s.backoff(attempt); got != want {
			t.Errorf("attempt %d: %s", attempt, got)
		}
	}
	if got := (Settings{BackoffMin: NoBackoff}).withDefaults().backoff(1); got != 0 {
		t.Errorf("no back-off is %s", got)
	}
}

func TestMemosForgetTheOldest(t *testing.T) {
	var m memos
	for n := range uint64(maxMemos + 10) {
		m.put(key{seq: n}, memo{hand: n})
	}
	if _, ok := m.get(key{seq: 9}); ok || len(m.of) != maxMemos {
		t.Errorf("%d are remembered", len(m.of))
	}
	if v, ok := m.get(key{seq: 10}); !ok || v.hand != 10 {
		t.Error("one too many is forgotten")
	}
}

package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/internal/linktest"
)

// links are those of an engine with the nodes of a cluster.
type links struct {
	jetstream.Options // with which it goes over them
	to                []*linktest.Link
}

func linked(t *testing.T, c *natstest.Cluster) *links {
	l := &links{Options: jetstream.DefaultOptions()}
	var urls []string
	for node := range 3 {
		l.to = append(l.to, c.Link(node))
		urls = append(urls, l.to[node].URL())
	}
	l.Dir, l.URL, l.NATS, l.Replicas = t.TempDir(), strings.Join(urls, ","), c.Options(), 3
	return l
}

func (l *links) delay(d time.Duration) {
	for _, to := range l.to {
		to.Delay(d)
	}
}

// cutOff cuts them for a while: silent, connections stay, and what is sent waits.
func (l *links) cutOff(silent bool, while time.Duration) {
	for _, to := range l.to {
		if silent {
			to.Silence()
		} else {
			to.Cut()
		}
	}
	time.Sleep(while)
	for _, to := range l.to {
		to.Mend()
	}
}

// openAll opens what a gateway opens on a cluster, and ends it.
func openAll(ctx context.Context, o jetstream.Options) error {
	e, err := jetstream.Open(ctx, o)
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	defer e.Close()
	q := On(e)
	a, err := q.OpenAttempts(ctx, func(Attempted) {})
	if err != nil {
		return fmt.Errorf("attempts: %w", err)
	}
	defer a.Close()
	if _, err := q.OpenParked(ctx); err != nil {
		return fmt.Errorf("parked: %w", err)
	}
	b, err := e.Bucket(ctx, "TEST")
	if err != nil {
		return fmt.Errorf("bucket: %w", err)
	}
	watching, enough := context.WithCancel(ctx)
	defer enough()
	if err := b.Watch(watching, func(eventlog.Change) {}, enough); watching.Err() == nil {
		return fmt.Errorf("watch: %w", err)
	}
	bus, err := q.Bus("one")
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	defer bus.Close()
	return bus.Serve("question", func([]byte) []byte { return nil })
}

// A start whose cluster is away for longer than anybody waits for one answer, whatever
// it is at, goes on when the cluster is back.
func TestAStartIsCutOffAtAnyMoment(t *testing.T) {
	heavy.Test(t)
	natstest.Bubble(t, func(t *testing.T) {
		c := natstest.StartInside(t)
		if err := openAll(t.Context(), linked(t, c).Options); err != nil { // so that there is nothing left to be made
			t.Fatal(err)
		}
		for at, opened := 20*time.Millisecond, false; !opened; at += 20 * time.Millisecond {
			l := linked(t, c)
			l.delay(5 * time.Millisecond)
			ended := make(chan error, 1)
			go func() { ended <- openAll(t.Context(), l.Options) }()
			time.Sleep(at)
			if opened = len(ended) > 0; !opened {
				l.cutOff(at%(40*time.Millisecond) == 0, 90*time.Second)
			}
			if err := <-ended; err != nil {
				t.Errorf("cut off after %s: %v", at, err)
			}
		}
	})
}

// A start that is given up meanwhile ends.
func TestAStartThatIsCutOffIsGivenUp(t *testing.T) {
	natstest.Bubble(t, func(t *testing.T) {
		l := linked(t, natstest.StartInside(t))
		e, err := jetstream.Open(t.Context(), l.Options)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		go l.cutOff(true, 10*time.Minute)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		_, err = On(e).OpenAttempts(ctx, func(Attempted) {})
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() == nil {
			t.Errorf("ended with %v, its context with %v", err, ctx.Err())
		}
		time.Sleep(10 * time.Minute)
	})
}

package jetstream_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	natsjetstream "github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/internal/heavy"
)

// watched is JetStream as a follower asks it for consumers.
type watched struct {
	natsjetstream.JetStream
	made   atomic.Int64
	before func(n int64, stream string) string // is called before the n-th, and may have it follow another stream
}

func (w *watched) CreateConsumer(ctx context.Context, stream string, cfg natsjetstream.ConsumerConfig) (natsjetstream.Consumer, error) {
	n := w.made.Add(1)
	if w.before != nil {
		stream = w.before(n, stream)
	}
	return w.JetStream.CreateConsumer(ctx, stream, cfg)
}

// onCluster runs a test in a bubble, with a log on a cluster that has three events, and
// what manages it.
func onCluster(t *testing.T, test func(t *testing.T, e *jetstream.Engine, s natsjetstream.Stream)) {
	natstest.Bubble(t, func(t *testing.T) {
		c := natstest.StartInside(t)
		o := embedded(t)
		o.URL, o.NATS, o.Replicas = c.URL(), c.Options(), 3
		e := logtest.Open(t, o)
		for n := range 3 {
			if _, err := e.Events().Append(t.Context(), logtest.Entry("a", n)); err != nil {
				t.Fatal(err)
			}
		}
		s, err := e.JS().Stream(t.Context(), jetstream.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		test(t, e, s)
	})
}

// following follows the log in the background, and answers what is known of it: what
// was taken, and 0 when everything was present.
func following(t *testing.T, e *jetstream.Engine, over *watched) (told func() []uint64) {
	ctx, cancel := context.WithCancel(t.Context())
	var got []uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.KeepFollowing(ctx, jetstream.Following{
			Stream: jetstream.StreamEvents, Over: over,
			Take:    func(_ natsjetstream.Msg, md *natsjetstream.MsgMetadata) { got = append(got, md.Sequence.Stream) },
			Present: func() { got = append(got, 0) },
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() []uint64 {
		synctest.Wait()
		return slices.Clone(got)
	}
}

func erase(t *testing.T, s natsjetstream.Stream, seqs ...uint64) {
	t.Helper()
	for _, seq := range seqs {
		if err := s.SecureDeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
}

// A consumer lives on one node. One whose node lags says that it is well and has
// nothing: whoever follows it goes on with another, and takes nothing for everything
// before.
func TestFollowsANodeThatLags(t *testing.T) {
	onCluster(t, func(t *testing.T, e *jetstream.Engine, _ natsjetstream.Stream) {
		// A stream that has nothing stands for the node.
		over := &watched{JetStream: e.JS(), before: func(n int64, stream string) string {
			if n == 1 {
				return jetstream.StreamInbox
			}
			return stream
		}}
		told := following(t, e, over)
		time.Sleep(time.Second)
		if got := told(); len(got) > 0 {
			t.Errorf("of a node that has nothing %d were taken", got)
		}
		time.Sleep(time.Minute)
		if got := told(); !slices.Equal(got, []uint64{1, 2, 3, 0}) {
			t.Errorf("taken, and 0 for all present: %d", got)
		}
		if n := over.made.Load(); n != 2 {
			t.Errorf("followed %d times", n)
		}
	})
}

// Numbers whose events have gone are waited for by nobody, whenever they went.
func TestFollowsALogWhoseEndIsGone(t *testing.T) {
	heavy.Test(t)
	for name, gone := range map[string]struct {
		before, while, then []uint64 // are removed before, when it is begun, and then
		made                int64
		want                []uint64
	}{
		"the last":                      {before: []uint64{3}, made: 1, want: []uint64{1, 2, 0, 4}},
		"all":                           {before: []uint64{1, 2, 3}, made: 1, want: []uint64{0, 4}},
		"the last, while it is read":    {while: []uint64{3}, made: 2, want: []uint64{1, 2, 0, 4}},
		"the last, when it was read":    {then: []uint64{3}, made: 1, want: []uint64{1, 2, 3, 0, 4}},
		"all, while they are read":      {while: []uint64{1, 2, 3}, made: 2, want: []uint64{0, 4}},
		"all, when they have been read": {then: []uint64{1, 2, 3}, made: 1, want: []uint64{1, 2, 3, 0, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			onCluster(t, func(t *testing.T, e *jetstream.Engine, s natsjetstream.Stream) {
				erase(t, s, gone.before...)
				over := &watched{JetStream: e.JS(), before: func(n int64, stream string) string {
					if n == 1 {
						erase(t, s, gone.while...)
						time.Sleep(time.Second) // the others are told of it
					}
					return stream
				}}
				told := following(t, e, over)
				time.Sleep(time.Minute)
				told()
				erase(t, s, gone.then...)
				time.Sleep(time.Minute)
				if n := over.made.Load(); n != gone.made {
					t.Errorf("followed %d times, not %d", n, gone.made)
				}
				if _, err := e.Events().Append(t.Context(), logtest.Entry("a", 4)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				if got := told(); !slices.Equal(got, gone.want) {
					t.Errorf("taken, and 0 for all present: %d, want %d", got, gone.want)
				}
			})
		})
	}
}

// Whoever takes long is not taken for one whose node lags.
func TestTakesLongerThanANodeMayLag(t *testing.T) {
	heavy.Test(t)
	onCluster(t, func(t *testing.T, e *jetstream.Engine, _ natsjetstream.Stream) {
		for n := range 9 {
			if _, err := e.Events().Append(t.Context(), logtest.Entry("a", 3+n)); err != nil {
				t.Fatal(err)
			}
		}
		over := &watched{JetStream: e.JS()}
		ctx, cancel := context.WithCancel(t.Context())
		var got []uint64
		_ = e.KeepFollowing(ctx, jetstream.Following{
			Stream: jetstream.StreamEvents, Over: over,
			Take: func(_ natsjetstream.Msg, md *natsjetstream.MsgMetadata) {
				time.Sleep(time.Minute)
				if got = append(got, md.Sequence.Stream); len(got) == 12 {
					cancel()
				}
			},
		})
		if n := over.made.Load(); n != 1 || len(got) != 12 || !slices.IsSorted(got) {
			t.Errorf("followed %d times, taken: %d", n, got)
		}
	})
}

// However large messages are, no more is on its way to who takes none of it than a
// server lets wait: it would end the connection. All of it comes once it is taken.
func TestLittleIsOnItsWayToAFollower(t *testing.T) {
	onCluster(t, func(t *testing.T, e *jetstream.Engine, _ natsjetstream.Stream) {
		const messages, most = 60, 36 << 20 // of a MiB each
		s, err := e.JS().CreateStream(t.Context(), natsjetstream.StreamConfig{
			Name: "LARGE", Subjects: []string{"large"},
		})
		if err != nil {
			t.Fatal(err)
		}
		for range messages {
			if _, err := e.JS().Publish(t.Context(), "large", make([]byte, 1<<20-1000)); err != nil {
				t.Fatal(err)
			}
		}
		before := e.JS().Conn().Stats().InBytes
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		goOn, taken := make(chan struct{}), make(chan struct{})
		n := 0
		go func() {
			_ = e.KeepFollowing(ctx, jetstream.Following{Stream: s.CachedInfo().Config.Name, Over: e.JS(), Take: func(natsjetstream.Msg, *natsjetstream.MsgMetadata) {
				<-goOn
				if n++; n == messages {
					close(taken)
				}
			}})
		}()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := e.JS().Conn().Stats().InBytes - before; got > most {
			t.Errorf("%d MiB came to who takes nothing", got>>20)
		}
		close(goOn)
		<-taken
	})
}

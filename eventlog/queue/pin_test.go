package queue_test

import (
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/queue"
)

// pinned is a log with a queue that is pinned, and nothing in it.
type pinned struct {
	t     *testing.T
	e     *queue.Engine
	queue queue.Config
	n     int
}

func newPinned(t *testing.T) *pinned {
	p := &pinned{
		t: t, e: queue.On(logtest.Open(t, onDisk(t))),
		queue: queue.Config{Name: "pinned", From: 1, Hold: time.Minute, MaxHeld: 100, Pinned: true},
	}
	if err := p.e.MakeQueue(t.Context(), p.queue); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pinned) append() {
	p.t.Helper()
	p.n++
	if _, err := p.e.Events().Append(p.t.Context(), logtest.Entry("a", p.n)); err != nil {
		p.t.Fatal(err)
	}
}

// free waits until JetStream says that the pin is nobody's: because it was given
// up, and not for want of pulls.
func (p *pinned) free() {
	p.t.Helper()
	deadline := time.Now().Add(queue.PinTime / 2)
	for {
		switch st, err := p.e.QueueState(p.t.Context(), p.queue); {
		case err != nil:
			p.t.Fatal(err)
		case st.Pin == "":
			return
		case time.Now().After(deadline):
			p.t.Fatal("waited too long for the pin to be given up")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// puller is one with what came to it.
type puller struct {
	*queue.Puller
	t     *testing.T
	on    func(queue.Hand) // nil: nothing
	hands chan queue.Hand
	ended chan struct{}
}

func (p *pinned) puller(pin *queue.Pin) *puller {
	p.t.Helper()
	out := &puller{t: p.t, hands: make(chan queue.Hand, 10), ended: make(chan struct{}, 100)}
	var err error
	out.Puller, err = p.e.Pull(p.queue, pin, out.handed, func() { out.ended <- struct{}{} })
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(out.Stop)
	return out
}

func (p *puller) handed(h queue.Hand) {
	if p.on != nil {
		p.on(h)
	}
	p.hands <- h
}

// wait asks for one that is not there yet. JetStream keeps the request.
func (p *puller) wait() {
	p.t.Helper()
	p.Fill(1)
	p.end()
	p.Fill(1)
}

// end waits until a request ended.
func (p *puller) end() {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		p.t.Fatal("waited too long for a request to end")
	}
}

// pin answers the pin of what comes to a request that was sent.
func (p *puller) pin() string {
	p.t.Helper()
	select {
	case h := <-p.hands:
		return h.Pin
	case <-time.After(30 * time.Second):
		p.t.Fatal("waited too long for a message")
		return ""
	}
}

// next asks for one more, again and again when need be, and answers its pin.
func (p *puller) next() string {
	p.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		p.Fill(1)
		select {
		case h := <-p.hands:
			return h.Pin
		case <-p.ended:
		case <-deadline:
			p.t.Fatal("waited too long for a message")
		}
	}
}

// The pin may come to a puller that has ended. The next one goes on with it: it
// would be refused until the pin is nobody's, and get another one then.
func TestPinOfAPullerThatEnded(t *testing.T) {
	t.Parallel()
	p := newPinned(t)
	pin := p.e.Pin(p.queue)
	one := p.puller(pin)
	one.wait()
	one.Stop()
	two := p.puller(pin)
	p.append()
	first := one.pin()
	if !pin.Ours() {
		t.Error("the pin came and is not known")
	}
	p.append()
	if second := two.next(); second != first {
		t.Errorf("pin %q, then %q", first, second)
	}
}

// What is given up goes to the next gateway at once, though the former one asked
// for more before.
func TestPinIsGivenUp(t *testing.T) {
	t.Parallel()
	p := newPinned(t)
	a, b := p.e.Pin(p.queue), p.e.Pin(p.queue)
	of, other := p.puller(a), p.puller(b)
	p.append()
	first := of.next()
	of.wait()
	other.wait()
	a.Release()
	p.free()
	p.append()
	if second := other.pin(); second == first || a.Ours() || !b.Ours() {
		t.Errorf("pin %q, then %q; it is ours: %t, the other's: %t", first, second, a.Ours(), b.Ours())
	}
}

// What was under way when the pin was given up does not bring it back.
func TestPinGivenUpIsNotLearnedAgain(t *testing.T) {
	t.Parallel()
	p := newPinned(t)
	p.append()
	p.append()
	pin := p.e.Pin(p.queue)
	of := p.puller(pin)
	of.on = func(h queue.Hand) {
		if h.Turn == 1 {
			pin.Release()
		}
	}
	of.Fill(2)
	first, second := of.next(), of.next()
	if second == first && pin.Ours() {
		t.Error("the pin that was given up is ours")
	}
}

// A request that is refused because it brings an old pin along says nothing about
// the one that came since.
func TestOldPinIsRefused(t *testing.T) {
	t.Parallel()
	p := newPinned(t)
	pin := p.e.Pin(p.queue)
	one, two := p.puller(pin), p.puller(pin)
	one.wait()
	two.wait() // behind it
	p.append()
	first := one.pin()
	one.wait() // with the first pin, behind the second puller's
	pin.Release()
	p.free()
	p.append()
	second := two.pin()
	p.append()
	one.end()
	if third := two.next(); second == first || third != second {
		t.Errorf("pin %q, then %q, then %q", first, second, third)
	}
}

// onDisk are the options of an embedded engine in a folder of the test.
func onDisk(t *testing.T) jetstream.Options {
	o := jetstream.DefaultOptions()
	o.Dir = t.TempDir()
	return o
}

package app_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/heavy"
)

// A backup is made while senders post and a consumer settles, the program is killed,
// and another goes on with what is restored: all that was acknowledged before the
// backup began is there, and what was settled by then is not handed out again, all
// else is. A cursor of before goes on; one of what was lost is not taken for one of
// what came in its place.
func TestBackupUnderLoad(t *testing.T) {
	before, connections := int64(600), 8
	if heavy.Full() {
		before = 20_000
	}
	p := newProcess(t)
	p.start()
	src := p.createSource("load", yousignSource())
	p.createSubscription(&hookstreamv1.Subscription{})
	s := newSender("http://"+p.ingress+src.GetIngressPath(), connections)
	var stop atomic.Bool
	var next atomic.Int64
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for !stop.Load() {
				s.try(int(next.Add(1)))
			}
		})
	}
	c := &settler{p: p, settled: make(map[string]bool)}
	wg.Go(func() {
		for !stop.Load() {
			c.pull(50, 100*time.Millisecond)
		}
	})
	reach := func(n int64) {
		for end := time.Now().Add(time.Minute); s.count.Load() < n || c.count() < 100; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d were acknowledged, %d settled", s.count.Load(), c.count())
			}
		}
	}
	reach(before)
	acked, settled := s.now(), c.now()
	cursor := p.head(t)
	file := filepath.Join(t.TempDir(), "backup")
	p.command(0, "backup", file, "--server", p.grpc, "--include-key", filepath.Join(p.dir, "secret.key"))
	reach(s.count.Load() + 200)
	lost := p.head(t)
	p.kill()
	stop.Store(true)
	wg.Wait()

	p.refuseHarmed(file)
	p.dir = filepath.Join(t.TempDir(), "restored")
	p.command(0, "restore", file, "--data-dir", p.dir)
	p.command(1, "restore", file, "--data-dir", p.dir) // there is something now
	p.command(0, "doctor", "--data-dir", p.dir)
	p.start()
	found := make(map[string]int)
	for _, e := range p.events() {
		found[e.GetProviderEventId()]++
	}
	for id := range acked {
		if found[id] != 1 {
			t.Fatalf("event %s was acknowledged before the backup, and is there %d times", id, found[id])
		}
	}
	p.followsFrom(cursor, codes.OK)
	p.followsFrom(lost, codes.DataLoss)
	for last := s.count.Load() + int64(len(found)); int64(len(p.events())) < last/2; { // other events take the lost numbers
		if s.try(int(next.Add(1))) != 200 {
			t.Fatal("a sender is refused")
		}
	}
	p.followsFrom(lost, codes.DataLoss)

	again := &settler{p: p, settled: make(map[string]bool)}
	for again.pull(500, 3*time.Second) > 0 {
	}
	for id := range acked {
		if !settled[id] && !again.settled[id] && !c.settled[id] {
			t.Errorf("event %s was not settled before the backup, and is not handed out", id)
		}
	}
	for id := range settled {
		if again.settled[id] {
			t.Errorf("event %s was settled before the backup, and is handed out again", id)
		}
	}
}

// command runs the program to its end.
func (p *process) command(want int, args ...string) string {
	p.t.Helper()
	path, err := binary()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		p.t.Fatal(err)
	}
	if code != want {
		p.t.Fatalf("%s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return string(out)
}

// refuseHarmed tries what is left of a backup that was cut off, and one that was changed.
func (p *process) refuseHarmed(file string) {
	p.t.Helper()
	p.command(0, "verify-backup", file)
	whole, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	flipped := slices.Clone(whole)
	flipped[strings.Index(string(whole), "/streams/HOOKSTREAM_EVENTS/")+2000] ^= 1
	for want, data := range map[string][]byte{"cut off": whole[:len(whole)*2/3], "damaged: part streams/HOOKSTREAM_EVENTS ": flipped} {
		harmed := filepath.Join(p.t.TempDir(), "harmed")
		if err := os.WriteFile(harmed, data, 0o600); err != nil {
			p.t.Fatal(err)
		}
		dir := filepath.Join(p.t.TempDir(), "none")
		for _, said := range []string{p.command(1, "verify-backup", harmed), p.command(1, "restore", harmed, "--data-dir", dir)} {
			if !strings.Contains(said, want) {
				p.t.Errorf("%q is not in %s", want, said)
			}
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			p.t.Errorf("something was made of a backup that is %s", want)
		}
	}
}

func (s *sender) now() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.acked)
}

// head answers the cursor at the end of the log.
func (p *process) head(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := hookstreamv1.NewEventServiceClient(p.conn).Subscribe(ctx, &hookstreamv1.SubscribeRequest{
		Start: &hookstreamv1.SubscribeRequest_Latest{Latest: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if ds := resp.GetBatch().GetDeliveries(); len(ds) > 0 {
			return ds[len(ds)-1].GetCursor()
		}
	}
}

// followsFrom reads from a cursor to the end of the log, which ends as is wanted.
func (p *process) followsFrom(cursor string, want codes.Code) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := hookstreamv1.NewEventServiceClient(p.conn).Subscribe(ctx, &hookstreamv1.SubscribeRequest{
		Start: &hookstreamv1.SubscribeRequest_AfterCursor{AfterCursor: cursor},
		Stop:  &hookstreamv1.SubscribeRequest_AtHead{AtHead: true},
	}, grpc.WaitForReady(true))
	for err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if status.Code(err) != want {
		p.t.Errorf("from the cursor %s: %v, and not %s", cursor, err, want)
	}
}

// settler settles what a subscription hands out.
type settler struct {
	p       *process
	mu      sync.Mutex
	settled map[string]bool
}

func (c *settler) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.settled)
}

func (c *settler) now() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.settled)
}

// pull asks for some, settles them, and answers how many there were.
func (c *settler) pull(n int32, wait time.Duration) int {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	subs := hookstreamv1.NewSubscriptionServiceClient(c.p.conn)
	got, err := subs.Pull(ctx, &hookstreamv1.PullRequest{Name: "subscriptions/crm", MaxEvents: n, Wait: durationpb.New(wait)})
	if err != nil {
		return 0
	}
	ack := &hookstreamv1.AcknowledgeRequest{Name: "subscriptions/crm"}
	for _, d := range got.GetDeliveries() {
		ack.Settlements = append(ack.Settlements, &hookstreamv1.Settlement{AckToken: d.GetAckToken(), Verdict: hookstreamv1.Settlement_VERDICT_ACK})
	}
	if len(ack.Settlements) == 0 {
		return 0
	}
	results, err := subs.Acknowledge(ctx, ack)
	if err != nil {
		return len(ack.Settlements)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, r := range results.GetResults() {
		if r.GetOutcome() == hookstreamv1.AckOutcome_ACK_OUTCOME_DONE {
			c.settled[got.GetDeliveries()[i].GetEvent().GetProviderEventId()] = true
		}
	}
	return len(ack.Settlements)
}

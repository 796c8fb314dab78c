package baseline

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
)

// fill keeps n events in a new data directory, one in ten of them about a signer,
// and answers it when nobody uses it any more.
func fill(t *testing.T, n int) (dir string) {
	t.Helper()
	o := jetstream.DefaultOptions()
	o.Dir, o.Durability, o.Logger = t.TempDir(), jetstream.DurabilityRelaxed, slog.New(slog.DiscardHandler)
	engine, err := jetstream.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		topic := "signature_request"
		if i%10 == 0 {
			topic = "signer"
		}
		entry := eventlog.Entry{Source: "bench", Topic: topic, Action: "done", DedupKey: fmt.Sprint(i), Data: make([]byte, 100)}
		if _, err := engine.Events().Append(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	return o.Dir
}

func TestReplayReadsTheLogOfAGateway(t *testing.T) {
	dir := fill(t, 200)
	for _, tc := range []struct {
		filter string
		want   int64
	}{{"", 200}, {"*.signer.*", 20}, {"*.contact.*", 0}} {
		got, err := ReplayJetStream(t.Context(), dir, tc.filter)
		if err != nil {
			t.Fatal(err)
		}
		if got.Events != tc.want || got.Bytes < 100*tc.want || got.Took <= 0 {
			t.Errorf("filter %q: %+v, want %d events", tc.filter, got, tc.want)
		}
	}
}

// The log is left as it was found: the next finds no consumer, and all of it.
func TestConsumersAcknowledgeTheLogOfAGatewayBetweenThem(t *testing.T) {
	dir := fill(t, 600)
	for _, settle := range []Settle{Acked, DoubleAcked} {
		for _, consumers := range []int{1, 3} {
			got, err := ConsumeJetStream(t.Context(), dir, consumers, settle)
			if err != nil {
				t.Fatal(err)
			}
			if got.Events != 600 || got.Bytes < 600*100 || got.Took <= 0 {
				t.Errorf("%d consumers: %+v", consumers, got)
			}
		}
	}
}

func TestConsumersOfAnEmptyLogAreDone(t *testing.T) {
	if got, err := ConsumeJetStream(t.Context(), fill(t, 0), 1, DoubleAcked); err != nil || got.Events != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReplayOfADirectoryThatIsNoGateways(t *testing.T) {
	if _, err := ReplayJetStream(t.Context(), t.TempDir(), ""); err == nil {
		t.Error("it read something")
	}
}

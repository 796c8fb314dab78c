package jetstream_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/natstest"
)

// A replica that lags answers that what the leader has acknowledged is not
// there. This one answers beside the others and lags without end: whoever asks
// again for long enough gets it from another.
func TestReplicaThatLags(t *testing.T) {
	o := embedded(t)
	o.URL, o.Replicas = natstest.Start(t).URL(), 3
	log := logtest.Open(t, o).Events()
	for n := range 3 {
		if _, err := log.Append(t.Context(), logtest.Entry("a", n)); err != nil {
			t.Fatal(err)
		}
	}
	recs, err := log.Read(t.Context(), 3, 1, 1)
	if err != nil || len(recs) != 1 {
		t.Fatalf("%d records, %v", len(recs), err)
	}
	asked := lag(t, o.URL)
	for range 20 {
		if recs, err := log.Read(t.Context(), 3, 1, 1); err != nil || len(recs) != 1 || recs[0].Seq != 3 {
			t.Errorf("read answers %d records, %v", len(recs), err)
		}
		if seq, err := log.SeqAt(t.Context(), recs[0].Time); err != nil || seq != 3 {
			t.Errorf("at the time of 3: %d, %v", seq, err)
		}
		if seq, err := log.SeqAt(t.Context(), recs[0].Time.Add(time.Hour)); err != nil || seq != 4 {
			t.Errorf("later: %d, %v", seq, err)
		}
	}
	if n := asked(); n == 0 {
		t.Error("the replica that lags was never asked")
	}
}

// lag starts a replica that has nothing, and answers how often it was asked.
func lag(t *testing.T, url string) func() int64 {
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	none := nats.NewMsg("")
	none.Header.Set("Status", "404")
	none.Header.Set("Description", "Message Not Found")
	sub, err := nc.Subscribe("$JS.API.DIRECT.GET.HOOKSTREAM_EVENTS", func(m *nats.Msg) { _ = m.RespondMsg(none) })
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() int64 {
		n, _ := sub.Delivered()
		return n
	}
}

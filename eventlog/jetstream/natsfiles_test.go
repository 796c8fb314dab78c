package jetstream

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// natsKnown is the version of nats-server whose files were read for what is listed in
// docs/adr/0012. Before another is put here, each line of that list is looked up.
const natsKnown = "2.15.2"

// What we know of the server's files is so in the version that is built in.
func TestNatsFiles(t *testing.T) {
	if server.VERSION != natsKnown {
		t.Errorf("nats-server %s is built in, and docs/adr/0012 was written for %s", server.VERSION, natsKnown)
	}
	if codeStoreFailed != server.JSStreamStoreFailedF || codeConsumerCreate != server.JSConsumerCreateErrF {
		t.Error("the codes of its errors are others")
	}
	o := DefaultOptions()
	o.Dir = t.TempDir()
	e := openForTest(t, o)
	for i := range 5 {
		if _, err := e.Events().Append(t.Context(), eventlog.Entry{Source: "s", Topic: "t", Action: "a", DedupKey: fmt.Sprint(i), Data: []byte("data")}); err != nil {
			t.Fatal(err)
		}
	}
	bucket, err := e.Bucket(t.Context(), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"key", "gone"} {
		if _, err := bucket.Create(t.Context(), key, []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	if err := bucket.Delete(t.Context(), "gone", 0); err != nil {
		t.Fatal(err)
	}
	queue := jetstream.ConsumerConfig{Durable: "sub-test", AckPolicy: jetstream.AckExplicitPolicy}
	if _, _, err := e.Consumer(t.Context(), StreamEvents, queue); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(consumerDir(o.Dir, StreamEvents, queue.Durable), natsConsumer)); err != nil {
		t.Error(err)
	}
	for stream, records := range map[string]int{StreamEvents: 5, bucketStream + "TEST": 3} {
		checkNatsStream(t, o.Dir, stream, records)
	}
	// What was deleted is a record with headers.
	if values, err := Values(o.Dir, "TEST"); err != nil || len(values) != 1 || string(values["key"]) != "value" {
		t.Errorf("the bucket holds %q, %v", values, err)
	}
}

func checkNatsStream(t *testing.T, dir, stream string, records int) {
	t.Helper()
	msgs := blocksDir(dir, stream)
	if first, last, err := stateBounds(stream, msgs); first != 1 || last != uint64(records) || err != nil {
		t.Errorf("%s: its state says %d to %d, %v", stream, first, last, err)
	}
	if err := checkMeta(stream, filepath.Dir(msgs)); err != nil {
		t.Errorf("%s: its description: %v", stream, err)
	}
	data, err := os.ReadFile(blockPath(msgs, 1))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := blockHash(stream, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := checkBlock(data, hash)
	if len(c.good) != records || len(c.bad) != 0 {
		t.Fatalf("%s: %d of %d records can be read, and %d spans not", stream, len(c.good), records, len(c.bad))
	}
	// What we would write in its place is what lies there.
	if r := c.good[0]; stream == StreamEvents {
		one := data[r.from:r.to]
		subject := EventSubject("s", "t", "a")
		if again := appendRecord(nil, hash, r.seq, r.nanos, subject, one[recordHead+len(subject):len(one)-8]); string(again) != string(one) {
			t.Errorf("% x\nis written as\n% x", one, again)
		}
	}
}

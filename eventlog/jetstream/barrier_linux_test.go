package jetstream

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Whatever a sender calls its topics, an entry lands on a subject of the log
// with one token for each of source, topic and action.
func FuzzSubject(f *testing.F) {
	f.Add("billing", "verification.bank_account", "done")
	f.Add("a", "*", ">")
	f.Add("a", "", " \r\n$JS.API")
	f.Fuzz(func(t *testing.T, source, topic, action string) {
		s := EventSubject(source, topic, action)
		tokens := strings.Split(s, ".")
		if len(tokens) != 5 || tokens[0]+"."+tokens[1] != SubjectEvents {
			t.Fatalf("%q has other tokens", s)
		}
		for _, tok := range tokens[2:] {
			if tok == "" || strings.ContainsAny(tok, "*> \t\r\n\x00$") {
				t.Errorf("%q holds the token %q", s, tok)
			}
		}
		if other := EventSubject(source, topic+"x", action); len(topic) < 30 && other == s {
			t.Errorf("two topics share %q", s)
		}
	})
}

func testBarrier(t *testing.T) (*blockBarrier, string) {
	t.Helper()
	dir := t.TempDir()
	b, err := newBlockBarrier(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b.(*blockBarrier), dir
}

func write(t *testing.T, dir, name string, n int) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(make([]byte, n))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func syncs(t *testing.T, b *blockBarrier, wrote int64, wantMissed int) {
	t.Helper()
	if err := b.sync(wrote); err != nil {
		t.Fatal(err)
	}
	if b.missed != wantMissed {
		t.Errorf("after %d bytes the barrier was surprised %d times, want %d", wrote, b.missed, wantMissed)
	}
}

func TestBarrierFollowsBlocks(t *testing.T) {
	b, dir := testBarrier(t)
	write(t, dir, "1.blk", 100)
	syncs(t, b, 100, 0)
	write(t, dir, "1.blk", 50)
	write(t, dir, "2.blk", 10)
	write(t, dir, "3.blk", 10)
	syncs(t, b, 70, 0)
	if b.last != 3 || len(b.open) != 1 {
		t.Errorf("the barrier stands at block %d with %d open", b.last, len(b.open))
	}
	// The group that is being written may be ahead of the one that is synced.
	write(t, dir, "3.blk", 60)
	syncs(t, b, 30, 0)
	syncs(t, b, 30, 0)
}

// An entry was acknowledged and no file we know grew: JetStream writes
// elsewhere, and syncing what we know would be a lie.
func TestBarrierNoticesAnotherLayout(t *testing.T) {
	b, dir := testBarrier(t)
	write(t, dir, "0001.data", 100)
	for i := range maxMissed {
		syncs(t, b, 100, i+1)
	}
	syncs(t, b, 100, maxMissed) // and stays with the slow way
}

// JetStream rewrites a block into a new file of the same name: our descriptor
// is then of a file that nobody reads.
func TestBarrierNoticesARewrittenBlock(t *testing.T) {
	b, dir := testBarrier(t)
	write(t, dir, "7.blk", 100)
	syncs(t, b, 100, 1) // block 7 is not the first: found by the restart
	write(t, dir, "7.blk", 100)
	syncs(t, b, 100, 0)
	write(t, dir, "7.new", 50)
	if err := os.Rename(filepath.Join(dir, "7.new"), filepath.Join(dir, "7.blk")); err != nil {
		t.Fatal(err)
	}
	syncs(t, b, 0, 1)
	write(t, dir, "7.blk", 20)
	syncs(t, b, 20, 0)
}

// Too many open files are no bad disk: what was acknowledged is synced another way,
// and the barrier goes on with its blocks when there are descriptors again.
func TestBarrierWithoutDescriptors(t *testing.T) {
	for _, scarce := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		b, dir := testBarrier(t)
		write(t, dir, "1.blk", 100)
		syncs(t, b, 100, 0)
		b.openFile = func(string) (int, error) { return -1, scarce }
		write(t, dir, "1.blk", 30)
		write(t, dir, "2.blk", 20)
		syncs(t, b, 50, 0)
		write(t, dir, "2.blk", 20)
		syncs(t, b, 20, 0)
		b.openFile = openRW
		write(t, dir, "2.blk", 10)
		syncs(t, b, 10, 0)
		if b.last != 2 || len(b.open) != 1 || b.ahead != 0 {
			t.Errorf("%v: the barrier stands at block %d with %d open, %d ahead", scarce, b.last, len(b.open), b.ahead)
		}
		// Growth that nobody sees is noticed still.
		syncs(t, b, 10, 1)
	}
	// Another error is the disk's.
	b, dir := testBarrier(t)
	b.openFile = func(string) (int, error) { return -1, unix.EIO }
	write(t, dir, "1.blk", 10)
	if err := b.sync(10); !errors.Is(err, unix.EIO) {
		t.Errorf("%v", err)
	}
}

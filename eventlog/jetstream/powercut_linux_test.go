package jetstream_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/internal/heavy"
)

// disk is what is known to be on the disk and what has been acknowledged.
type disk struct {
	mu    sync.Mutex
	sizes map[int]int64
	acked map[uint64]string
}

// cut answers both as of one moment: what was acknowledged first, so that it
// must be among what is on the disk.
func (d *disk) cut() (acked map[uint64]string, sizes map[int]int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.acked), maps.Clone(d.sizes)
}

// A power cut takes every byte that was not fsynced. Nothing that was
// acknowledged may be among them, and what was not acknowledged is taken again
// when it comes again.
func TestPowerCut(t *testing.T) {
	heavy.Test(t)
	o := embedded(t)
	o.MaxEntryBytes = 1 << 20
	e := logtest.Open(t, o)
	d := &disk{sizes: make(map[int]int64), acked: make(map[uint64]string)}
	jetstream.OnSynced(e, func(block int, size int64) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.sizes[block] = size
	})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() { d.write(t, e.Events(), w, stop) })
	}
	for range 5 {
		time.Sleep(200 * time.Millisecond) // anywhere in the middle of the load
		acked, sizes := d.cut()
		dir := t.TempDir()
		copyCut(t, o.Dir, dir, sizes)
		checkCut(t, dir, acked)
	}
	close(stop)
	wg.Wait()
}

func (d *disk) write(t *testing.T, l eventlog.Log, w int, stop <-chan struct{}) {
	pad := strings.Repeat("x", 4000)
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		entry := logtest.Entry(fmt.Sprint("w", w), n)
		entry.Data = append(entry.Data, pad...)
		got, err := l.Append(t.Context(), entry)
		if err != nil {
			t.Error(err)
			return
		}
		d.mu.Lock()
		d.acked[got.Seq] = string(entry.Data)
		d.mu.Unlock()
	}
}

// copyCut copies the data directory, the log's blocks only as far as they were
// synced and without the files that JetStream writes unsynced.
func copyCut(t *testing.T, from, to string, sizes map[int]int64) {
	t.Helper()
	msgs := filepath.Join("jetstream", "$G", "streams", "HOOKSTREAM_EVENTS", "msgs")
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(from, path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone while we look
			return nil
		case err != nil:
			return err
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case filepath.Dir(rel) != msgs:
			return copyFile(path, filepath.Join(to, rel), -1)
		}
		block, _ := strconv.Atoi(strings.TrimSuffix(entry.Name(), ".blk"))
		if sizes[block] == 0 {
			return nil
		}
		return copyFile(path, filepath.Join(to, rel), sizes[block])
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string, size int64) error {
	src, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	var r io.Reader = src
	if size >= 0 {
		r = io.LimitReader(src, size)
	}
	_, err = io.Copy(dst, r)
	return errors.Join(err, dst.Close())
}

// checkCut opens what the power cut left.
func checkCut(t *testing.T, dir string, acked map[uint64]string) {
	t.Helper()
	o := embedded(t)
	o.Dir = dir
	// The index lies in the copy as it happened to be; it must not know more
	// than the log.
	e := logtest.Open(t, o)
	defer shutDown(t, e)
	found := 0
	last := bound(t, e).Last
	stop := errors.New("stop")
	err := e.Events().Tail(t.Context(), 1, func(recs []event.Record) error {
		for _, r := range recs {
			want, ok := acked[r.Seq]
			if ok && want != string(r.Data) {
				return fmt.Errorf("record %d is another than was acknowledged there", r.Seq)
			}
			if ok {
				found++
			}
			if r.Seq == last {
				return stop
			}
		}
		return nil
	})
	if !errors.Is(err, stop) && last > 0 {
		t.Error(err)
	}
	if found != len(acked) {
		t.Errorf("%d of %d acknowledged events were lost", len(acked)-found, len(acked))
	}
	t.Logf("%d acknowledged events, the log ends at %d", len(acked), last)
}

func bound(t *testing.T, e *jetstream.Engine) eventlog.Bounds {
	t.Helper()
	b, err := e.Events().Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func shutDown(t *testing.T, e *jetstream.Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// dirRestoring is where a backup is unpacked, in the data directory. It goes when all
// of it is in place, so that what has it is no data directory yet.
const dirRestoring = "restoring"

// ErrNotEmpty says that a directory is not one that a backup may be restored to.
var ErrNotEmpty = errors.New("a backup is restored into an empty directory only")

// ErrRestoring says that a restore of a data directory has not ended.
var ErrRestoring = errors.New("a restore of the data directory has not ended: remove what is in it, and restore again")

// A Restore makes a data directory of the parts of a backup.
type Restore struct {
	dir, inner string
	lock       *os.File
	node       *embedded
	nc         *nats.Conn
	config     json.RawMessage // of the stream that comes next, and how it stood
	state      server.StreamState
	streams    int
}

// BeginRestore begins in a directory that must be empty, or not be there; what an
// earlier restore left that was killed goes. End or Abort must be called.
func BeginRestore(dir string) (_ *Restore, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := emptyDir(dir); err != nil {
		return nil, err
	}
	r := &Restore{dir: dir, inner: filepath.Join(dir, dirRestoring)}
	if r.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Abort())
		}
	}()
	if err := errors.Join(os.RemoveAll(r.inner), os.Mkdir(r.inner, 0o700), syncDir(dir)); err != nil {
		return nil, err
	}
	o := DefaultOptions()
	o.Dir, o.MaxEntryBytes, o.Logger = r.inner, 32<<20, slog.New(slog.DiscardHandler)
	if r.node, err = startEmbedded(o, false, nil); err != nil {
		return nil, err
	}
	r.nc, err = nats.Connect("", r.node.option())
	return r, err
}

// emptyDir reports that something is in a directory beside what a file system, a lock
// or a restore that was killed has there.
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains([]string{"lost+found", "lock", dirRestoring}, e.Name()) {
			return fmt.Errorf("%w: %s has %s", ErrNotEmpty, dir, e.Name())
		}
	}
	return nil
}

// checkRestored refuses a directory in which a restore has begun and not ended.
func checkRestored(dir string) error {
	_, err := os.Stat(filepath.Join(dir, dirRestoring))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		err = fmt.Errorf("%w: %s", ErrRestoring, dir)
	}
	return err
}

// Part takes the next part of the backup.
func (r *Restore) Part(ctx context.Context, name string, from io.Reader) error {
	switch stream, ok := strings.CutPrefix(name, partStreams); {
	case !ok:
		return r.file(name, from)
	case strings.HasSuffix(stream, partConfig):
		return r.describe(from)
	default:
		if err := r.stream(ctx, stream, from); err != nil {
			return fmt.Errorf("stream %s: %w", stream, err)
		}
		r.streams++
		return nil
	}
}

// maxRestoredFile bounds a file beside the streams.
const maxRestoredFile = 16 << 20

// file takes one that lies beside the streams. What this version does not know it passes
// over: an earlier one did without.
func (r *Restore) file(name string, from io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(from, maxRestoredFile))
	if err != nil {
		return err
	}
	switch name {
	case PartFormat:
		var f Format
		if err := json.Unmarshal(data, &f); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := f.refusal("the backup"); err != nil {
			return err
		}
	case PartMissing, PartKey:
	default:
		return nil
	}
	return replaceFile(filepath.Join(r.inner, name), data)
}

// describe takes how the next stream is configured, without its bounds, which the
// gateway sets again: nothing is dropped while it is restored.
func (r *Restore) describe(from io.Reader) error {
	var described struct {
		Config server.StreamConfig `json:"config"`
		State  server.StreamState  `json:"state"`
	}
	err := json.NewDecoder(from).Decode(&described)
	if err != nil {
		return err
	}
	c := &described.Config
	c.MaxAge, c.MaxBytes, c.MaxMsgs = 0, -1, -1
	r.state = described.State
	r.config, err = json.Marshal(c)
	return err
}

// stream has JetStream take a snapshot, and compares what it has then.
func (r *Restore) stream(ctx context.Context, name string, from io.Reader) error {
	if r.config == nil {
		return errors.New("how it is configured is not there")
	}
	ask, err := json.Marshal(map[string]any{"config": r.config, "state": r.state})
	if err != nil {
		return err
	}
	r.config = nil
	var begun struct {
		DeliverSubject string `json:"deliver_subject"`
	}
	if err := r.ask(ctx, "$JS.API.STREAM.RESTORE."+name, ask, &begun); err != nil {
		return err
	}
	buf := make([]byte, backupChunk)
	for {
		n, err := io.ReadFull(from, buf)
		if n > 0 {
			if err := r.ask(ctx, begun.DeliverSubject, buf[:n], nil); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := r.ask(ctx, begun.DeliverSubject, nil, nil); err != nil {
		return err
	}
	return r.compare(ctx, name)
}

// ask asks JetStream, and reads the answer, which may be empty, into out.
func (r *Restore) ask(ctx context.Context, subject string, data []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, backupIdle)
	defer cancel()
	m, err := r.nc.RequestWithContext(ctx, subject, data)
	if err != nil || len(m.Data) == 0 {
		return err
	}
	var refused struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &refused); err != nil {
		return err
	}
	if refused.Error != nil {
		return refused.Error
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(m.Data, out)
}

// compare holds what was restored against how the stream stood, and removes the
// consumers of those who only looked at it then. Of what was dropped or replaced while
// the backup was made there is less.
func (r *Restore) compare(ctx context.Context, name string) error {
	js, err := jetstream.New(r.nc)
	if err != nil {
		return err
	}
	st, err := js.Stream(ctx, name)
	if err != nil {
		return err
	}
	if now := st.CachedInfo().State; now.LastSeq != r.state.LastSeq || now.Msgs > r.state.Msgs {
		return fmt.Errorf("it has %d records up to number %d, and had %d up to %d", now.Msgs, now.LastSeq, r.state.Msgs, r.state.LastSeq)
	}
	l := st.ListConsumers(ctx)
	for c := range l.Info() {
		if c.Config.Durable == "" {
			if err := st.DeleteConsumer(ctx, c.Name); err != nil {
				return err
			}
		}
	}
	return l.Err()
}

// End puts everything in its place, on the disk. Until it returns the directory is no
// data directory. Its layout is that of the backup: the first start does what follows.
func (r *Restore) End() (err error) {
	defer func() { err = errors.Join(err, r.close()) }()
	if r.streams == 0 {
		return errors.New("the backup has no streams")
	}
	r.nc.Close()
	if !r.node.stop(startTimeout) {
		return errors.New("the server that restores does not stop")
	}
	r.node = nil
	if err := markStopped(r.inner, nil); err != nil {
		return err
	}
	if err := checkSound(r.inner); err != nil {
		return err
	}
	entries, err := os.ReadDir(r.inner)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(r.inner, e.Name()), filepath.Join(r.dir, e.Name())); err != nil {
			return err
		}
	}
	// Last: until then it is not taken for whole.
	return errors.Join(syncDir(r.dir), os.Remove(r.inner), syncDir(r.dir))
}

// checkSound answers the first thing that is wrong with a directory, and was not known to be.
func checkSound(dir string) error {
	c, err := checkDir(dir, 0, nil)
	if err != nil {
		return err
	}
	for _, s := range c.Streams {
		for _, d := range s.Damage {
			return fmt.Errorf("what was restored is not what was written: %s", d)
		}
	}
	known, err := openMissing(dir)
	if err != nil {
		return err
	}
	for _, m := range known.news(c.Missing) {
		return fmt.Errorf("what was restored lacks the events %d to %d", m.From, m.To)
	}
	return nil
}

// Abort removes what there is.
func (r *Restore) Abort() error {
	return errors.Join(r.close(), os.RemoveAll(r.inner))
}

func (r *Restore) close() error {
	if r.nc != nil {
		r.nc.Close()
	}
	if r.node != nil {
		r.node.stop(stopTime)
		r.node = nil
	}
	if r.lock == nil {
		return nil
	}
	lock := r.lock
	r.lock = nil
	return lock.Close()
}

// Package backup is the form of a backup: one file, which is known to be whole and
// unharmed, or not to be, by itself. What its parts are is the caller's.
//
// It is a tar archive. Each part is one or several files, `parts/00001/NAME/00000001` and so
// on, so that who writes needs not know how long a part becomes. The last two files are
// `manifest.json`, with the length and the SHA-256 of each part, and `manifest.sha256`
// of that.
package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"
)

// form is the number of the form that is written.
const form = 1

const (
	partsDir     = "parts/"
	manifestFile = "manifest.json"
	sumFile      = "manifest.sha256"
	// segmentBytes bounds a file of a part.
	segmentBytes = 1 << 20
	maxManifest  = 16 << 20
)

// Manifest says what is in a backup.
type Manifest struct {
	Form int `json:"form"`
	// Version of the program that made it.
	Version string `json:"version"`
	// Begun is when: what was acknowledged before is in it. Ended is when it was whole.
	Begun time.Time `json:"begun"`
	Ended time.Time `json:"ended"`
	Parts []Part    `json:"parts"`
}

// Part is one part.
type Part struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Bytes answers how many all parts have.
func (m Manifest) Bytes() (n int64) {
	for _, p := range m.Parts {
		n += p.Bytes
	}
	return n
}

var (
	// ErrCutOff says that a backup ends before its end.
	ErrCutOff = errors.New("the backup is cut off")
	// ErrDamaged says that a backup is not what was written.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrNone says that something is no backup.
	ErrNone = errors.New("this is no backup")
)

// A Writer writes a backup.
type Writer struct {
	tar      *tar.Writer
	manifest Manifest
	sum      hash.Hash
	buf      []byte
	segment  int
	open     bool
}

// NewWriter begins one. It is whole when Close has returned nil.
func NewWriter(w io.Writer, version string, begun time.Time) *Writer {
	return &Writer{tar: tar.NewWriter(w), manifest: Manifest{Form: form, Version: version, Begun: begun.UTC()}}
}

// Part begins the next part, whose name must be one that no part has yet.
func (w *Writer) Part(name string) error {
	if name == "" || slices.ContainsFunc(w.manifest.Parts, func(p Part) bool { return p.Name == name }) {
		return fmt.Errorf("backup: part %q is empty or there already", name)
	}
	if err := w.endPart(); err != nil {
		return err
	}
	w.manifest.Parts = append(w.manifest.Parts, Part{Name: name})
	w.sum, w.segment, w.open = sha256.New(), 0, true
	return nil
}

// Write adds to the part.
func (w *Writer) Write(b []byte) (n int, err error) {
	if !w.open {
		return 0, errors.New("backup: no part has begun")
	}
	_, _ = w.sum.Write(b) // never fails
	w.part().Bytes += int64(len(b))
	for left := b; len(left) > 0; {
		k := min(len(left), segmentBytes-len(w.buf))
		w.buf, left = append(w.buf, left[:k]...), left[k:]
		if len(w.buf) == segmentBytes {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(b), nil
}

func (w *Writer) part() *Part { return &w.manifest.Parts[len(w.manifest.Parts)-1] }

func (w *Writer) flush() error {
	w.segment++
	name := fmt.Sprintf("%s%08d", segmentDir(len(w.manifest.Parts), w.part().Name), w.segment)
	err := w.file(name, w.buf)
	w.buf = w.buf[:0]
	return err
}

func (w *Writer) file(name string, data []byte) error {
	err := w.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: w.manifest.Begun.Truncate(time.Second)})
	if err == nil {
		_, err = w.tar.Write(data)
	}
	return err
}

func (w *Writer) endPart() error {
	if !w.open {
		return nil
	}
	w.open = false
	w.part().SHA256 = hex.EncodeToString(w.sum.Sum(nil))
	if len(w.buf) == 0 && w.segment > 0 {
		return nil
	}
	return w.flush()
}

// segmentDir is where the files of a part lie, the number of which begins with 1.
func segmentDir(number int, part string) string {
	return fmt.Sprintf("%s%05d/%s/", partsDir, number, part)
}

// Close ends the last part and the backup, and answers what is in it.
func (w *Writer) Close() (Manifest, error) {
	if err := w.endPart(); err != nil {
		return Manifest{}, err
	}
	w.manifest.Ended = time.Now().UTC()
	data, err := json.MarshalIndent(w.manifest, "", "  ")
	if err != nil {
		return Manifest{}, err
	}
	sum := sha256.Sum256(data)
	if err := w.file(manifestFile, data); err != nil {
		return Manifest{}, err
	}
	if err := w.file(sumFile, []byte(hex.EncodeToString(sum[:])+"  "+manifestFile+"\n")); err != nil {
		return Manifest{}, err
	}
	return w.manifest, w.tar.Close()
}

// Sums answers the parts so far, the last one as it is now.
func (w *Writer) Sums() ([]Part, error) {
	err := w.endPart()
	return slices.Clone(w.manifest.Parts), err
}

// Read reads a backup to its end, calls fn with each part in turn, whose content may be
// read until it returns, and answers what is in it once all of it was found to be as it
// was written. Until then what fn has seen is not to be believed. fn may be nil.
func Read(r io.Reader, fn func(part string, content io.Reader) error) (Manifest, error) {
	d := &reader{tar: tar.NewReader(r)}
	for {
		err := d.next()
		switch {
		case err != nil:
			return Manifest{}, err
		case d.head.Name == manifestFile:
			return d.end()
		}
		if err := d.readPart(fn); err != nil {
			return Manifest{}, err
		}
	}
}

// reader reads a backup. Each file of it is read to its end before the next.
type reader struct {
	tar   *tar.Reader
	head  *tar.Header
	first bool
	parts []Part
	ended bool // the part's last file was read, and head is what follows
}

// next goes to the next file, unless that was done.
func (d *reader) next() (err error) {
	if d.ended {
		d.ended = false
		return nil
	}
	d.head, err = d.tar.Next()
	switch {
	case err == nil:
		d.first = true
		return nil
	case !d.first && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
	return d.broken(err)
}

// broken says what an error of reading means.
func (d *reader) broken(err error) error {
	where := "before its first part"
	if n := len(d.parts); n > 0 {
		where = "in or after the part " + d.parts[n-1].Name
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w %s", ErrCutOff, where)
	case errors.Is(err, tar.ErrHeader):
		return fmt.Errorf("%w %s: %w", ErrDamaged, where, err)
	}
	return err
}

// readPart has fn read a part, and goes to what follows it.
func (d *reader) readPart(fn func(string, io.Reader) error) error {
	rest, ok := strings.CutPrefix(d.head.Name, fmt.Sprintf("%s%05d/", partsDir, len(d.parts)+1))
	name := strings.TrimSuffix(rest, fmt.Sprintf("/%08d", 1))
	if !ok || name == rest {
		if len(d.parts) == 0 {
			return fmt.Errorf("%w: it has a file %q", ErrNone, d.head.Name)
		}
		return fmt.Errorf("%w: a file %q follows the part %s", ErrDamaged, d.head.Name, d.parts[len(d.parts)-1].Name)
	}
	d.parts = append(d.parts, Part{Name: name})
	c := &content{d: d, dir: segmentDir(len(d.parts), name), sum: sha256.New()}
	if fn != nil {
		if err := fn(name, c); err != nil {
			return unlessRead(c.err, err)
		}
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		return err
	}
	d.parts[len(d.parts)-1] = Part{Name: name, Bytes: c.bytes, SHA256: hex.EncodeToString(c.sum.Sum(nil))}
	return nil
}

// unlessRead prefers what was wrong with the backup to what somebody made of it.
func unlessRead(read, other error) error {
	if read != nil && !errors.Is(read, io.EOF) {
		return read
	}
	return other
}

// content is that of a part: of all its files.
type content struct {
	d     *reader
	dir   string
	sum   hash.Hash
	bytes int64
	err   error
}

// Read reads.
func (c *content) Read(b []byte) (int, error) {
	for c.err == nil {
		n, err := c.d.tar.Read(b)
		_, _ = c.sum.Write(b[:n]) // never fails
		c.bytes += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			c.more()
		case err != nil:
			c.err = c.d.broken(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, c.err
}

// more goes to the next file, with which the part may be over.
func (c *content) more() {
	if c.err = c.d.next(); c.err != nil || strings.HasPrefix(c.d.head.Name, c.dir) {
		return
	}
	c.d.ended, c.err = true, io.EOF
}

// end holds what was read against the manifest.
func (d *reader) end() (Manifest, error) {
	data, err := io.ReadAll(io.LimitReader(d.tar, maxManifest))
	if err != nil {
		return Manifest{}, d.broken(err)
	}
	if err := d.next(); err != nil {
		return Manifest{}, err
	}
	want, err := io.ReadAll(io.LimitReader(d.tar, 1<<10))
	if err != nil {
		return Manifest{}, d.broken(err)
	}
	sum := sha256.Sum256(data)
	if d.head.Name != sumFile || !bytes.HasPrefix(want, []byte(hex.EncodeToString(sum[:]))) {
		return Manifest{}, fmt.Errorf("%w: %s is not what its checksum says", ErrDamaged, manifestFile)
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w: %s: %w", ErrDamaged, manifestFile, err)
	}
	if m.Form != form {
		return Manifest{}, fmt.Errorf("%w that this version reads: its form is %d, and this is %d", ErrNone, m.Form, form)
	}
	return m, d.compare(m)
}

func (d *reader) compare(m Manifest) error {
	for i, p := range m.Parts {
		if i >= len(d.parts) {
			return fmt.Errorf("%w: part %s is not there", ErrDamaged, p.Name)
		}
		if got := d.parts[i]; got != p {
			return fmt.Errorf("%w: part %s has %d bytes with SHA-256 %s, and was written with %d and %s", ErrDamaged, p.Name, got.Bytes, got.SHA256, p.Bytes, p.SHA256)
		}
	}
	if len(d.parts) > len(m.Parts) {
		return fmt.Errorf("%w: it has %d parts more than its manifest", ErrDamaged, len(d.parts)-len(m.Parts))
	}
	return nil
}

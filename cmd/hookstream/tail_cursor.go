package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hookstream/hookstream/event"
)

// A cursorFile keeps a position between runs, for one process at a time. A nil one
// keeps nothing.
type cursorFile struct {
	path string
	file *os.File // locked
}

// openCursorFile takes the file for this process. Nothing is kept when the path
// is empty.
func openCursorFile(path string) (*cursorFile, error) {
	if path == "" {
		return nil, nil
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // else the link would be replaced
	}
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("keep the cursor: %w", err)
		}
		ours, err := lock(file)
		if err != nil || !ours {
			_ = file.Close()
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("lock the cursor file: %w", err)
		case !ours:
			return nil, hinted(fmt.Errorf("%s is in use by another tail", path), "two that keep one place lose events: name another --cursor-file")
		}
		f := &cursorFile{path, file}
		if f.current() {
			f.sweep()
			return f, nil
		}
		_ = file.Close() // it was replaced between the two steps
	}
}

// current reports whether the path still names the file that is locked.
func (f *cursorFile) current() bool {
	named, err := os.Stat(f.path)
	held, heldErr := f.file.Stat()
	return err == nil && heldErr == nil && os.SameFile(named, held)
}

// close lets the next have the file. One that holds nothing yet is removed.
func (f *cursorFile) close() {
	if f == nil {
		return
	}
	if held, err := f.file.Stat(); err == nil && held.Size() == 0 && f.current() {
		_ = os.Remove(f.path) // a mounted one stays
	}
	_ = f.file.Close()
}

// temporary names are those that earlier versions left behind when they were
// killed.
var temporary = regexp.MustCompile(`^\.[0-9]+$`)

// sweep removes what a process that was killed left of the file's replacement.
func (f *cursorFile) sweep() {
	_ = os.Remove(f.path + temporarySuffix)
	entries, _ := os.ReadDir(filepath.Dir(f.path))
	for _, e := range entries {
		suffix, ok := strings.CutPrefix(e.Name(), filepath.Base(f.path))
		if !ok || !e.Type().IsRegular() || !temporary.MatchString(suffix) {
			continue
		}
		name := filepath.Join(filepath.Dir(f.path), e.Name())
		if content, err := os.ReadFile(name); err == nil && isCursor(content) {
			_ = os.Remove(name)
		}
	}
}

const temporarySuffix = ".tmp"

func isCursor(content []byte) bool {
	_, err := event.ParseCursor(string(bytes.TrimSpace(content)))
	return err == nil
}

// load answers the cursor that was kept, empty when there is none yet.
func (f *cursorFile) load() (string, error) {
	content, err := io.ReadAll(io.NewSectionReader(f.file, 0, maxSecretBytes))
	if err != nil {
		return "", fmt.Errorf("read the cursor: %w", err)
	}
	if len(content) == 0 {
		return "", nil
	}
	if !isCursor(content) {
		// Starting elsewhere without a word would be a gap or a flood.
		return "", hinted(fmt.Errorf("%s holds no cursor", f.path), "name another --cursor-file, or delete this one to start by --from")
	}
	return string(bytes.TrimSpace(content)), nil
}

// save replaces the file in one step: whenever the process or the machine ends,
// it holds this cursor or the one before.
func (f *cursorFile) save(cursor string) error {
	err := f.replace(cursor + "\n")
	if inPlace(err) {
		err = f.overwrite(cursor + "\n")
	}
	return err
}

// replace puts a new file in the place of the old one. The new one is locked
// before it can be found, so that there is no moment for another tail.
func (f *cursorFile) replace(content string) error {
	temp, err := os.OpenFile(f.path+temporarySuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = lock(temp)
	if err == nil {
		_, err = temp.WriteString(content)
	}
	if err = errors.Join(err, temp.Sync()); err == nil {
		err = os.Rename(temp.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, temp.Close(), os.Remove(temp.Name()))
	}
	_ = f.file.Close()
	f.file = temp
	return syncDir(filepath.Dir(f.path))
}

// inPlace reports whether a file cannot be replaced but perhaps be written: it is
// mounted by itself, or its directory is not ours.
func inPlace(err error) bool {
	return errors.Is(err, errBusy) || errors.Is(err, errReadOnly) || errors.Is(err, fs.ErrPermission)
}

// overwrite writes over the old cursor, which is as long: what is torn by a crash
// is noticed by its checksum, at worst.
func (f *cursorFile) overwrite(content string) error {
	if _, err := f.file.WriteAt([]byte(content), 0); err != nil {
		return err
	}
	return errors.Join(f.file.Truncate(int64(len(content))), f.file.Sync())
}

// syncDir makes a rename last. Not every system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil //nolint:nilerr // as said
	}
	_ = d.Sync()
	return d.Close()
}

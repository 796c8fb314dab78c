package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hookstream/hookstream/event"
)

// A cursorFile keeps a position between runs. Its zero value keeps nothing.
type cursorFile string

// load answers the cursor that was kept, empty when there is none yet.
func (f cursorFile) load() (string, error) {
	if f == "" {
		return "", nil
	}
	content, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the cursor: %w", err)
	}
	cursor := strings.TrimSpace(string(content))
	if _, err := event.ParseCursor(cursor); err != nil {
		// Starting elsewhere without a word would be a gap or a flood.
		return "", hinted(fmt.Errorf("%s holds no cursor", f), "name another --cursor-file, or delete this one to start by --from")
	}
	return cursor, nil
}

// save replaces the file in one step: whenever the process or the machine ends,
// it holds this cursor or the one before.
func (f cursorFile) save(cursor string) error {
	if f == "" || cursor == "" {
		return nil
	}
	if err := f.replace(cursor + "\n"); err != nil {
		return fmt.Errorf("keep the cursor: %w", err)
	}
	return nil
}

func (f cursorFile) replace(content string) error {
	temp, err := os.CreateTemp(filepath.Dir(string(f)), filepath.Base(string(f))+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // gone already when all went well
	_, err = temp.WriteString(content)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), string(f))
}

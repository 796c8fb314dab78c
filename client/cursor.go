package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A CursorStore keeps the place of one stream between runs of a process. Its
// methods are called by one goroutine at a time.
//
// To handle each event exactly once, keep the delivery's cursor where the
// handler's result is kept, in the same transaction, and let Save do nothing.
type CursorStore interface {
	// Load answers the cursor that was kept last, and an empty one when there is
	// none yet. An error ends the stream before it is opened: to begin elsewhere
	// without a word would be a gap, or a flood.
	Load(ctx context.Context) (string, error)
	// Save keeps a cursor: every event up to it was handled. It is called at most
	// as often as StreamOptions.SaveEvery says, and at the end. An error ends the
	// stream.
	Save(ctx context.Context, cursor string) error
}

// FileCursors keeps the place in a file, for one process at a time.
func FileCursors(path string) CursorStore { return fileCursors(path) }

type fileCursors string

func (f fileCursors) Load(context.Context) (string, error) {
	content, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	cursor := strings.TrimSpace(string(content))
	if cursor == "" {
		return "", fmt.Errorf("%s holds no cursor", f)
	}
	return cursor, nil
}

// Save replaces the file in one step: whenever the process or the machine ends,
// it holds this cursor or the one before.
func (f fileCursors) Save(_ context.Context, cursor string) error {
	temp, err := os.CreateTemp(filepath.Dir(string(f)), filepath.Base(string(f))+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // gone already when all went well
	_, err = temp.WriteString(cursor + "\n")
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), string(f))
}

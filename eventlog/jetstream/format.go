package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// fileFormat says how a data directory is written: see Format.
const fileFormat = "FORMAT"

const (
	// Layout is how this version writes a data directory. It is one more with each
	// change that an earlier version would read wrongly.
	Layout = 1
	// layoutSince is the version that wrote Layout first, and so the lowest that reads it.
	layoutSince = "0.1.0"
)

// ErrFormat says that a data directory is not for this version.
var ErrFormat = errors.New("the data directory is not for this version")

// Format is what the file FORMAT of a data directory says.
type Format struct {
	// Layout number.
	Layout int `json:"layout"`
	// WrittenBy is the version that began with this layout in this directory; empty
	// when there is no file, as in those of 0.1.0.
	WrittenBy string `json:"written_by"`
	// ReadableFrom is the lowest version that can read it.
	ReadableFrom string `json:"readable_from"`
}

// ReadFormat answers how a data directory is written. One that does not say so was
// made by 0.1.0, or is new.
func ReadFormat(dir string) (Format, error) {
	path := filepath.Join(dir, fileFormat)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Format{Layout: 1, ReadableFrom: "0.1.0"}, nil
	}
	var f Format
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err == nil && f.Layout < 1 {
		err = fmt.Errorf("it has no layout")
	}
	if err != nil {
		return Format{}, fmt.Errorf("%w: %s: %s: restore it from a backup, or, when no later version than this one has used the directory, remove it", ErrFormat, path, plain(err))
	}
	return f, nil
}

// refusal answers why a directory of this format must not be used by this version.
func (f Format) refusal(dir string) error {
	if f.Layout <= Layout {
		return nil
	}
	return fmt.Errorf("%w: %s has layout %d, begun by version %s, and this one reads up to layout %d: use version %s or later, or a directory that is restored from a backup of before",
		ErrFormat, dir, f.Layout, f.WrittenBy, Layout, f.ReadableFrom)
}

// checkFormat answers how a directory is written, and why it must not be used.
func checkFormat(dir string) (Format, error) {
	if err := checkRestored(dir); err != nil {
		return Format{}, err
	}
	f, err := ReadFormat(dir)
	if err == nil {
		err = f.refusal(dir)
	}
	return f, err
}

// beginFormat refuses a directory of a later layout, and says in one that is new, of
// 0.1.0 or of an earlier layout which it has from now on. It is called before anything
// else is read or written there.
func beginFormat(dir, version string) error {
	f, err := checkFormat(dir)
	if err != nil || f.Layout == Layout && f.WrittenBy != "" {
		return err
	}
	if err := writeFormat(dir, version); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

func writeFormat(dir, version string) error {
	data, err := json.Marshal(Format{Layout: Layout, WrittenBy: version, ReadableFrom: layoutSince})
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, fileFormat), append(data, '\n'))
}

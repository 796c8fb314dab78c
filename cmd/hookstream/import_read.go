package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"google.golang.org/protobuf/encoding/protojson"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// exportVersion is the form of an export that is understood.
const exportVersion = 1

// readExport calls fn with the lines of a file. An error names the line.
func readExport(name string, fn func(*hookstreamv1.ExportEventsResponse) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 1<<20)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		m, err := parseExported(line)
		if err == nil {
			err = fn(m)
		}
		if err != nil {
			return fmt.Errorf("%s, line %d: %w", name, n, err)
		}
	}
}

// parseExported reads a line and holds the body against its hash.
func parseExported(line []byte) (*hookstreamv1.ExportEventsResponse, error) {
	text, whole := bytes.CutSuffix(line, []byte("\n"))
	if !whole {
		return nil, errors.New("it has no end: it was cut")
	}
	if bytes.HasPrefix(text, []byte(`{"error":`)) {
		return nil, errors.New("the gateway says here that the export failed")
	}
	m := new(hookstreamv1.ExportEventsResponse)
	if err := protojson.Unmarshal(text, m); err != nil {
		return nil, errors.New("it is damaged, or not of an export: no message of one can be read") // the error may quote a body
	}
	if m.GetVersion() != exportVersion {
		return nil, fmt.Errorf("it is of version %d, and this program reads version %d", m.GetVersion(), exportVersion)
	}
	e := m.GetEvent()
	if e == nil {
		return m, nil
	}
	sum := sha256.Sum256(e.GetEvent().GetRaw().GetBody())
	switch {
	case !bytes.Equal(sum[:], e.GetBodySha256()):
		return nil, errors.New("the body is not what its SHA-256 says")
	case e.GetEvent().GetSource() == "" || e.GetPublishTime().CheckValid() != nil:
		return nil, errors.New("the event lacks its source or its time")
	}
	return m, nil
}

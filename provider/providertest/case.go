package providertest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hookstream/hookstream/provider"
)

var words = []string{
	"inspect", "topic", "action", "environment", "event_id", "dedup_key", "entity", "occur_time", "attempt",
	"outcome", "method", "reason", "secret_index",
}

type testCase struct {
	why     string
	request *provider.Request
	want    map[string]string
}

func readCase(file string) (*testCase, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	why, sections, err := split(content)
	if err != nil {
		return nil, err
	}
	c := &testCase{why: strings.TrimSpace(why), request: &provider.Request{Body: sections["body"]}}
	if c.why == "" {
		return nil, errors.New("nothing says why this request is here")
	}
	if c.request.Header, err = readHeader(sections["header"]); err != nil {
		return nil, err
	}
	if c.request.ReceiveTime, err = readTime(string(sections["receive_time"])); err != nil {
		return nil, err
	}
	c.want, err = readWant(string(sections["want"]))
	return c, err
}

// split parts a txtar archive. The line break that ends a section is not its
// own: a body that ends in one is followed by an empty line.
func split(content []byte) (comment string, sections map[string][]byte, err error) {
	sections = make(map[string][]byte)
	name := ""
	for line := range bytes.Lines(content) {
		if marker, ok := sectionName(line); ok {
			if !slices.Contains([]string{"header", "body", "receive_time", "want"}, marker) || sections[marker] != nil {
				return "", nil, fmt.Errorf("unknown or repeated section %q", marker)
			}
			name = marker
			sections[name] = []byte{}
			continue
		}
		sections[name] = append(sections[name], line...)
	}
	comment = string(sections[""])
	for name, section := range sections {
		sections[name] = bytes.TrimSuffix(section, []byte("\n"))
	}
	return comment, sections, nil
}

func sectionName(line []byte) (string, bool) {
	name, ok := bytes.CutPrefix(bytes.TrimRight(line, "\r\n"), []byte("-- "))
	if !ok {
		return "", false
	}
	name, ok = bytes.CutSuffix(name, []byte(" --"))
	return string(name), ok
}

func readHeader(section []byte) (http.Header, error) {
	section = append(bytes.Clone(section), "\n\n"...)
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(section))).ReadMIMEHeader()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return http.Header(header), nil
}

func readTime(section string) (time.Time, error) {
	if section == "" {
		section = "2026-03-02T08:20:00Z"
	}
	return time.Parse(time.RFC3339, section)
}

func readWant(section string) (map[string]string, error) {
	want := make(map[string]string)
	for line := range strings.SplitSeq(section, "\n") {
		word, value, ok := strings.Cut(line, ":")
		if !ok || !slices.Contains(words, word) {
			return nil, fmt.Errorf("want: %q is no `word: value`", line)
		}
		want[word] = strings.TrimSpace(value)
	}
	return want, nil
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A plainOutput says how a command prints what it does.
type plainOutput struct {
	Output string `help:"How to print: text for people, json for programs." enum:"text,json" default:"text" short:"o" placeholder:"text|json"`
}

func (o plainOutput) json() bool { return o.Output == "json" }

// An output says how a command prints what there is.
type output struct {
	Output string `help:"How to print: text for people, wide with all columns, json or yaml for programs, name for the names alone." enum:"text,wide,json,yaml,name" default:"text" short:"o" placeholder:"FORM"`
}

func (o output) wide() bool { return o.Output == "wide" }

// forProgram reports whether write has the form that was asked for.
func (o output) forProgram() bool { return o.Output != "text" && o.Output != "wide" }

// write writes a message for programs.
func (o output) write(w io.Writer, m proto.Message) error {
	switch o.Output {
	case "yaml":
		return writeYAML(w, m)
	case "name":
		return writeNames(w, m)
	}
	return writeJSON(w, m)
}

// A written is the output of a command. It remembers the first write that failed:
// a command that passes over one has not done what it was asked for.
type written struct {
	io.Writer
	err error
}

func (w *written) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}

// failed answers err, or that the output could not be written when err does not
// say what else is wrong.
func (w *written) failed(err error) error {
	if w.err == nil || err != nil && !errors.Is(err, w.err) {
		return err
	}
	return fmt.Errorf("write the output: %w", w.err)
}

// syncFile makes what was written to w last, when that is a file: what is
// confirmed is not printed again after a power cut. It fails when w was no file at
// all: nobody has seen it then.
func syncFile(w io.Writer) error {
	if out, ok := w.(*written); ok {
		w = out.Writer
	}
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if closedAtStart(f) {
		return errors.New("write the output: standard output is closed, or the null device opened for reading too: > /dev/null drops what is printed")
	}
	if !isRegular(f) {
		return nil
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

func isRegular(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// lineEnds escapes in JSON what readers of lines beyond ours take for their end.
var lineEnds = strings.NewReplacer("\u0085", `\u0085`, "\u2028", `\u2028`, "\u2029", `\u2029`)

// writeJSON writes a message as the REST API would, indented, always with the
// same spaces: protojson's own are random on purpose.
func writeJSON(w io.Writer, m proto.Message) error {
	compact, err := protojson.Marshal(m)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = io.WriteString(w, lineEnds.Replace(out.String()))
	return err
}

// writeJSONLine writes a message on a line of its own.
func writeJSONLine(w io.Writer, m proto.Message) error {
	loose, err := protojson.Marshal(m)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Compact(&out, loose); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err = io.WriteString(w, lineEnds.Replace(out.String()))
	return err
}

// writeYAML writes what writeJSON does, as YAML, in the same order.
func writeYAML(w io.Writer, m proto.Message) error {
	text, err := protojson.Marshal(m)
	if err != nil {
		return err
	}
	var doc yaml.Node // JSON is YAML
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return err
	}
	unstyled(&doc)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(&doc), encoder.Close()); err != nil {
		return err
	}
	_, err = w.Write(out.Bytes())
	return err
}

// unstyled leaves quotes and braces to the writer: those were JSON's.
func unstyled(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		unstyled(child)
	}
}

// writeNames writes a line for each thing that a message is or lists.
func writeNames(w io.Writer, m proto.Message) error {
	for _, name := range namesOf(m.ProtoReflect()) {
		if _, err := fmt.Fprintln(w, oneLine(name)); err != nil {
			return err
		}
	}
	return nil
}

// naming are the fields that tell things of one kind apart, the better ones first:
// a type of events has no name, a delivery has that of its event, a verdict that of its request.
var naming = []protoreflect.Name{"name", "id", "request", "event", "type"}

// namesOf answers what a message is called, or what those in its list are.
func namesOf(m protoreflect.Message) (names []string) {
	fields := m.Descriptor().Fields()
	for _, name := range naming {
		switch field := fields.ByName(name); {
		case field == nil || field.IsList():
		case field.Kind() == protoreflect.StringKind:
			return []string{m.Get(field).String()}
		case field.Message() != nil:
			return namesOf(m.Get(field).Message())
		}
	}
	for i := range fields.Len() {
		if field := fields.Get(i); field.IsList() && field.Message() != nil {
			for list, at := m.Get(field).List(), 0; at < list.Len(); at++ {
				names = append(names, namesOf(list.Get(at).Message())...)
			}
			return names
		}
	}
	return nil
}

// writeTable writes rows in columns under a heading. An empty cell becomes a
// dash, so that columns can be counted by programs too.
func writeTable(w io.Writer, heading []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(heading, "\t"))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = oneLine(cell); cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// A property is one line of what is told of a single thing.
type property struct{ name, value string }

// writeProperties writes one property a line, leaving out those without a value.
func writeProperties(w io.Writer, properties ...property) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, p := range properties {
		if p.value != "" {
			fmt.Fprintf(t, "%s\t%s\n", p.name, oneLine(p.value))
		}
	}
	return t.Flush()
}

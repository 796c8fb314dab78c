package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// An output says how a command prints its result.
type output struct {
	Output string `help:"How to print: text for people, json for programs." enum:"text,json" default:"text" short:"o" placeholder:"text|json"`
}

func (o output) json() bool { return o.Output == "json" }

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
	_, err = w.Write(out.Bytes())
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
	_, err = w.Write(out.Bytes())
	return err
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

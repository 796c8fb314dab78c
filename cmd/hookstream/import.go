package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

type importCommand struct {
	File    string `arg:"" help:"What events export wrote, as ndjson."`
	DataDir string `help:"The data directory whose log is empty, and which no gateway uses." default:"${data_dir}" placeholder:"DIR"`
}

// maxImportEntry is the largest entry that any log takes.
const maxImportEntry = 32 << 20

// Run looks through all of the file before it writes anything.
func (c importCommand) Run(ctx context.Context, p *program) error {
	seen := new(importCheck)
	if err := readExport(c.File, seen.line); err != nil {
		return err
	}
	if err := seen.end(); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return err
	}
	o := jetstream.DefaultOptions()
	o.Dir, o.MaxAge, o.MaxEntryBytes = c.DataDir, 0, maxImportEntry
	engine, err := jetstream.Open(ctx, o)
	if err != nil {
		return err
	}
	in := &importer{ctx: ctx, engine: engine, now: timestamppb.Now()}
	err = in.run(c.File)
	if err = errors.Join(err, engine.Close()); err != nil {
		return err
	}
	p.say("imported %d events; %d were there from an import that was cut", in.written, in.there)
	if seen.missed > 0 {
		p.say("%d events were missing in the log that was exported", seen.missed)
	}
	if seen.after != "" {
		p.say("the export begins behind a cursor: what its log held before that is not in it")
	}
	return nil
}

// importCheck holds the lines of an export against each other.
type importCheck struct {
	started, ended bool
	after          string // where the export began
	cursor         string
	events         int64 // since the last start
	missed         int64
	logs           map[event.Incarnation]bool
	log            event.Incarnation
	seq            uint64
}

func (c *importCheck) line(m *hookstreamv1.ExportEventsResponse) error {
	start := m.GetStart()
	switch {
	case !c.started && start == nil:
		return errors.New("an export begins with its start")
	case start != nil && c.started && start.GetAfterCursor() != c.cursor:
		return errors.New("an export begins here that does not go on where the one before ended")
	case start == nil && c.ended:
		return errors.New("the export has ended before")
	}
	c.cursor = m.GetCursor()
	switch {
	case start != nil:
		if !c.started {
			c.after = start.GetAfterCursor()
		}
		c.started, c.ended, c.events = true, false, 0
	case m.GetEvent() != nil:
		c.events++
		return c.event(m.GetEvent().GetEvent())
	case m.GetGap() != nil:
		c.missed += m.GetGap().GetMissedEvents()
	case m.GetEnd() != nil:
		if c.ended = true; m.GetEnd().GetEvents() != c.events {
			return fmt.Errorf("the export has %d events, and %d were written", c.events, m.GetEnd().GetEvents())
		}
	default:
		return errors.New("it says nothing that this version knows")
	}
	return nil
}

// event holds the order, by which events are found again under their names.
func (c *importCheck) event(e *hookstreamv1.Event) error {
	inc, seq, err := event.ParseName(e.GetName())
	if err != nil {
		return fmt.Errorf("%q: %w", e.GetName(), err)
	}
	switch {
	case inc == c.log && len(c.logs) > 0 && seq <= c.seq:
		return fmt.Errorf("%s comes behind one of a higher number", e.GetName())
	case inc != c.log && c.logs[inc]:
		return fmt.Errorf("%s comes behind events of another log", e.GetName())
	}
	if c.logs == nil {
		c.logs = make(map[event.Incarnation]bool)
	}
	c.logs[inc], c.log, c.seq = true, inc, seq
	return nil
}

// end says what a file lacks that has no more lines.
func (c *importCheck) end() error {
	switch {
	case !c.started:
		return errors.New("there is no export in it")
	case !c.ended:
		return hinted(errors.New("the export was cut: its end is not there"), "append what follows: hookstream events export --from %s", c.cursor)
	}
	return nil
}

// importer brings what is in a file into a log, behind what an import that was cut
// has brought.
type importer struct {
	ctx     context.Context
	engine  *jetstream.Engine
	now     *timestamppb.Timestamp
	known   []event.Record // of the log, from next on
	next    uint64
	last    uint64 // of the log before
	group   []jetstream.Imported
	bytes   int
	there   int
	written int
}

// What is made durable at once.
const importEvents, importBytes = 256, 8 << 20

var errNotEmpty = errors.New("the log is not empty, and does not begin with what is in the file: import into an empty data directory")

func (i *importer) run(file string) error {
	b, err := i.engine.Events().Bounds(i.ctx)
	if err != nil {
		return err
	}
	if i.next, i.last = 1, b.Last; b.Last > 0 && b.First != 1 {
		return errNotEmpty
	}
	err = readExport(file, func(m *hookstreamv1.ExportEventsResponse) error {
		if m.GetEvent() == nil {
			return nil
		}
		return i.event(m.GetEvent())
	})
	if err == nil && i.next <= i.last {
		err = errNotEmpty
	}
	if err != nil {
		return err
	}
	return i.flush()
}

func (i *importer) event(x *hookstreamv1.ExportedEvent) error {
	e := x.GetEvent()
	if i.next <= i.last {
		i.there++
		return i.same(e)
	}
	raw := e.GetRaw()
	e.Raw, e.ImportTime = nil, i.now
	data, err := event.Encode(e, raw)
	if err != nil {
		return err
	}
	i.group = append(i.group, jetstream.Imported{
		Source: strings.TrimPrefix(e.GetSource(), "sources/"), Topic: e.GetTopic(), Action: e.GetAction(), Data: data,
		Time: x.GetPublishTime().AsTime(), Marks: x.GetRepetitionMarks(), Key: "import:" + e.GetName(),
	})
	if i.bytes += len(data); len(i.group) < importEvents && i.bytes < importBytes {
		return nil
	}
	return i.flush()
}

func (i *importer) flush() error {
	if err := i.engine.Import(i.ctx, i.group); err != nil {
		return err
	}
	i.written += len(i.group)
	i.group, i.bytes = i.group[:0], 0
	return nil
}

// same holds an event against the one that the log has in its place.
func (i *importer) same(e *hookstreamv1.Event) (err error) {
	if len(i.known) == 0 {
		ctx, cancel := context.WithTimeout(i.ctx, time.Minute)
		defer cancel()
		if i.known, err = i.engine.Events().Read(ctx, i.next, importEvents, importBytes); err != nil {
			return err
		}
	}
	if len(i.known) == 0 || i.known[0].Seq != i.next {
		return errNotEmpty
	}
	parts, err := event.Split(i.known[0].Data)
	if err != nil || string(parts.Name) != e.GetName() || string(parts.Body()) != string(e.GetRaw().GetBody()) {
		return errNotEmpty
	}
	i.known, i.next = i.known[1:], i.next+1
	return nil
}

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/hookstream/hookstream/eventlog"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/source"
	"github.com/hookstream/hookstream/subscription"
)

// doctorCommand looks through a data directory.
type doctorCommand struct {
	plainOutput
	DataDir string `help:"The data directory, which no gateway may be using." default:"${data_dir}" placeholder:"DIR"`
	KeyFile string `name:"encryption-key-file" help:"Key of the sources, with which they are tried; not read when $HOOKSTREAM_ENCRYPTION_KEY is set; without either, secret.key in the data directory." placeholder:"FILE"`
	Repair  bool   `help:"Write what is damaged anew without what cannot be read, after copying it to the directory \"damaged\"."`
}

var (
	errDirDamaged  = errors.New("the data directory is damaged: restore it from a backup, or keep what can be read with --repair")
	errUnreadable  = errors.New("what is configured cannot be read: with the wrong key, give the right one; without it, restore a backup")
	errIndexOff    = errors.New("the index does not agree with the log: --repair removes it, and the next start makes it anew")
	errDirRepaired = errors.New("the data directory was damaged: what could be read is kept, what is lost is told above")
)

func (c doctorCommand) Run(p *program) error {
	check, err := jetstream.CheckDir(c.DataDir, c.Repair)
	if err != nil {
		return err
	}
	known, err := jetstream.Known(c.DataDir)
	if err != nil {
		return err
	}
	unreadable, err := c.unreadable(p)
	if err != nil {
		return err
	}
	if c.json() {
		err = json.NewEncoder(p.stdout).Encode(struct {
			*jetstream.Check
			Known      []eventlog.Missing
			Damaged    bool
			Unreadable []string
		}{check, known, check.Damaged(), unreadable})
	} else {
		c.tell(p, check, known, unreadable)
	}
	switch {
	case err != nil:
		return err
	case check.Damaged() && c.Repair:
		return errDirRepaired
	case check.Damaged():
		return errDirDamaged
	case len(unreadable) > 0:
		return errUnreadable
	case check.Index != nil && check.Index.Differ > 0 && !c.Repair:
		return errIndexOff
	}
	return nil
}

// unreadable says what of the configuration a gateway with this key would not read.
func (c doctorCommand) unreadable(p *program) (out []string, err error) {
	sources, err := jetstream.Values(c.DataDir, "SOURCES")
	if err != nil {
		return nil, err
	}
	subs, err := jetstream.Values(c.DataDir, "SUBSCRIPTIONS")
	if err != nil {
		return nil, err
	}
	var key source.Key
	if len(sources) > 0 {
		if key, err = c.key(p); err != nil {
			return []string{fmt.Sprintf("the key of %d sources: %s", len(sources), err)}, nil
		}
	}
	for _, id := range slices.Sorted(maps.Keys(sources)) {
		if err := source.CheckStored(key, id, sources[id]); err != nil {
			out = append(out, err.Error())
		}
	}
	for _, id := range slices.Sorted(maps.Keys(subs)) {
		if err := subscription.CheckStored(id, subs[id]); err != nil {
			out = append(out, fmt.Sprintf("subscription %q: %s", id, err))
		}
	}
	return out, nil
}

// key answers that which a gateway would take.
func (c doctorCommand) key(p *program) (source.Key, error) {
	if text := p.getenv(encryptionKeyVariable); text != "" {
		key, err := source.ParseKey(text)
		if err != nil {
			err = fmt.Errorf("%s: %w", encryptionKeyVariable, err)
		}
		return key, err
	}
	return source.LoadKey(cmp.Or(c.KeyFile, filepath.Join(c.DataDir, "secret.key")))
}

// tell tells people.
func (c doctorCommand) tell(p *program, check *jetstream.Check, known []eventlog.Missing, unreadable []string) {
	r := newReport(p.stdout)
	r.step("format", "%s", format(*check.Format))
	for _, s := range check.Streams {
		r.step(s.Name, "%d records in %d blocks, %d bytes, up to number %d", s.Records, s.Blocks, s.Bytes, s.Last)
		if s.Torn > 0 {
			r.step("", "the last %d bytes were being written when the gateway ended: nothing that was acknowledged", s.Torn)
		}
		for _, d := range s.Damage {
			r.step("", "DAMAGED: %s", d)
		}
	}
	if check.Index != nil {
		tellIndex(r, check.Index)
	}
	for _, u := range unreadable {
		r.step("UNREADABLE", "%s", u)
	}
	for _, m := range check.Missing {
		r.step("missing", "%s", missingEvents(m))
	}
	if !c.Repair {
		for _, m := range known {
			r.step("missing since earlier", "%s", missingEvents(m))
		}
	}
	if c.Repair && check.Damaged() {
		r.step("repaired", "copies of what was there lie in %s", check.Copies())
	}
	r.end()
}

func format(f jetstream.Format) string {
	by := "begun by version " + f.WrittenBy
	if f.WrittenBy == "" {
		by = "which 0.1.0 does not say itself"
	}
	return fmt.Sprintf("layout %d, %s, read by %s and later", f.Layout, by, f.ReadableFrom)
}

func tellIndex(r report, index *jetstream.IndexCheck) {
	r.step("index", "%d events held against it, of the log up to number %d", index.Events, index.Applied)
	if index.Differ > 0 {
		r.step("", "DIFFERS: of %d events, number %d the first, repetitions would not be told", index.Differ, index.First)
	}
	if index.Anew != "" {
		r.step("", "it is made anew at the next start: %s", index.Anew)
	}
}

func missingEvents(m eventlog.Missing) string {
	if m.From == m.To {
		return fmt.Sprintf("event number %d", m.From)
	}
	return fmt.Sprintf("%d events, numbers %d to %d", m.Events(), m.From, m.To)
}

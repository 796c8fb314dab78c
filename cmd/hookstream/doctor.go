package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hookstream/hookstream/eventlog"
)

// doctorCommand looks through a data directory.
type doctorCommand struct {
	output
	DataDir string `help:"The data directory, which no gateway may be using." default:"${data_dir}" placeholder:"DIR"`
	Repair  bool   `help:"Write what is damaged anew without what cannot be read, after copying it to the directory \"damaged\"."`
}

var (
	errDirDamaged  = errors.New("the data directory is damaged: restore it from a backup, or keep what can be read with --repair")
	errDirRepaired = errors.New("the data directory was damaged: what could be read is kept, what is lost is told above")
)

func (c doctorCommand) Run(p *program) error {
	check, err := eventlog.CheckDir(c.DataDir, c.Repair)
	if err != nil {
		return err
	}
	known, err := eventlog.Known(c.DataDir)
	if err != nil {
		return err
	}
	if c.json() {
		err = json.NewEncoder(p.stdout).Encode(struct {
			*eventlog.Check
			Known   []eventlog.Missing
			Damaged bool
		}{check, known, check.Damaged()})
	} else {
		c.tell(p, check, known)
	}
	switch {
	case err != nil:
		return err
	case check.Damaged() && c.Repair:
		return errDirRepaired
	case check.Damaged():
		return errDirDamaged
	}
	return nil
}

// tell tells people.
func (c doctorCommand) tell(p *program, check *eventlog.Check, known []eventlog.Missing) {
	r := newReport(p.stdout)
	for _, s := range check.Streams {
		r.step(s.Name, "%d records in %d blocks, %d bytes, up to number %d", s.Records, s.Blocks, s.Bytes, s.Last)
		if s.Torn > 0 {
			r.step("", "the last %d bytes were being written when the gateway ended: nothing that was acknowledged", s.Torn)
		}
		for _, d := range s.Damage {
			r.step("", "DAMAGED: %s", d)
		}
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

func missingEvents(m eventlog.Missing) string {
	if m.From == m.To {
		return fmt.Sprintf("event number %d", m.From)
	}
	return fmt.Sprintf("%d events, numbers %d to %d", m.Events(), m.From, m.To)
}

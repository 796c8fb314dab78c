package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/hookstream/hookstream/backup"
	"github.com/hookstream/hookstream/eventlog/jetstream"
)

// restoreCommand makes a data directory of a backup.
type restoreCommand struct {
	plainOutput
	File    string `arg:"" help:"The backup." placeholder:"FILE"`
	DataDir string `help:"The directory to restore to, which must be empty, or not there." default:"${data_dir}" placeholder:"DIR"`
}

// Run reads the backup twice: nothing is made of one that is harmed.
func (c *restoreCommand) Run(ctx context.Context, p *program) error {
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it is only read
	m, err := backup.Read(f, nil)
	if err != nil {
		return harmed(c.File, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := c.restore(ctx, f); err != nil {
		return err
	}
	return tellBackup(p, c.plainOutput, c.File, m, "restored")
}

func (c *restoreCommand) restore(ctx context.Context, from io.Reader) error {
	r, err := jetstream.BeginRestore(c.DataDir)
	if err != nil {
		return err
	}
	_, err = backup.Read(from, func(part string, content io.Reader) error { return r.Part(ctx, part, content) })
	if err != nil {
		return errors.Join(err, r.Abort())
	}
	return r.End()
}

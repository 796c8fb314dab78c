package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/hookstream/hookstream/app"
	"github.com/hookstream/hookstream/backup"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/source"
)

// backupCommand makes a backup of a gateway that runs.
type backupCommand struct {
	connection
	plainOutput
	File       string `arg:"" help:"The file to make, which must not be there; - is standard output." placeholder:"FILE"`
	IncludeKey string `help:"Put this file, the encryption key of the sources, into the backup. Without it the key is not in it." placeholder:"FILE"`
	Rate       size   `help:"How much is read in a second." default:"64MiB" placeholder:"SIZE"`
}

// Run makes the file whole, or none.
func (c *backupCommand) Run(ctx context.Context, p *program) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	if c.File == "-" {
		_, err := c.write(ctx, p.stdout, key)
		return err
	}
	m, err := c.writeFile(ctx, key)
	if err != nil {
		return err
	}
	return tellBackup(p, c.plainOutput, c.File, m, "backup")
}

// key reads what --include-key names, which must be one.
func (c *backupCommand) key() ([]byte, error) {
	if c.IncludeKey == "" {
		return nil, nil
	}
	if _, err := source.LoadKey(c.IncludeKey); err != nil {
		return nil, err
	}
	return os.ReadFile(c.IncludeKey)
}

func (c *backupCommand) writeFile(ctx context.Context, key []byte) (m backup.Manifest, err error) {
	if _, err := os.Lstat(c.File); err == nil {
		return m, fmt.Errorf("%s is there already", c.File)
	}
	part := c.File + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return m, err
	}
	if m, err = c.write(ctx, f, key); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, c.File)
	}
	if err != nil {
		return m, errors.Join(err, os.Remove(part))
	}
	return m, syncFolder(filepath.Dir(c.File))
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (c *backupCommand) write(ctx context.Context, to io.Writer, key []byte) (m backup.Manifest, err error) {
	err = c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		w := backup.NewWriter(to, app.Version, time.Now())
		stream, err := hookstreamv1.NewAdminServiceClient(conn).Backup(ctx, &hookstreamv1.BackupRequest{MaxBytesPerSecond: int64(c.Rate)})
		if err == nil {
			err = receiveBackup(stream, w)
		}
		if err == nil && key != nil {
			if err = w.Part(jetstream.PartKey); err == nil {
				_, err = w.Write(key)
			}
		}
		if err == nil {
			m, err = w.Close()
		}
		return err
	})
	return m, err
}

// receiveBackup writes what the gateway sends, and holds it against what the gateway
// says that it has sent.
func receiveBackup(stream grpc.ServerStreamingClient[hookstreamv1.BackupResponse], w *backup.Writer) error {
	for {
		got, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("the gateway ended the backup before its end")
		case err != nil:
			return err
		}
		switch f := got.GetFrame().(type) {
		case *hookstreamv1.BackupResponse_Part:
			err = w.Part(f.Part.GetName())
		case *hookstreamv1.BackupResponse_Data:
			_, err = w.Write(f.Data)
		case *hookstreamv1.BackupResponse_End:
			return compareParts(f.End.GetParts(), w)
		}
		if err != nil {
			return err
		}
	}
}

func compareParts(sent []*hookstreamv1.BackupPart, w *backup.Writer) error {
	got, err := w.Sums()
	if err != nil {
		return err
	}
	same := func(a *hookstreamv1.BackupPart, b backup.Part) bool {
		return a.GetName() == b.Name && a.GetSize() == b.Bytes && a.GetSha256() == b.SHA256
	}
	if !slices.EqualFunc(sent, got, same) {
		return errors.New("what came is not what the gateway sent")
	}
	return nil
}

// verifyBackupCommand reads a backup without restoring it.
type verifyBackupCommand struct {
	plainOutput
	File string `arg:"" help:"The backup; - is standard input." placeholder:"FILE"`
}

// Run says what is in a backup, or what is wrong with it.
func (c *verifyBackupCommand) Run(p *program) error {
	in := p.stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // it is only read
		in = f
	}
	m, err := backup.Read(in, nil)
	if err != nil {
		return harmed(c.File, err)
	}
	return tellBackup(p, c.plainOutput, c.File, m, "whole")
}

func harmed(file string, err error) error {
	return fmt.Errorf("%s: %w", file, err)
}

// tellBackup tells what is in a backup.
func tellBackup(p *program, o plainOutput, file string, m backup.Manifest, what string) error {
	if o.json() {
		return json.NewEncoder(p.stdout).Encode(m)
	}
	r := newReport(p.stdout)
	defer r.end()
	r.step(what, "%s: %d bytes in %d parts, made by version %s", file, m.Bytes(), len(m.Parts), m.Version)
	r.step("has", "all that was acknowledged before %s", m.Begun.Format(time.RFC3339Nano))
	withKey := slices.ContainsFunc(m.Parts, func(p backup.Part) bool { return p.Name == jetstream.PartKey })
	if withKey {
		r.step("key", "the encryption key is in it: whoever reads it has all credentials of sources")
	} else {
		r.step("key", "the encryption key is not in it: keep it too, without it the credentials of sources are lost")
	}
	return nil
}

package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"google.golang.org/grpc"

	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A BackupWriter takes a backup: Part begins the next part, Write adds to it.
type BackupWriter interface {
	Part(name string) error
	io.Writer
}

// adminService is the AdminService.
type adminService struct {
	hookstreamv1.UnimplementedAdminServiceServer

	backup func(ctx context.Context, rate int64, to BackupWriter) error // nil: there is none
}

const (
	defaultBackupRate = 64 << 20
	minBackupRate     = 1 << 20
	// backupFrame bounds the data of a frame.
	backupFrame = 256 << 10
)

// Backup streams all that the gateway keeps.
func (s *adminService) Backup(req *hookstreamv1.BackupRequest, stream grpc.ServerStreamingServer[hookstreamv1.BackupResponse]) error {
	if s.backup == nil {
		return eventlog.ErrNoBackup
	}
	rate := max(cmp.Or(req.GetMaxBytesPerSecond(), defaultBackupRate), minBackupRate)
	to := &backupStream{stream: stream}
	if err := s.backup(stream.Context(), rate, to); err != nil {
		return err
	}
	to.endPart()
	return stream.Send(&hookstreamv1.BackupResponse{Frame: &hookstreamv1.BackupResponse_End{End: &hookstreamv1.BackupEnd{Parts: to.parts}}})
}

// backupStream is a BackupWriter that sends.
type backupStream struct {
	stream grpc.ServerStreamingServer[hookstreamv1.BackupResponse]
	parts  []*hookstreamv1.BackupPart
	sum    hash.Hash
}

func (b *backupStream) Part(name string) error {
	b.endPart()
	b.sum = sha256.New()
	b.parts = append(b.parts, &hookstreamv1.BackupPart{Name: name})
	return b.stream.Send(&hookstreamv1.BackupResponse{Frame: &hookstreamv1.BackupResponse_Part{Part: &hookstreamv1.BackupPart{Name: name}}})
}

func (b *backupStream) endPart() {
	if n := len(b.parts); n > 0 {
		b.parts[n-1].Sha256 = hex.EncodeToString(b.sum.Sum(nil))
	}
}

func (b *backupStream) Write(data []byte) (int, error) {
	if len(b.parts) == 0 {
		return 0, errors.New("no part has begun")
	}
	for sent := 0; sent < len(data); {
		piece := data[sent:min(sent+backupFrame, len(data))]
		if err := b.stream.Send(&hookstreamv1.BackupResponse{Frame: &hookstreamv1.BackupResponse_Data{Data: piece}}); err != nil {
			return sent, err
		}
		_, _ = b.sum.Write(piece) // never fails
		b.parts[len(b.parts)-1].Size += int64(len(piece))
		sent += len(piece)
	}
	return len(data), nil
}

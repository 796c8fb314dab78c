package server

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// twoParts is a backup of two parts, one of several frames.
func twoParts(_ context.Context, _ int64, to BackupWriter) error {
	for name, data := range map[string]string{"A": strings.Repeat("a", 3*backupFrame+1)} {
		if err := to.Part(name); err != nil {
			return err
		}
		if _, err := io.WriteString(to, data); err != nil {
			return err
		}
	}
	return to.Part("EMPTY")
}

// A backup comes in frames, and is whole when its end has come, which says what was sent.
func TestBackupComesInFrames(t *testing.T) {
	g := start(t, func(o *Options, _ *HTTPOptions) { o.Backup = twoParts })
	stream, err := hookstreamv1.NewAdminServiceClient(g.conn).Backup(t.Context(), &hookstreamv1.BackupRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	size := 0
	for {
		got, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		size += len(got.GetData())
		if got.GetPart() != nil {
			said = append(said, got.GetPart().GetName())
		}
		if end := got.GetEnd(); end != nil {
			said = append(said, "end")
			if p := end.GetParts(); len(p) != 2 || p[0].GetSize() != 3*backupFrame+1 || len(p[0].GetSha256()) != 64 || p[1].GetName() != "EMPTY" {
				t.Errorf("the end says %v", p)
			}
		}
	}
	if size != 3*backupFrame+1 || strings.Join(said, " ") != "A EMPTY end" {
		t.Errorf("%d bytes, %v", size, said)
	}
}

// Over REST it is a line a frame.
func TestBackupOverREST(t *testing.T) {
	g := start(t, func(o *Options, _ *HTTPOptions) { o.Backup = twoParts })
	code, header, body := g.do(t, http.MethodPost, backupPath, "{}")
	if code != 200 || header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%d %v", code, header)
	}
	size, last := 0, ""
	lines := bufio.NewScanner(strings.NewReader(body))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct{ Result struct{ Data string } }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		data, err := base64.StdEncoding.DecodeString(line.Result.Data)
		if err != nil {
			t.Fatal(err)
		}
		size, last = size+len(data), lines.Text()
	}
	if size != 3*backupFrame+1 || !strings.Contains(last, `"end"`) {
		t.Errorf("%d bytes, and last %s", size, last)
	}
}

// Where none can be made, and where one fails on its way, nobody takes it for whole.
func TestBackupThatIsNone(t *testing.T) {
	for name, c := range map[string]struct {
		backup func(context.Context, int64, BackupWriter) error
		code   codes.Code
		reason string
	}{
		"none here": {nil, codes.FailedPrecondition, "BACKUP_REFUSED"},
		"fails later": {func(ctx context.Context, rate int64, to BackupWriter) error {
			return errors.Join(twoParts(ctx, rate, to), eventlog.ErrUnavailable)
		}, codes.Unavailable, "STORE_UNAVAILABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, func(o *Options, _ *HTTPOptions) { o.Backup = c.backup })
			stream, err := hookstreamv1.NewAdminServiceClient(g.conn).Backup(t.Context(), &hookstreamv1.BackupRequest{})
			for err == nil {
				var got *hookstreamv1.BackupResponse
				if got, err = stream.Recv(); got.GetEnd() != nil {
					t.Error("it has an end")
				}
			}
			wantStatus(t, err, c.code, c.reason)
		})
	}
}

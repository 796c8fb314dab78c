package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A service declares its subscription when it starts, and consumes it until it is
// told to stop.
func ExampleRun() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	conn, err := client.Dial("127.0.0.1:9090", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		slog.Error("dial", "error", err)
		return
	}
	defer conn.Close()
	_, err = client.Ensure(ctx, conn, &hookstreamv1.Subscription{
		Name:        "subscriptions/crm",
		Selector:    &hookstreamv1.EventSelector{Types: []string{"signature_request.*"}},
		Ordering:    hookstreamv1.Ordering_ORDERING_BY_ENTITY,
		AckDeadline: durationpb.New(30 * time.Second),
	}, client.Earliest())
	if err != nil {
		slog.Error("ensure the subscription", "error", err)
		return
	}
	handle := func(ctx context.Context, d *hookstreamv1.Delivery) error {
		switch err := store(ctx, d.GetEvent()); {
		case errors.Is(err, errInvalid):
			return client.Park(err) // another attempt would not help
		case errors.Is(err, errBusy):
			return client.RetryAfter(30*time.Second, err)
		default:
			return err // nil: acknowledged; otherwise again after the back-off
		}
	}
	err = client.Run(ctx, conn, "crm", handle, client.RunOptions{
		Concurrency: 8,
		ClientID:    "crm-1",
		OnError:     func(err error) { slog.Warn("subscription", "error", err) },
	})
	if err != nil {
		slog.Error("subscription", "error", err)
	}
}

// A process that needs every event, in order, streams the log and keeps its own
// place.
func ExampleStream() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	conn, err := client.Dial("127.0.0.1:9090", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		slog.Error("dial", "error", err)
		return
	}
	defer conn.Close()
	err = client.Stream(ctx, conn, client.StreamOptions{
		Selector: &hookstreamv1.EventSelector{Types: []string{"signer.done"}},
		Start:    client.Earliest(),
		Cursors:  client.FileCursors("/var/lib/crm/cursor"),
		OnError:  func(err error) { slog.Warn("stream", "error", err) },
	}, func(ctx context.Context, d *hookstreamv1.Delivery) error {
		return store(ctx, d.GetEvent())
	})
	switch {
	case client.Reason(err) == hookstreamv1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED:
		slog.Error("events were lost to retention: read the state from the sender, and begin anew")
	case !errors.Is(err, context.Canceled):
		slog.Error("stream", "error", err)
	}
}

// What a handler answers decides what becomes of the event.
func ExampleRetryAfter() {
	fmt.Println(client.RetryAfter(time.Minute, errBusy))
	fmt.Println(client.Park(errInvalid))
	fmt.Println(client.Skip("not one of ours"))
	// Output:
	// retry: busy
	// park: invalid
	// skip: not one of ours
}

// A cursor that is kept with the result, in one transaction, makes the effect of
// every event happen exactly once: the store only loads, and the handler saves.
func ExampleCursorStore() {
	db := &database{}
	conn, err := client.Dial("127.0.0.1:9090", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return
	}
	defer conn.Close()
	_ = client.Stream(context.Background(), conn, client.StreamOptions{Cursors: db},
		func(_ context.Context, d *hookstreamv1.Delivery) error {
			return db.transaction(func() {
				db.handled = append(db.handled, d.GetEvent().GetName())
				db.cursor = d.GetCursor()
			})
		})
}

// A database stands for one that has transactions.
type database struct {
	cursor  string
	handled []string
}

func (db *database) Load(context.Context) (string, error) { return db.cursor, nil }
func (db *database) Save(context.Context, string) error   { return nil }
func (db *database) transaction(do func()) error          { do(); return nil }

var (
	errInvalid = errors.New("invalid")
	errBusy    = errors.New("busy")
)

// store stands for what the service does with an event.
func store(context.Context, *hookstreamv1.Event) error { return nil }

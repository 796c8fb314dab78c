package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrRefused says that the NATS server will never do what is asked of it until
// somebody changes its configuration, or ours.
var ErrRefused = errors.New("eventlog: NATS refuses")

// denial is one kind of thing that the server does not allow; to connect is one.
type denial struct {
	err  error
	n    int       // it was the nth of all denials, the last time
	at   time.Time // then
	told time.Time // the log was told then
}

const (
	// deniedTime is how long what was denied last counts as denied, unless it is again.
	deniedTime = 3 * sameEvery
	// tellEvery is how often the log is told of one kind.
	tellEvery = time.Minute
	// maxDenials bounds the kinds that are remembered.
	maxDenials = 256
)

// deny keeps that the server does not allow something. A start ends with it, unless it is
// about what can be done without.
func (e *Engine) deny(err error) {
	kind := deniedKind(err.Error())
	if strings.Contains(kind, loosePrefix) {
		e.logger.Warn("NATS does not allow what can be done without; see the permissions in docs/operating.md", "err", err)
		return
	}
	err = fmt.Errorf("%w: %w; see the permissions in docs/operating.md", ErrRefused, err)
	now := time.Now()
	e.connMu.Lock()
	e.deniedN++
	d := e.denied[kind]
	if d == nil && len(e.denied) < maxDenials {
		d = new(denial)
		e.denied[kind] = d
	}
	tell := d == nil || now.Sub(d.told) > tellEvery
	if d != nil {
		d.err, d.n, d.at = err, e.deniedN, now
		if tell {
			d.told = now
		}
	}
	give := e.giveUp
	e.connMu.Unlock()
	if tell {
		e.logger.Error("NATS does not allow what the gateway needs", "err", err)
	}
	if give != nil {
		give(err)
	}
}

// deniedKind is what was not allowed, without what is another one each time: an
// acknowledgement has a subject of its own.
func deniedKind(text string) string {
	what, subject, _ := strings.Cut(text, `"`)
	tokens := strings.Split(subject, ".")
	return what + strings.Join(tokens[:min(len(tokens), 6)], ".")
}

// Denied answers what the server did not allow since the start, joined; nil when
// nothing.
func (e *Engine) Denied() error { return e.deniedSince(0) }

// deniedCount answers how much was denied up to now.
func (e *Engine) deniedCount() int {
	e.connMu.Lock()
	defer e.connMu.Unlock()
	return e.deniedN
}

func (e *Engine) deniedSince(n int) error {
	return e.deniedWhere(func(d *denial) bool { return d.n > n })
}

// withdrawn answers what the server does not allow at present, as far as it was tried:
// permissions may be taken from a gateway that runs.
func (e *Engine) withdrawn() error {
	now := time.Now()
	return e.deniedWhere(func(d *denial) bool { return now.Sub(d.at) < deniedTime })
}

// deniedWhere answers the denials of which where says so, joined, the latest last.
func (e *Engine) deniedWhere(where func(*denial) bool) error {
	e.connMu.Lock()
	defer e.connMu.Unlock()
	var some []*denial
	for _, d := range e.denied {
		if where(d) {
			some = append(some, d)
		}
	}
	slices.SortFunc(some, func(a, b *denial) int { return a.n - b.n })
	var errs []error
	for _, d := range some {
		errs = append(errs, d.err)
	}
	return errors.Join(errs...)
}

// mindPermissions tries again what was denied, until it is allowed. Nothing else would
// tell that it is: most of it is asked for by consumers and senders, who may be sent
// elsewhere. What the server took off its list of who listens it is told anew.
func (e *Engine) mindPermissions() {
	t := time.NewTicker(sameEvery)
	defer t.Stop()
	for denied, deaf := false, false; ; {
		select {
		case <-t.C:
		case <-e.ctx.Done():
			return
		}
		err := e.withdrawn()
		switch {
		case err != nil:
			denied, deaf = true, deaf || strings.Contains(err.Error(), "for Subscription")
			_ = e.tryPermissions(e.js.Conn())
		case denied:
			e.logger.Info("NATS allows again what the gateway needs")
			if deaf {
				e.listenAnew()
			}
			denied, deaf = false, false
		}
	}
}

// listenAnew tells the server on all connections what is listened to.
func (e *Engine) listenAnew() {
	for _, l := range e.allLinks() {
		_ = l.nc.ForceReconnect() // it is closed, or reconnects already
	}
}

// checkPermissions finds out at the start whether the gateway may say and hear what
// it will have to.
func (e *Engine) checkPermissions(nc *nats.Conn) error {
	if err := e.tryPermissions(nc); err != nil {
		return err
	}
	if err := nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		time.Sleep(100 * time.Millisecond) // for the others, which come one by one
		return e.Denied()
	}
	return nil
}

// tryPermissions says and hears one of each kind that a gateway has to. Nothing that is
// said has an effect; what is not allowed is denied.
func (e *Engine) tryPermissions(nc *nats.Conn) error {
	for _, subject := range []string{SubjectOutcome + ".probe", SubjectGateway + ".probe.probe", SubjectGateways + ".probe", AdvisoryDropped + "probe", nc.NewInbox()} {
		sub, err := nc.SubscribeSync(subject)
		if err != nil {
			return err
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	for _, subject := range e.needed() {
		m := nats.NewMsg(subject)
		m.Header.Set(headerLastSequence, strconv.FormatUint(math.MaxInt64, 10)) // stored by nobody
		if err := nc.PublishMsg(m); err != nil {
			return err
		}
	}
	return nc.FlushTimeout(RequestTimeout)
}

// needed are subjects that the gateway publishes to, one of each kind.
func (e *Engine) needed() []string {
	out := []string{
		SubjectEvents + ".probe", SubjectRows + ".probe", SubjectAsked + ".probe", SubjectParked + ".probe.probe", SubjectReplays + ".probe.probe",
		SubjectOutcome + ".probe", SubjectGateway + ".probe.probe", SubjectGateways + ".probe",
		e.keySubject("SOURCES", "probe"), e.keySubject("SUBSCRIPTIONS", "probe"),
	}
	for _, stream := range []string{StreamEvents, StreamInbox, StreamParked, StreamAttempts} {
		out = append(out, e.API("STREAM.INFO."+stream), e.API("CONSUMER.MSG.NEXT."+stream+".probe"), e.API("CONSUMER.INFO."+stream+".probe"), e.API("CONSUMER.CREATE."+stream+".probe"))
	}
	for _, stream := range []string{StreamEvents, StreamInbox, StreamParked} { // what is read of others is not acknowledged
		out = append(out, "$JS.ACK."+stream+".probe.1.1.1.0.0")
	}
	for _, stream := range []string{"KV_" + bucketPrefix + "SOURCES", "KV_" + bucketPrefix + "SUBSCRIPTIONS"} {
		out = append(out, e.API("STREAM.INFO."+stream), e.API("STREAM.MSG.GET."+stream), e.API("CONSUMER.CREATE."+stream+".probe"), e.API("CONSUMER.MSG.NEXT."+stream+".probe"))
	}
	return append(out, e.API("CONSUMER.UNPIN."+StreamEvents+".probe"), e.API("DIRECT.GET."+StreamEvents), SubjectAttempts+".probe.probe",
		e.API("STREAM.MSG.GET."+StreamEvents), e.API("STREAM.MSG.GET."+StreamParked), e.API("STREAM.MSG.GET."+StreamAttempts))
}

// Codes of refusals that do not pass by themselves.
const (
	codeReplicasNotClustered = 10074
	codeMaxBytesRequired     = 10113
	codeSubjectsOverlap      = 10065
	codeNoJetStream          = 10076
)

// permanent reports whether trying again is in vain.
func permanent(err error) bool {
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) {
		return true
	}
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) || errors.Is(err, ErrRefused) {
		return true
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch int(api.ErrorCode) {
	case codeReplicasNotClustered, codeMaxBytesRequired, codeSubjectsOverlap, codeNoJetStream:
		return true
	}
	return false
}

// The oldest server whose consumers can be pinned, without which order cannot be
// held, and the oldest one that this was tested with.
var (
	leastServer  = [2]int{2, 11}
	testedServer = [2]int{2, 15}
)

// checkVersion refuses a server that is too old to keep what is promised.
func (e *Engine) checkVersion(version string) error {
	v, ok := parseVersion(version)
	switch {
	case !ok:
		e.logger.Warn("the NATS server does not say what version it is; it may not do all that is needed", "version", version)
	case less(v, leastServer):
		return fmt.Errorf("%w: its version is %s; at least %d.%d is needed, and %d.%d was tested", ErrRefused, version, leastServer[0], leastServer[1], testedServer[0], testedServer[1])
	case less(v, testedServer):
		e.logger.Warn("the NATS server is older than what this was tested with", "version", version, "tested", fmt.Sprintf("%d.%d", testedServer[0], testedServer[1]))
	}
	return nil
}

func less(a, b [2]int) bool { return a[0] < b[0] || a[0] == b[0] && a[1] < b[1] }

func parseVersion(s string) (v [2]int, ok bool) {
	parts := strings.SplitN(strings.TrimPrefix(s, "v"), ".", 3)
	if len(parts) < 2 {
		return v, false
	}
	var err1, err2 error
	v[0], err1 = strconv.Atoi(parts[0])
	v[1], err2 = strconv.Atoi(parts[1])
	return v, err1 == nil && err2 == nil
}

// starting answers a context that ends with what the server refuses.
func (e *Engine) starting(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	e.connMu.Lock()
	defer e.connMu.Unlock()
	e.giveUp = cancel
	return ctx, func() {
		e.connMu.Lock()
		e.giveUp = nil
		e.connMu.Unlock()
		cancel(nil)
	}
}

package subscription

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// store holds all subscriptions in memory, as the bucket has them.
type store struct {
	bucket eventlog.Bucket
	logger *slog.Logger
	// tell is called with every change, in order, before the change is seen as in
	// force.
	tell func(uid string, sub *Subscription)
	// gap is told of what subscriptions missed.
	gap func(eventlog.Change)

	mu   sync.Mutex
	subs map[string]*stored
	// uids has the same by uid: tokens and queues are named by it.
	uids map[string]*stored
	// unread are the revisions, by id, of forms that cannot be read here: a newer
	// gateway wrote them. What was read last stays in force.
	unread  map[string]uint64
	seen    uint64
	key     []byte // that tokens are signed with
	changed chan struct{}

	stop context.CancelFunc
	done chan struct{}
}

// stored is a subscription with the revision of the bucket that brought it.
type stored struct {
	sub      *Subscription
	revision uint64
	replays  bool // something was replayed: there is a second queue
}

// kept is the form of a subscription in the bucket.
type kept struct {
	UID                  string            `json:"uid"`
	Generation           int               `json:"generation"`
	Start                uint64            `json:"start"`
	Paused               bool              `json:"paused,omitempty"`
	Replays              bool              `json:"replays,omitempty"`
	Description          string            `json:"description,omitempty"`
	Labels               map[string]string `json:"labels,omitempty"`
	Selector             []byte            `json:"selector,omitempty"`
	Ordering             Ordering          `json:"ordering,omitempty"`
	AckDeadline          time.Duration     `json:"ack_deadline"`
	MaxAttempts          int               `json:"max_attempts"`
	BackoffMin           time.Duration     `json:"backoff_min"`
	BackoffMax           time.Duration     `json:"backoff_max"`
	MaxOutstandingEvents int               `json:"max_outstanding_events"`
	MaxOutstandingBytes  int64             `json:"max_outstanding_bytes"`
	CreateTime           time.Time         `json:"create_time"`
	UpdateTime           time.Time         `json:"update_time"`
	FormerDeadline       time.Duration     `json:"former_deadline,omitzero"`
	FormerUntil          time.Time         `json:"former_until,omitzero"`
}

func encode(s *Subscription, replays bool) ([]byte, error) {
	k := kept{
		UID: s.UID, Generation: s.Generation, Start: s.Start, Paused: s.Paused, Replays: replays,
		Description: s.Description, Labels: s.Labels, Ordering: s.Ordering,
		AckDeadline: s.AckDeadline, MaxAttempts: s.MaxAttempts, BackoffMin: s.BackoffMin, BackoffMax: s.BackoffMax,
		MaxOutstandingEvents: s.MaxOutstandingEvents, MaxOutstandingBytes: s.MaxOutstandingBytes,
		CreateTime: s.CreateTime, UpdateTime: s.UpdateTime,
		FormerDeadline: s.FormerDeadline, FormerUntil: s.FormerUntil,
	}
	if s.Selector != nil {
		var err error
		if k.Selector, err = proto.Marshal(s.Selector); err != nil {
			return nil, err
		}
	}
	return json.Marshal(k)
}

// errForm says that a stored value is no subscription as we know them.
var errForm = errors.New("not a form of a subscription that is known here")

func decode(id string, value []byte, revision uint64) (*stored, error) {
	var k kept
	if err := json.Unmarshal(value, &k); err != nil {
		return nil, err
	}
	s := &Subscription{
		ID: id, UID: k.UID, Generation: k.Generation, Start: k.Start, Paused: k.Paused,
		CreateTime: k.CreateTime, UpdateTime: k.UpdateTime, FormerDeadline: k.FormerDeadline, FormerUntil: k.FormerUntil, Etag: strconv.FormatUint(revision, 36),
		Settings: Settings{
			Description: k.Description, Labels: k.Labels, Ordering: k.Ordering,
			AckDeadline: k.AckDeadline, MaxAttempts: k.MaxAttempts, BackoffMin: k.BackoffMin, BackoffMax: k.BackoffMax,
			MaxOutstandingEvents: k.MaxOutstandingEvents, MaxOutstandingBytes: k.MaxOutstandingBytes,
		},
	}
	if s.UID == "" || s.Generation < 1 || s.Ordering < Unordered || s.Ordering > OrderByEntity {
		return nil, errForm
	}
	if k.Selector != nil {
		s.Selector = new(hookstreamv1.EventSelector)
		if err := proto.Unmarshal(k.Selector, s.Selector); err != nil {
			return nil, err
		}
	}
	return &stored{sub: s, revision: revision, replays: k.Replays}, nil
}

func openStore(ctx context.Context, b eventlog.Bucket, logger *slog.Logger, tell func(string, *Subscription), gap func(eventlog.Change)) (*store, error) {
	watching, stop := context.WithCancel(context.Background())
	s := &store{
		bucket: b, logger: logger, tell: tell, gap: gap,
		subs: make(map[string]*stored), uids: make(map[string]*stored), unread: make(map[string]uint64),
		changed: make(chan struct{}), stop: stop, done: make(chan struct{}),
	}
	ready := make(chan error, 1)
	go s.follow(watching, ready)
	var err error
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("load subscriptions: %w", err)
	}
	return s, nil
}

func (s *store) close() {
	s.stop()
	<-s.done
}

// rewatchDelay is how long follow waits before it watches again.
const rewatchDelay = time.Second

// follow keeps the subscriptions as the bucket has them. When the bucket is not
// there they stay as they were last seen.
func (s *store) follow(ctx context.Context, loaded chan<- error) {
	defer close(s.done)
	ready := false
	for {
		present := make(map[string]bool)
		all := false
		err := s.bucket.Watch(ctx, func(c eventlog.Change) {
			if !all {
				present[c.Key] = c.Value != nil
			}
			s.take(c)
		}, func() {
			all = true
			s.forgetOthers(present)
			if !ready {
				ready = true
				loaded <- nil
			}
		})
		if !ready {
			loaded <- err
			return
		}
		if ctx.Err() != nil {
			return
		}
		s.logger.Warn("subscriptions are not followed, trying again", "err", err)
		select {
		case <-time.After(rewatchDelay):
		case <-ctx.Done():
			return
		}
	}
}

// keyTokens is where the key lies that tokens are signed with. No id looks like
// it.
const keyTokens = "_tokens"

func (s *store) take(c eventlog.Change) {
	switch {
	case c.Key == keyTokens:
		s.takeKey(c)
	case strings.HasPrefix(c.Key, keyMissed):
		s.gap(c)
	case !ValidID(c.Key): // of a newer gateway
	default:
		s.announce(s.put(c))
	}
	s.mu.Lock()
	s.seen = max(s.seen, c.Revision)
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
}

// CheckStored says why what the bucket holds under a key would not be read, nil when
// it would, and for what is no subscription.
func CheckStored(key string, value []byte) error {
	if !ValidID(key) {
		return nil
	}
	_, err := decode(key, value, 0)
	return err
}

// takeKey takes the key of tokens. One that was lost stays in force: tokens that
// were signed with it are in the hands of consumers.
func (s *store) takeKey(c eventlog.Change) {
	if len(c.Value) == 0 {
		s.logger.Error("the key of acknowledgement tokens is gone from the bucket; the last one stays in force until a restart")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = slices.Clone(c.Value)
}

// put changes the maps and answers what was there and what is now; nil and nil
// when nothing has changed. A form that cannot be read changes nothing: it is no
// deletion.
func (s *store) put(c eventlog.Change) (old, next *stored) {
	var unreadable error
	if c.Value != nil {
		next, unreadable = decode(c.Key, c.Value, c.Revision)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old = s.subs[c.Key]
	if old != nil && c.Revision <= old.revision || c.Revision <= s.unread[c.Key] { // known already
		return nil, nil
	}
	if unreadable != nil {
		s.unread[c.Key] = c.Revision
		s.logger.Error("a stored subscription cannot be read; what was read last stays in force, and nobody can change it here",
			"subscription", c.Key, "readable", old != nil, "err", unreadable)
		return nil, nil
	}
	delete(s.unread, c.Key)
	s.set(c.Key, next)
	return old, next
}

// set puts a subscription, or its absence, into the maps. The caller holds mu.
func (s *store) set(id string, next *stored) {
	if old := s.subs[id]; old != nil {
		delete(s.uids, old.sub.UID)
		delete(s.subs, id)
	}
	if next != nil {
		s.subs[id], s.uids[next.sub.UID] = next, next
	}
}

func (s *store) announce(old, next *stored) {
	if old != nil && (next == nil || next.sub.UID != old.sub.UID) {
		s.tell(old.sub.UID, nil)
	}
	if next != nil {
		s.tell(next.sub.UID, next.sub)
	}
}

// forgetOthers forgets what was deleted while nobody watched.
func (s *store) forgetOthers(present map[string]bool) {
	s.mu.Lock()
	var gone []*stored
	for id, st := range s.subs {
		if !present[id] {
			gone = append(gone, st)
			s.set(id, nil)
		}
	}
	for id := range s.unread {
		if !present[id] {
			delete(s.unread, id)
		}
	}
	s.mu.Unlock()
	for _, st := range gone {
		s.announce(st, nil)
	}
}

// await returns when the revision is in force here.
func (s *store) await(ctx context.Context, ok func() bool) error {
	for {
		s.mu.Lock()
		changed, yes := s.changed, ok()
		s.mu.Unlock()
		if yes {
			return nil
		}
		select {
		case <-changed:
		case <-s.done:
			return ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *store) get(id string) (*stored, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.subs[id]
	return st, ok
}

func (s *store) list() []*Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Subscription, 0, len(s.subs))
	for _, id := range slices.Sorted(maps.Keys(s.subs)) {
		out = append(out, s.subs[id].sub)
	}
	return out
}

// hasUID reports whether a subscription has the uid now.
func (s *store) hasUID(uid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uids[uid] != nil
}

// byUID answers the subscription that has the uid now, nil when none has.
func (s *store) byUID(uid string) *Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.uids[uid]; st != nil {
		return st.sub
	}
	return nil
}

// ownsQueue reports whether a queue belongs to a subscription, or may belong to
// one that cannot be read here.
func (s *store) ownsQueue(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unread) > 0 {
		return true
	}
	st := s.uids[uidOfQueue(name)]
	return st != nil && (name == queueName(st.sub) || name == replayName(st.sub))
}

// readable answers an error for an id whose stored form cannot be read here.
func (s *store) readable(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unread[id] > 0 {
		return fmt.Errorf("%s: %w", Name(id), ErrUnreadable)
	}
	return nil
}

func (s *store) create(ctx context.Context, sub *Subscription) (*Subscription, error) {
	value, err := encode(sub, false)
	if err != nil {
		return nil, err
	}
	rev, err := s.bucket.Create(ctx, sub.ID, value)
	if errors.Is(err, eventlog.ErrConflict) {
		return nil, fmt.Errorf("%s: %w", Name(sub.ID), ErrExists)
	}
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", Name(sub.ID), err)
	}
	return s.inForce(ctx, sub, rev)
}

func (s *store) inForce(ctx context.Context, sub *Subscription, rev uint64) (*Subscription, error) {
	sub.Etag = strconv.FormatUint(rev, 36)
	if err := s.await(ctx, func() bool { return s.seen >= rev }); err != nil {
		return nil, fmt.Errorf("%s is kept but not in force here yet: %w", Name(sub.ID), err)
	}
	return sub, nil
}

// at answers the subscription when it has the etag.
func (s *store) at(id, etag string) (*stored, error) {
	if err := s.readable(id); err != nil {
		return nil, err
	}
	st, ok := s.get(id)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: %w", Name(id), ErrNotFound)
	case etag != "" && etag != st.sub.Etag:
		return nil, fmt.Errorf("%s: %w", Name(id), ErrEtagMismatch)
	}
	return st, nil
}

// update changes a copy and keeps it, unless change says that nothing is to be
// kept.
func (s *store) update(ctx context.Context, id, etag string, change func(*Subscription, *bool) (bool, error)) (*Subscription, error) {
	for {
		st, err := s.at(id, etag)
		if err != nil {
			return nil, err
		}
		next, replays := *st.sub, st.replays
		keep, err := change(&next, &replays)
		if err != nil {
			return nil, err
		}
		if !keep { // of what is known here, which may be old
			now, err := s.bucket.Now(ctx, id)
			if err == nil && now.Revision == st.revision {
				return st.sub, nil
			}
			if err == nil {
				err = eventlog.ErrConflict
			}
			if again, err := s.again(ctx, id, etag, st.revision, err); !again {
				return nil, err
			}
			continue
		}
		next.UpdateTime = time.Now()
		value, err := encode(&next, replays)
		if err != nil {
			return nil, err
		}
		rev, err := s.bucket.Update(ctx, id, value, st.revision)
		if err == nil {
			return s.inForce(ctx, &next, rev)
		}
		if again, err := s.again(ctx, id, etag, st.revision, err); !again {
			return nil, err
		}
	}
}

func (s *store) delete(ctx context.Context, id, etag string) (*Subscription, error) {
	for {
		st, err := s.at(id, etag)
		if err != nil {
			return nil, err
		}
		err = s.bucket.Delete(ctx, id, st.revision)
		if err == nil {
			err = s.await(ctx, func() bool { now := s.subs[id]; return now == nil || now.revision != st.revision })
			return st.sub, err
		}
		if again, err := s.again(ctx, id, etag, st.revision, err); !again {
			return nil, err
		}
	}
}

// again says whether to try a change again after somebody was faster, when their
// change has arrived.
func (s *store) again(ctx context.Context, id, etag string, revision uint64, err error) (bool, error) {
	switch {
	case !errors.Is(err, eventlog.ErrConflict):
		return false, fmt.Errorf("%s: %w", Name(id), err)
	case etag != "":
		return false, fmt.Errorf("%s: %w", Name(id), ErrEtagMismatch)
	}
	err = s.await(ctx, func() bool {
		now := s.subs[id]
		return now == nil || now.revision != revision || s.unread[id] > revision
	})
	return err == nil, err
}

// signer answers what signs tokens: whoever is first makes the key.
func (s *store) signer(ctx context.Context) (*signer, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	s.mu.Lock()
	has := len(s.key) > 0
	s.mu.Unlock()
	if !has {
		if _, err := s.bucket.Create(ctx, keyTokens, key); err != nil && !errors.Is(err, eventlog.ErrConflict) {
			return nil, fmt.Errorf("key of tokens: %w", err)
		}
	}
	// await calls it under the lock.
	if err := s.await(ctx, func() bool { key = s.key; return len(s.key) > 0 }); err != nil {
		return nil, fmt.Errorf("key of tokens: %w", err)
	}
	return newSigner(key), nil
}

package subscription

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	watched "github.com/hookstream/hookstream/eventlog/store"
)

// store holds all subscriptions in memory, as the bucket has them.
type store struct {
	*watched.Watched[*stored]

	bucket eventlog.Bucket
	logger *slog.Logger
	// tell is called with every change, in order, before the change is seen as in
	// force.
	tell func(uid string, sub *Subscription)
	// gap is told of what subscriptions missed.
	gap func(eventlog.Change)

	// mu guards what follows. It is taken under the lock of Watched, and nothing is
	// called under it.
	mu   sync.Mutex
	uids uids   // tokens and queues are named by them
	key  []byte // that tokens are signed with
}

// stored is a subscription as it is kept.
type stored struct {
	sub     *Subscription
	replays bool // something was replayed: there is a second queue
}

// kept is the form of a subscription in the bucket, beside its settings: see encode.
type kept struct {
	UID            string        `json:"uid"`
	Generation     int           `json:"generation"`
	Start          uint64        `json:"start"`
	Paused         bool          `json:"paused,omitempty"`
	Replays        bool          `json:"replays,omitempty"`
	CreateTime     time.Time     `json:"create_time"`
	UpdateTime     time.Time     `json:"update_time"`
	FormerDeadline time.Duration `json:"former_deadline,omitzero"`
	FormerUntil    time.Time     `json:"former_until,omitzero"`
}

// encode makes one JSON object of what is kept and of the settings.
func encode(s *Subscription, replays bool) ([]byte, error) {
	own, err := json.Marshal(kept{
		UID: s.UID, Generation: s.Generation, Start: s.Start, Paused: s.Paused, Replays: replays,
		CreateTime: s.CreateTime, UpdateTime: s.UpdateTime, FormerDeadline: s.FormerDeadline, FormerUntil: s.FormerUntil,
	})
	if err != nil {
		return nil, err
	}
	all, err := s.Settings.encode()
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(own, &all); err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

// errForm says that a stored value is no subscription as we know them.
var errForm = errors.New("not a form of a subscription that is known here")

func decode(id string, value []byte, revision uint64) (*stored, error) {
	var k kept
	if err := json.Unmarshal(value, &k); err != nil {
		return nil, err
	}
	if k.UID == "" || k.Generation < 1 {
		return nil, errForm
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(value, &all); err != nil {
		return nil, err
	}
	var settings Settings
	if err := settings.decode(all); err != nil {
		return nil, err
	}
	return &stored{replays: k.Replays, sub: &Subscription{
		ID: id, UID: k.UID, Generation: k.Generation, Start: k.Start, Paused: k.Paused, Settings: settings.withDefaults(),
		CreateTime: k.CreateTime, UpdateTime: k.UpdateTime, FormerDeadline: k.FormerDeadline, FormerUntil: k.FormerUntil, Etag: watched.Etag(revision),
	}}, nil
}

func newStore(b eventlog.Bucket, logger *slog.Logger, tell func(string, *Subscription), gap func(eventlog.Change)) *store {
	return &store{bucket: b, logger: logger, tell: tell, gap: gap, uids: make(uids)}
}

// options say what Watched does with subscriptions.
func (s *store) options() watched.Options[*stored] {
	return watched.Options[*stored]{
		Bucket: s.bucket, Logger: s.logger, Kind: "subscription", Name: Name,
		Errors: watched.Errors{
			NotFound: ErrNotFound, Exists: ErrExists, EtagMismatch: ErrEtagMismatch, Unreadable: ErrUnreadable, Closed: ErrClosed,
		},
		Encode: func(_ string, st *stored) ([]byte, error) { return encode(st.sub, st.replays) },
		Decode: decode,
		IsID:   ValidID,
		Other:  s.other,
		Index:  s.index,
		Changed: func(_ string, old, next *watched.Item[*stored]) {
			if old != nil && (next == nil || next.Value.sub.UID != old.Value.sub.UID) {
				s.tell(old.Value.sub.UID, nil)
			}
			if next != nil {
				s.tell(next.Value.sub.UID, next.Value.sub)
			}
		},
	}
}

func openStore(ctx context.Context, b eventlog.Bucket, logger *slog.Logger, tell func(string, *Subscription), gap func(eventlog.Change)) (*store, error) {
	s := newStore(b, logger, tell, gap)
	var err error
	if s.Watched, err = watched.Open(ctx, s.options()); err != nil {
		return nil, err
	}
	return s, nil
}

// keyTokens is where the key lies that tokens are signed with. No id looks like
// it.
const keyTokens = "_tokens"

// keyLives is where it lies how often a gateway of an embedded engine has begun. No id
// looks like it.
const keyLives = "_lives"

// beginLife counts a life of an embedded gateway, and answers which one it is. One that
// cannot be counted, on a full disk, begins all the same: only a clock that was set back
// meanwhile matters then, see nextHandOut.
func (s *store) beginLife(ctx context.Context) int {
	for {
		was, err := s.bucket.Now(ctx, keyLives)
		lives, _ := strconv.Atoi(string(was.Value)) // none is 0
		lives++
		value := []byte(strconv.Itoa(lives))
		switch {
		case err != nil:
		case was.Value == nil:
			_, err = s.bucket.Create(ctx, keyLives, value)
		default:
			_, err = s.bucket.Update(ctx, keyLives, value, was.Revision)
		}
		if errors.Is(err, eventlog.ErrConflict) {
			continue
		}
		if err != nil {
			s.logger.Warn("that the gateway has begun could not be kept", "err", err)
		}
		return lives
	}
}

// other hears of what is beside the subscriptions in the bucket, by a newer gateway
// too.
func (s *store) other(c eventlog.Change) {
	switch {
	case c.Key == keyTokens:
		s.applyKey(c)
	case strings.HasPrefix(c.Key, keyMissed):
		s.gap(c)
	}
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

// applyKey takes the key of tokens. One that was lost stays in force: tokens that
// were signed with it are in the hands of consumers.
func (s *store) applyKey(c eventlog.Change) {
	if len(c.Value) == 0 {
		s.logger.Error("the key of acknowledgement tokens is gone from the bucket; the last one stays in force until a restart")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = slices.Clone(c.Value)
}

// index keeps the uids.
func (s *store) index(_ string, old, next *watched.Item[*stored]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old != nil {
		delete(s.uids, old.Value.sub.UID)
	}
	if next != nil {
		s.uids[next.Value.sub.UID] = next.Value.sub
	}
}

// list answers all subscriptions in the order of their ids.
func (s *store) list() []*Subscription {
	items := s.List()
	out := make([]*Subscription, len(items))
	for i, item := range items {
		out[i] = item.Value.sub
	}
	return out
}

// hasReplays reports whether something was ever replayed for the subscription.
func (s *store) hasReplays(id string) bool {
	item, ok := s.Get(id)
	return ok && item.Value.replays
}

// hasUID reports whether a subscription has the uid now.
func (s *store) hasUID(uid string) bool { return s.byUID(uid) != nil }

// byUID answers the subscription that has the uid now, nil when none has.
func (s *store) byUID(uid string) *Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uids[uid]
}

// ownsQueue reports whether a queue belongs to a subscription, or may belong to
// one that cannot be read here.
func (s *store) ownsQueue(name string) bool {
	if !s.AllReadable() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uids.ownsQueue(name)
}

// uids are subscriptions by their uid.
type uids map[string]*Subscription

func (u uids) hasUID(uid string) bool { return u[uid] != nil }

// ownsQueue reports whether a queue belongs to one of them.
func (u uids) ownsQueue(name string) bool {
	sub := u[uidOfQueue(name)]
	return sub != nil && (name == queueName(sub) || name == replayName(sub))
}

func (s *store) create(ctx context.Context, sub *Subscription) (*Subscription, error) {
	item, err := s.Create(ctx, sub.ID, &stored{sub: sub})
	if err != nil {
		return nil, err
	}
	sub.Etag = item.Etag()
	return sub, nil
}

// update changes a copy and keeps it, unless change says that nothing is to be
// kept.
func (s *store) update(ctx context.Context, id, etag string, change func(sub *Subscription, replays *bool) (bool, error)) (*Subscription, error) {
	item, err := s.Update(ctx, id, etag, func(st *stored) (*stored, bool, error) {
		sub, replays := *st.sub, st.replays
		write, err := change(&sub, &replays)
		if write {
			sub.UpdateTime = time.Now()
		}
		return &stored{&sub, replays}, write, err
	})
	if err != nil {
		return nil, err
	}
	sub := *item.Value.sub
	sub.Etag = item.Etag()
	return &sub, nil
}

func (s *store) delete(ctx context.Context, id, etag string) (*Subscription, error) {
	item, err := s.Delete(ctx, id, etag)
	if item.Value == nil {
		return nil, err
	}
	return item.Value.sub, err
}

// signer answers what signs tokens: whoever is first makes the key. A cluster may answer
// late or not at all while it is being started: patient is who waits for it.
func (s *store) signer(ctx context.Context, patient bool) (*signer, error) {
	for s.tokenKey() == nil {
		err := s.makeKey(ctx)
		if err == nil {
			err = s.Await(ctx, func() bool { return s.tokenKey() != nil })
		}
		if err != nil && (!patient || ctx.Err() != nil || errors.Is(err, ErrClosed)) {
			return nil, fmt.Errorf("key of tokens: %w", err)
		}
		if err != nil {
			s.logger.Warn("the cluster is not ready, trying again", "err", err)
			s.await(ctx, keyPause)
		}
	}
	return newSigner(s.tokenKey()), nil
}

// keyPause is how long signer waits before it asks again.
const keyPause = time.Second

// makeKey keeps a new key, unless there is one.
func (s *store) makeKey(ctx context.Context) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	_, err := s.bucket.Create(ctx, keyTokens, key)
	if errors.Is(err, eventlog.ErrConflict) {
		return nil
	}
	return err
}

// await waits for the key, whoever makes it, and no longer than the time.
func (s *store) await(ctx context.Context, atMost time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	_ = s.Await(ctx, func() bool { return s.tokenKey() != nil })
}

// tokenKey answers the key that tokens are signed with, nil when there is none yet.
func (s *store) tokenKey() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key
}

package source

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Create keeps src, which it does not change, under the id, and answers it as
// kept: named, with an ingress path, times and an etag. It is in force when the
// call returns. The error wraps ErrExists when the id is taken.
func (s *Store) Create(ctx context.Context, id string, src *hookstreamv1.Source) (*hookstreamv1.Source, error) {
	created := s.Draft(id, src)
	created.Uid = uuid.NewString()
	if !created.GetKeyless() {
		created.IngressPath = ingressPath(id, newIngressKey())
	}
	value, err := s.seal.close(id, created)
	if err != nil {
		return nil, err
	}
	revision, err := s.bucket.Create(ctx, id, value)
	if errors.Is(err, eventlog.ErrConflict) {
		return nil, fmt.Errorf("%s: %w", Name(id), ErrExists)
	}
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", Name(id), err)
	}
	return s.inForce(ctx, created, revision)
}

// ensureWait is how long Ensure waits for a source that another gateway has made.
const ensureWait = 5 * time.Second

// Ensure answers the source with the id, and makes it of src when there is none.
func (s *Store) Ensure(ctx context.Context, id string, src *hookstreamv1.Source) (kept *hookstreamv1.Source, created bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, ensureWait)
	defer cancel()
	for {
		before := s.revisionSeen()
		if kept, err := s.Get(id); err == nil {
			return kept, false, nil
		}
		kept, err = s.Create(ctx, id, src)
		if !errors.Is(err, ErrExists) {
			return kept, err == nil, err
		}
		// Another gateway was faster: look again when more has arrived.
		if s.await(ctx, func() bool { return s.seen > before }) != nil {
			return nil, false, err
		}
	}
}

func (s *Store) revisionSeen() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.seen
}

// Draft answers src as Create would keep it, but for its etag, and the uid and
// ingress path that only Create makes.
func (s *Store) Draft(id string, src *hookstreamv1.Source) *hookstreamv1.Source {
	out := proto.CloneOf(src)
	now := time.Now()
	out.Name = Name(id)
	out.Etag, out.Uid = "", ""
	out.CreateTime = timestamppb.New(now)
	out.UpdateTime = out.CreateTime
	out.IngressPath = ""
	if out.GetKeyless() {
		out.IngressPath = ingressPath(id, "")
	}
	credentials := s.providers.Credentials(out)
	credentials.Given(out, func(string) bool { return true })
	credentials.Retire(nil, out, now)
	credentials.Refresh(out, now)
	return out
}

// Update changes the source with the id by calling change with a copy, and
// answers it as kept. It is in force when the call returns. With an etag the
// error wraps ErrEtagMismatch when the source has another one; without, change
// may be called again with what somebody else made of the source meanwhile. An
// error of change is answered as it is and nothing is kept. A change that
// changes nothing writes nothing. ErrNotFound when there is no such source.
func (s *Store) Update(ctx context.Context, id, etag string, change func(*hookstreamv1.Source) error) (*hookstreamv1.Source, error) {
	for {
		old, revision, err := s.at(id, etag)
		if err != nil {
			return nil, err
		}
		next, err := s.apply(old, change)
		if err != nil {
			return nil, err
		}
		if proto.Equal(old, next) {
			return old, nil
		}
		updated, err := s.replace(ctx, id, next, revision)
		if !errors.Is(err, eventlog.ErrConflict) {
			return updated, err
		}
		if etag != "" {
			return nil, fmt.Errorf("%s: %w", Name(id), ErrEtagMismatch)
		}
		// Somebody was faster: look again when their change has arrived.
		if err := s.await(ctx, func() bool { return s.entries[id].revision != revision }); err != nil {
			return nil, err
		}
	}
}

// Preview answers what Update would make of the source, but for its times and
// etag, and keeps nothing.
func (s *Store) Preview(id, etag string, change func(*hookstreamv1.Source) error) (*hookstreamv1.Source, error) {
	src, _, err := s.at(id, etag)
	if err != nil {
		return nil, err
	}
	return s.apply(src, change)
}

// apply answers a copy of src after change, as it would be kept.
func (s *Store) apply(src *hookstreamv1.Source, change func(*hookstreamv1.Source) error) (*hookstreamv1.Source, error) {
	out := proto.CloneOf(src)
	credentials := s.providers.Credentials(src)
	// change, and what it checks, see the credentials that are accepted now.
	credentials.Refresh(out, time.Now())
	if err := change(out); err != nil {
		return nil, err
	}
	// Whatever change did to them, these are not its to change.
	out.Name, out.Uid, out.Etag = src.GetName(), src.GetUid(), src.GetEtag()
	out.IngressPath, out.Keyless = src.GetIngressPath(), src.GetKeyless()
	out.CreateTime, out.UpdateTime = src.GetCreateTime(), src.GetUpdateTime()
	now := time.Now()
	credentials.Refresh(out, now)
	credentials.Retire(src, out, now)
	return out, nil
}

// Delete removes the source with the id; it is gone when the call returns. The
// error wraps ErrNotFound, and ErrEtagMismatch when an etag is given that the
// source does not have.
func (s *Store) Delete(ctx context.Context, id, etag string) error {
	for {
		_, revision, err := s.at(id, etag)
		if err != nil {
			return err
		}
		err = s.bucket.Delete(ctx, id, revision)
		conflict := errors.Is(err, eventlog.ErrConflict)
		if conflict && etag != "" {
			return fmt.Errorf("%s: %w", Name(id), ErrEtagMismatch)
		}
		if err != nil && !conflict {
			return fmt.Errorf("delete %s: %w", Name(id), err)
		}
		if err := s.await(ctx, func() bool { return s.entries[id].revision != revision }); err != nil {
			return err
		}
		if !conflict {
			s.told()
			return nil
		}
	}
}

// told returns when subscribers have been told of what the map shows: a deletion
// has no revision of its own to wait for.
func (s *Store) told() {
	s.delivering.Lock()
	defer s.delivering.Unlock()
}

// at answers the source and its revision, when it has the etag.
func (s *Store) at(id, want string) (*hookstreamv1.Source, uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.entries[id]
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", Name(id), ErrNotFound)
	}
	if want != "" && want != etag(e.revision) {
		return nil, 0, fmt.Errorf("%s: %w", Name(id), ErrEtagMismatch)
	}
	return e.source, e.revision, nil
}

// replace writes src over the given revision.
func (s *Store) replace(ctx context.Context, id string, src *hookstreamv1.Source, revision uint64) (*hookstreamv1.Source, error) {
	src.Etag = "" // the bucket's revision is the etag
	src.UpdateTime = timestamppb.Now()
	value, err := s.seal.close(id, src)
	if err != nil {
		return nil, err
	}
	revision, err = s.bucket.Update(ctx, id, value, revision)
	if err != nil {
		return nil, fmt.Errorf("update %s: %w", Name(id), err)
	}
	return s.inForce(ctx, src, revision)
}

// inForce waits until everyone on this gateway knows the revision, and answers
// src with its etag.
func (s *Store) inForce(ctx context.Context, src *hookstreamv1.Source, revision uint64) (*hookstreamv1.Source, error) {
	src.Etag = etag(revision)
	if err := s.await(ctx, func() bool { return s.seen >= revision }); err != nil {
		return nil, fmt.Errorf("%s is kept but not in force here yet: %w", src.GetName(), err)
	}
	return src, nil
}

// newIngressKey makes 128 random bits that stand well in a URL.
func newIngressKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

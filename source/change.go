package source

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

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
	item, err := s.sources.Create(ctx, id, created)
	if err != nil {
		return nil, err
	}
	created.Etag = item.Etag()
	return created, nil
}

// ensureWait is how long Ensure tries while other gateways make and delete the source.
const ensureWait = 5 * time.Second

// Ensure answers the source with the id, and makes it of src when there is none.
func (s *Store) Ensure(ctx context.Context, id string, src *hookstreamv1.Source) (kept *hookstreamv1.Source, created bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, ensureWait)
	defer cancel()
	for {
		if _, err := s.Get(id); err == nil {
			// It may be deleted, or changed, on another gateway.
			if err := s.sources.Refresh(ctx, id); err != nil {
				return nil, false, err
			}
			if kept, err := s.Get(id); err == nil {
				return kept, false, nil
			}
		}
		kept, err = s.Create(ctx, id, src)
		if !errors.Is(err, ErrExists) || ctx.Err() != nil {
			return kept, err == nil, err
		}
		// Another gateway was faster. Create has looked what is there now.
	}
}

// Draft answers src as Create would keep it, but for its etag, and the uid and
// ingress path that only Create makes.
func (s *Store) Draft(id string, src *hookstreamv1.Source) *hookstreamv1.Source {
	out := proto.CloneOf(src)
	Table.Fill(out)
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
	item, err := s.sources.Update(ctx, id, etag, func(old *hookstreamv1.Source) (*hookstreamv1.Source, bool, error) {
		next, err := s.apply(old, change)
		if err != nil || proto.Equal(old, next) {
			return old, false, err
		}
		next.UpdateTime = timestamppb.Now()
		return next, true, nil
	})
	if err != nil {
		return nil, err
	}
	updated := proto.CloneOf(item.Value)
	updated.Etag = item.Etag()
	return updated, nil
}

// Preview answers what Update would make of the source, but for its times and
// etag, and keeps nothing.
func (s *Store) Preview(ctx context.Context, id, etag string, change func(*hookstreamv1.Source) error) (*hookstreamv1.Source, error) {
	item, err := s.sources.Look(ctx, id, etag)
	if err != nil {
		return nil, err
	}
	return s.apply(item.Value, change)
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
	Table.Fill(out)
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
	_, err := s.sources.Delete(ctx, id, etag)
	return err
}

// newIngressKey makes 128 random bits that stand well in a URL.
func newIngressKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

package request_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/request"
)

// What a request became is kept, also when it comes again, also over a restart.
func TestWhatARequestBecameIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		s := open(t, b, nil)
		s.Note(refused("billing", "192.0.2.1", "one"))
		settle(t, s)
		id, at := s.List()[0].ID, time.Now().UTC()
		b.early = func() { // it comes again at this very moment
			s.Note(refused("billing", "192.0.2.1", "one"))
			settle(t, s)
		}
		if err := s.Promoted(t.Context(), id, "events/e-1", at); err != nil {
			t.Fatal(err)
		}
		s.Note(refused("billing", "192.0.2.1", "one"))
		settle(t, s)
		for name, s := range map[string]*request.Store{"here": s, "after a restart": open(t, b, nil)} {
			r, err := s.Get(t.Context(), id)
			if err != nil {
				t.Fatal(name, err)
			}
			if r.Event != "events/e-1" || !r.PromoteTime.Equal(at) || r.Count != 3 || string(r.Body) != "one" {
				t.Errorf("%s: %+v", name, r)
			}
			if l := s.List(); len(l) != 1 || l[0].Event != "events/e-1" || l[0].Count != 3 {
				t.Errorf("%s, listed: %+v", name, l)
			}
		}
		if err := s.Promoted(t.Context(), "0000000000000000", "events/e-2", at); !errors.Is(err, request.ErrNotFound) {
			t.Errorf("of none: %v", err)
		}
	})
}

// The newest half of a budget, too, is kept for so long and no longer, and what is of a
// source that is gone not even so long.
func TestOldOnesAndThoseOfNoSourceGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		s := open(t, b, func(o *request.Options) {
			o.KeepAge, o.SweepEvery = 48*time.Hour, time.Hour
			o.Gone = func(r *request.Request) bool { return r.Source == "gone" }
		})
		s.Note(refused("billing", "192.0.2.1", "old"))
		s.Note(refused("gone", "192.0.2.1", "of no source"))
		settle(t, s)
		time.Sleep(time.Hour)
		synctest.Wait()
		if l := s.List(); len(l) != 1 || l[0].Source != "billing" {
			t.Errorf("after an hour: %+v", l)
		}
		time.Sleep(46 * time.Hour)
		s.Note(refused("billing", "192.0.2.1", "new"))
		settle(t, s)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := bodies(t, s, "192.0.2.1"); len(got) != 1 || got[0] != "new" {
			t.Errorf("after two days: %q", got)
		}
		if st := s.Stats(); st.Kept != 1 || len(b.values) != 1 || st.Lost != 0 {
			t.Errorf("%+v, %d in the bucket", st, len(b.values))
		}
	})
}

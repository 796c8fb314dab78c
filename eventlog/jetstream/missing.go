package jetstream

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// missing is what the log is known to have lost, in order, none overlapping.
type missing struct {
	path string

	// mu guards runs, and is held while they are written to path.
	mu   sync.RWMutex
	runs []eventlog.Missing
}

func openMissing(dir string) (*missing, error) {
	m := &missing{path: filepath.Join(dir, fileMissing)}
	data, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &m.runs)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: move it away, and what was lost earlier counts as there", m.path, err)
	}
	return m, nil
}

// contains reports whether an event is missing.
func (m *missing) contains(seq uint64) bool {
	if m == nil {
		return false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	i := sort.Search(len(m.runs), func(i int) bool { return m.runs[i].To >= seq })
	return i < len(m.runs) && m.runs[i].From <= seq
}

// count answers how many are missing.
func (m *missing) count() (n uint64) {
	if m == nil {
		return 0
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, r := range m.runs {
		n += r.Events()
	}
	return n
}

// begins answers where a log begins whose first record has a sequence: at the runs that
// reach to it. Once retention has dropped a record behind them they have had their time.
func (m *missing) begins(first uint64) uint64 {
	if m == nil {
		return first
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, r := range slices.Backward(m.runs) {
		if r.From < first && r.To+1 >= first {
			first = r.From
		}
	}
	return first
}

// all answers a copy.
func (m *missing) all() []eventlog.Missing {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.runs)
}

// add notes runs that are missing, answers those parts that were not known, and
// keeps what was noticed since the given time: longer ago no key is remembered.
func (m *missing) add(found []eventlog.Missing, since time.Time) (news []eventlog.Missing, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range found {
		news = append(news, m.unknown(f)...)
	}
	kept := slices.DeleteFunc(slices.Clone(m.runs), func(r eventlog.Missing) bool { return r.Noticed.Before(since) })
	if len(news) == 0 && len(kept) == len(m.runs) {
		return nil, nil
	}
	kept = append(kept, news...)
	slices.SortFunc(kept, func(a, b eventlog.Missing) int { return cmp.Compare(a.From, b.From) })
	data, err := json.Marshal(kept)
	if err == nil {
		err = replaceFile(m.path, data)
	}
	if err != nil {
		return nil, fmt.Errorf("note what is missing: %w", err)
	}
	m.runs = kept
	return news, nil
}

// news answers what of the runs is not known yet.
func (m *missing) news(found []eventlog.Missing) (news []eventlog.Missing) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, f := range found {
		news = append(news, m.unknown(f)...)
	}
	return news
}

// unknown answers the parts of a run that are not known yet.
func (m *missing) unknown(f eventlog.Missing) (parts []eventlog.Missing) {
	for _, r := range m.runs {
		if r.To < f.From || r.From > f.To {
			continue
		}
		if r.From > f.From {
			parts = append(parts, eventlog.Missing{From: f.From, To: r.From - 1, Noticed: f.Noticed})
		}
		if r.To >= f.To {
			return parts
		}
		f.From = r.To + 1
	}
	return append(parts, f)
}

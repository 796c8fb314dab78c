package jetstream

import (
	"encoding/binary"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/index"
)

// A stored entry is the event and what the index is made of, so that it can be
// rebuilt without looking into the event:
//
//	event, time (8 bytes), key (16), content (16), version (1)
//
// The time is zero when JetStream's own counts. It stands behind the event, where
// event.Encode leaves room for it.
//
// Of version keptLost there is nothing but that: it stands where the log ended
// before it lost its end, so that no number is given twice.
const (
	keptVersion = 1
	keptLost    = 0xff
	keptTail    = 8 + 2*len(index.Hash{}) + 1
)

// Places in the tail.
const (
	keptKey     = 8
	keptContent = keptKey + len(index.Hash{})
	keptEnd     = keptContent + len(index.Hash{})
)

var errKept = errors.New("eventlog: a stored entry is not of a known form")

// keep makes the stored form of an event, in the place of data when there is
// room.
func keep(key, content index.Hash, data []byte) []byte {
	var tail [keptTail]byte
	copy(tail[keptKey:], key[:])
	copy(tail[keptContent:], content[:])
	tail[keptEnd] = keptVersion
	return append(data, tail[:]...)
}

// keptEvent answers the event of a stored form.
func keptEvent(kept []byte) []byte {
	n := len(kept) - keptTail
	return kept[:n:n]
}

// keptMarks answers key and content of a stored form.
func keptMarks(kept []byte) []byte {
	from := len(kept) - keptTail
	return kept[from+keptKey : from+keptEnd : from+keptEnd]
}

// stamp writes the time into a stored form.
func stamp(kept []byte, nanos int64) {
	binary.BigEndian.PutUint64(kept[len(kept)-keptTail:], uint64(nanos))
}

// foreign counts records that are of no known form, by why: something else wrote
// them, or a newer version of this software.
type foreign struct {
	count atomic.Int64
	mu    sync.Mutex
	told  map[string]struct{}
}

// kindOf names what is strange about a record.
func kindOf(data []byte) string {
	switch {
	case len(data) < keptTail:
		return "too short"
	case data[len(data)-1] == 0:
		return "not an entry"
	}
	return "version " + strconv.Itoa(int(data[len(data)-1]))
}

// Foreign answers how many records of the log, since the start, were passed over
// because they are of no known form.
func (e *Engine) Foreign() int64 { return e.foreign.count.Load() }

// pass answers what readers are shown in the place of a record of no known form:
// nothing but that it is there. The first of each kind is told.
func (e *Engine) pass(r event.Record) event.Record {
	e.foreign.count.Add(1)
	kind := kindOf(r.Data)
	e.foreign.mu.Lock()
	defer e.foreign.mu.Unlock()
	if _, ok := e.foreign.told[kind]; !ok {
		if e.foreign.told == nil {
			e.foreign.told = make(map[string]struct{})
		}
		e.foreign.told[kind] = struct{}{}
		e.logger.Error("a record of the log is of no known form and is passed over; others like it are counted only", "seq", r.Seq, "bytes", len(r.Data), "kind", kind)
	}
	r.Data = nil
	return r
}

// unkeepOrPass is unkeep, but passes over what is of no known form: one such record
// must not keep anybody from the others. Its entry has no key.
func (e *Engine) unkeepOrPass(r event.Record) (event.Record, index.Entry, bool) {
	rec, entry, err := unkeep(r)
	if err != nil {
		return e.pass(r), index.Entry{}, false
	}
	return rec, entry, true
}

// unkeep answers the record and the index entry of a record in its stored form.
func unkeep(r event.Record) (event.Record, index.Entry, error) {
	if len(r.Data) == keptTail && r.Data[keptTail-1] == keptLost {
		return event.Record{Seq: r.Seq, Time: r.Time, Lost: true}, index.Entry{Seq: r.Seq, Time: r.Time}, nil
	}
	if len(r.Data) < keptTail || r.Data[len(r.Data)-1] != keptVersion {
		return event.Record{}, index.Entry{}, errKept
	}
	tail := r.Data[len(r.Data)-keptTail:]
	if nanos := binary.BigEndian.Uint64(tail); nanos != 0 {
		r.Time = time.Unix(0, int64(nanos)).UTC()
	}
	e := index.Entry{
		Seq: r.Seq, Time: r.Time,
		Key:     index.Hash(tail[keptKey:keptContent]),
		Content: index.Hash(tail[keptContent:keptEnd]),
	}
	r.Data, r.Marks = keptEvent(r.Data), keptMarks(r.Data)
	return r, e, nil
}

package eventlog

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/index"
)

// A stored entry begins with what the index is made of, so that it can be
// rebuilt without looking into the event:
//
//	version (1 byte), time (8), key (16), content (16), event
//
// The time is zero when JetStream's own counts.
const (
	keptVersion = 1
	keptTime    = 1
	keptKey     = keptTime + 8
	keptContent = keptKey + len(index.Hash{})
	keptHead    = keptContent + len(index.Hash{})
)

var errKept = errors.New("eventlog: a stored entry is not of a known form")

// keep makes the stored form of an event.
func keep(key, content index.Hash, data []byte) []byte {
	b := make([]byte, keptHead+len(data))
	b[0] = keptVersion
	copy(b[keptKey:], key[:])
	copy(b[keptContent:], content[:])
	copy(b[keptHead:], data)
	return b
}

// stamp writes the time into a stored form.
func stamp(kept []byte, nanos int64) {
	binary.BigEndian.PutUint64(kept[keptTime:], uint64(nanos))
}

// unkeep answers the record and the index entry of a record in its stored form.
func unkeep(r event.Record) (event.Record, index.Entry, error) {
	if len(r.Data) < keptHead || r.Data[0] != keptVersion {
		return event.Record{}, index.Entry{}, errKept
	}
	if nanos := binary.BigEndian.Uint64(r.Data[keptTime:]); nanos != 0 {
		r.Time = time.Unix(0, int64(nanos)).UTC()
	}
	e := index.Entry{
		Seq: r.Seq, Time: r.Time,
		Key:     index.Hash(r.Data[keptKey:keptContent]),
		Content: index.Hash(r.Data[keptContent:keptHead]),
	}
	r.Data = r.Data[keptHead:]
	return r, e, nil
}

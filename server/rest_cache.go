package server

import (
	"sync"
	"unsafe"
)

// maxCachedJSON bounds what is remembered, wire form included.
const maxCachedJSON = 32 << 20

// jsonCache remembers the JSON of what many streams send, which is told by where its
// wire form lies: the hub frames an event once, and nobody changes it.
type jsonCache struct {
	// mu guards what follows, and is not held while JSON is made.
	mu    sync.Mutex
	of    map[*byte]*cachedJSON
	order []*byte // the oldest first
	bytes int
	made  int // how often something was not remembered
}

// cachedJSON holds the wire form as well, so that nothing else comes to lie there.
type cachedJSON struct{ wire, json []byte }

// fields is fieldsJSON of what many may ask for.
func (c *jsonCache) fields(wire []byte) ([]byte, error) {
	at := unsafe.SliceData(wire) //nolint:gosec // G103: an address to look up by, that nothing is read through
	c.mu.Lock()
	known := c.of[at]
	c.mu.Unlock()
	if known != nil && len(known.wire) == len(wire) {
		return known.json, nil
	}
	json, err := fieldsJSON(wire)
	if err == nil {
		c.put(at, &cachedJSON{wire, json})
	}
	return json, err
}

func (c *jsonCache) put(at *byte, v *cachedJSON) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made++
	if c.of == nil {
		c.of = make(map[*byte]*cachedJSON)
	}
	if c.of[at] != nil { // somebody was faster
		return
	}
	c.of[at], c.order, c.bytes = v, append(c.order, at), c.bytes+v.size()
	for c.bytes > maxCachedJSON && len(c.order) > 0 {
		oldest := c.order[0]
		c.bytes -= c.of[oldest].size()
		delete(c.of, oldest)
		c.order = c.order[1:]
	}
}

func (v *cachedJSON) size() int { return len(v.wire) + len(v.json) }

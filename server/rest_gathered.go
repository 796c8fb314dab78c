package server

import (
	"bytes"
	"io"
)

// gathered is what is written next: the bytes of its buffer, and between them bytes
// that all streams share. Those are not copied: thousands of streams whose clients
// do not read would hold a copy each.
type gathered struct {
	bytes.Buffer
	shared      []sharedBytes
	sharedBytes int
}

// sharedBytes stand after so much of the buffer.
type sharedBytes struct {
	after int
	bytes []byte
}

const (
	// fewBytes are copied: to remember where they stand would cost as much.
	fewBytes = 64
	// keptBytes is the largest buffer that is kept: a larger one is that of an event
	// which was large.
	keptBytes = 2 * passBytes
)

// share appends bytes that nobody changes.
func (g *gathered) share(b []byte) {
	if len(b) <= fewBytes {
		g.Write(b)
		return
	}
	g.shared = append(g.shared, sharedBytes{g.Len(), b})
	g.sharedBytes += len(b)
}

// size is how much there is to write.
func (g *gathered) size() int { return g.Len() + g.sharedBytes }

func (g *gathered) writeTo(w io.Writer) error {
	own, from := g.Bytes(), 0
	for _, s := range g.shared {
		if _, err := w.Write(own[from:s.after]); err != nil {
			return err
		}
		if _, err := w.Write(s.bytes); err != nil {
			return err
		}
		from = s.after
	}
	_, err := w.Write(own[from:])
	return err
}

// reset forgets everything.
func (g *gathered) reset() {
	clear(g.shared)
	g.shared, g.sharedBytes = g.shared[:0], 0
	g.Reset()
	if g.Cap() > keptBytes {
		g.Buffer = bytes.Buffer{}
	}
}

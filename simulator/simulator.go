// Package simulator plays the senders, so that a gateway can be tried, tested and
// measured without either of them: Ignisign is the part of Ignisign's API that
// webhooks need, with faults on request, and Sender sends the webhooks of both
// providers, signed as they sign them.
//
// Its behaviour follows what is publicly known. Where that leaves a question open
// (which status a refused token is answered with, whether the answer tells what
// the event was) there is an option for either reading.
//
// Nothing here talks to anything but the loopback interface unless told to by
// name, in AllowRemote.
package simulator

import (
	"crypto/rand"
	"time"
)

// randomText answers n letters and digits that nobody can guess.
func randomText(n int) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	text := make([]byte, 0, n)
	for b := make([]byte, n); len(text) < n; {
		_, _ = rand.Read(b) // never fails, see crypto/rand
		for _, c := range b {
			// The bytes above the last multiple of 62 would favour some letters.
			if c < 248 && len(text) < n {
				text = append(text, alphabet[c%62])
			}
		}
	}
	return string(text)
}

// maxAnswer is how much of an answer is read, so that a connection can be used
// again: a gateway's answers have a few bytes.
const maxAnswer = 64 << 10

// wait waits for a duration, and reports whether it passed before done was closed.
func wait(done <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}

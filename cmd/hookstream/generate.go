package main

import "crypto/rand"

// generateSecret makes a secret of 32 characters, as there are senders that take no other:
// base32, so 160 bits.
func generateSecret() string { return rand.Text() + rand.Text()[:6] }

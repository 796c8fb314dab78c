package main

import "crypto/rand"

// generateSecret makes a secret for Yousign, which takes exactly 32 characters:
// base32, so 160 bits.
func generateSecret() string { return rand.Text() + rand.Text()[:6] }

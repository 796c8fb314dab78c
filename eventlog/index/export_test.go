package index

// A filter that is soon full.
func init() { smallestFilter = 1 << 16 }

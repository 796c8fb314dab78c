package index

import "testing"

// Small makes tables, filters and generations that are soon full.
func Small(t *testing.T) {
	filter, table := smallestFilter, tableSize
	t.Cleanup(func() { smallestFilter, tableSize = filter, table })
	smallestFilter, tableSize = 1<<16, 1<<10
}

func (x *Index) Generations() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.generations)
}

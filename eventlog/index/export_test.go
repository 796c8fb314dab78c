package index

// Tables, filters and generations that are soon full.
func init() { smallestFilter, tableSize = 1<<16, 1<<11 }

func (x *Index) Generations() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.generations)
}

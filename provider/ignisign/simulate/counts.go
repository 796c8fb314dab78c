package simulate

import "sync/atomic"

// Counts are what came to pass at Ignisign's API since it was made.
type Counts struct {
	// Checks are questions about a token that were read, those about unknown
	// tokens included, and those whose answer was lost.
	Checks int64 `json:"checks"`
	// Spent are the tokens that a check found good.
	Spent int64 `json:"spent"`
	// Exchanges are keys exchanged for a JWT.
	Exchanges int64 `json:"exchanges"`
	// Posts are webhooks posted to endpoints, repeated ones included. What a
	// Sender posts is not among them.
	Posts int64 `json:"posts"`
	// Struck are calls that met a fault.
	Struck int64 `json:"struck"`
}

type counters struct{ checks, spent, exchanges, posts, struck atomic.Int64 }

// Counts answers how much was done so far.
func (s *API) Counts() Counts {
	c := &s.counters
	return Counts{
		Checks: c.checks.Load(), Spent: c.spent.Load(), Exchanges: c.exchanges.Load(),
		Posts: c.posts.Load(), Struck: c.struck.Load(),
	}
}

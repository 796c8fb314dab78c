package simulator

// A Benchmarked is Played, and its requests can be signed so fast that what takes them
// is what is measured.
type Benchmarked interface {
	Played
	// Benchmark is what is posted then.
	Benchmark() Benchmark
}

// A Benchmark is what is posted to measure a gateway.
type Benchmark struct {
	// Types are three, of which filters pick: the first is that of most events.
	Types [3]string
	// Body answers the body of a type, by the name of its size: 1KB or 5KB.
	Body func(typ, size string) ([]byte, error)
	// Requests makes those of one connection to a path of a host, as whole HTTP
	// requests. Each posts the body under an id of its own, signed with the credential.
	Requests func(host, path, credential string, body []byte) (Requests, error)
}

// Requests are made one after the other. The bytes of one are good until the next is
// made.
type Requests interface {
	// Next answers a request and the sender's id of its event.
	Next() (request, id []byte)
}

// An Asked is Played, and its requests are proved by tokens that its API makes and is
// asked about: that is what takes time then.
type Asked interface {
	Played
	// Lend begins to play it, as a Part without flags would.
	Lend(o PartOptions) (Lender, error)
}

// A Lender is a Player that makes tokens.
type Lender interface {
	Player
	// Token makes one, of letters and digits.
	Token() string
	// Body answers a body with a token in it, as it is.
	Body(token string) ([]byte, error)
}

package load

// Requests makes the requests of one connection, one after the other. The bytes
// of a request are good until the next is made.
type Requests interface {
	// Next answers a whole HTTP request and the sender's id of its event, nil
	// when there are no more.
	Next() (request, id []byte)
}

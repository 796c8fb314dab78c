package subscription

import "context"

// asking bounds how many homes ask JetStream about their queues at a time; it holds
// a token for each that does. JetStream answers such questions one by one, and drops
// all that wait, whoever's they are, when they become 10,000. When as many streams
// came at once, as they do after a restart, nobody had an answer any more: not those
// that asked again, nor who asked whether the log is well.
type asking chan struct{}

const maxAsking = 64

// begin waits for a token. The time that a question may take begins when it has one.
func (a asking) begin(ctx context.Context) error {
	select {
	case a <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (a asking) end() { <-a }

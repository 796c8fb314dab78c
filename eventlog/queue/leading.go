package queue

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	engine "github.com/hookstream/hookstream/eventlog/jetstream"
)

// A Leading is what the leader of a queue says of itself.
type Leading struct {
	// Since: it leads since then at the latest, by our clock. Zero when nobody was chosen
	// to, or an older server does not tell.
	Since time.Time
	// Reached is a time at which it reached a quorum of the queue's replicas; zero when it
	// reaches none.
	Reached time.Time
}

// Leading asks the leader of a queue, over the connection that words are said on.
func (e *Engine) Leading(ctx context.Context, c Config) (Leading, error) {
	nc, err := e.Deliveries()
	if err != nil {
		return Leading{}, err
	}
	sent := time.Now()
	m, err := nc.RequestWithContext(ctx, e.API("CONSUMER.INFO."+c.stream()+"."+c.Name), nil)
	if err != nil {
		return Leading{}, engine.Unavailable("queue", err)
	}
	var info struct {
		jetstream.ConsumerInfo
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &info); err != nil {
		return Leading{}, engine.Unavailable("queue", err)
	}
	if info.Error != nil {
		return Leading{}, engine.Unavailable("queue", errors.New(info.Error.Description))
	}
	return leading(&info.ConsumerInfo, sent, time.Now()), nil
}

// leading reads the answer to a question that was sent and answered at these times. Both
// times in it are by one clock, so that only their distance counts.
func leading(info *jetstream.ConsumerInfo, sent, answered time.Time) (l Leading) {
	c := info.Cluster
	if c == nil {
		return Leading{Reached: sent}
	}
	if c.LeaderSince != nil {
		l.Since = answered.Add(-max(info.TimeStamp.Sub(*c.LeaderSince), 0))
	}
	ages := make([]time.Duration, 0, len(c.Replicas))
	for _, r := range c.Replicas {
		if !r.Offline && r.Active > 0 { // one of which nothing was heard yet has no age
			ages = append(ages, r.Active)
		}
	}
	if at, ok := engine.ReachedAt(sent, len(c.Replicas), ages); ok {
		l.Reached = at
	}
	return l
}

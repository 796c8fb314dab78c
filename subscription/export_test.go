package subscription

import "context"

// Questions that a test answers in the place of a gateway.
const (
	AskSettle = askSettle
	AskClaim  = askClaim
	TellHello = tellHello
)

// Alarms answers how many holds of a subscription the gateway is to attend to at
// some time.
func (m *Manager) Alarms(id string) int {
	sub, err := m.Get(id)
	if err != nil {
		return -1
	}
	h := m.known(sub.UID)
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clock)
}

// HasHeardOf reports whether the gateway has heard of another lately.
func (m *Manager) HasHeardOf(gateway string) bool { return m.peers.lately()[gateway] }

// Tallies answers of how many messages it is known that they were handed out in
// vain.
func (m *Manager) Tallies() (n int) {
	m.tallies.mu.Lock()
	defer m.tallies.mu.Unlock()
	for _, of := range m.tallies.of {
		n += len(of)
	}
	return n
}

// Sweep removes what belongs to no subscription, however young it is.
func (m *Manager) Sweep(ctx context.Context) error { return m.sweepOnce(ctx, 0) }

// Overlook has the gateway know nothing of a subscription that there is, as if it
// had not heard of it.
func (m *Manager) Overlook(id string) {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	m.store.set(id, nil)
}

// LeaveBehind deletes a subscription as a gateway does that dies then: what
// belongs to it stays.
func (m *Manager) LeaveBehind(ctx context.Context, id string) error {
	_, err := m.store.delete(ctx, id, "")
	return err
}

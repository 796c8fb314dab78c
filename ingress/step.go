package ingress

// The steps between which a process may die without losing a request or
// publishing an unverified one. A crash test ends the process at each of them.
const (
	// StepReceived: the body was read; nothing is kept yet.
	StepReceived = "received"
	// StepStored: the request of a remote provider is in the inbox.
	StepStored = "stored"
	// StepClaimed: the verifier holds a row of the inbox.
	StepClaimed = "claimed"
	// StepAsking: it is written down that the question is about to be asked.
	StepAsking = "asking"
	// StepAsked: the provider has answered.
	StepAsked = "asked"
	// StepAppended: the event is in the log.
	StepAppended = "appended"
	// StepAnnounced: whoever waits for the outcome was told.
	StepAnnounced = "announced"
	// StepAnswered: it is written down that the question was answered.
	StepAnswered = "answered"
	// StepDone: the row is decided.
	StepDone = "done"
)

// Steps are the names given to Options.Step. Requests of local providers pass
// StepReceived, StepAsked and StepAppended, those of remote ones all of them.
func Steps() []string {
	return []string{
		StepReceived, StepStored, StepClaimed, StepAsking, StepAsked,
		StepAppended, StepAnnounced, StepAnswered, StepDone,
	}
}

package jetstream

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// leaderGet asks for the first message from a sequence on, or the last of a
// subject. Only the leader of a stream answers it: reads of nats.go and watches go
// to any replica.
type leaderGet struct {
	Seq     uint64 `json:"seq,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
}

// leaderMessage is a message as the leader has it.
type leaderMessage struct {
	Subject string `json:"subject"`
	Seq     uint64 `json:"seq"`
	Header  []byte `json:"hdrs"`
	Data    []byte `json:"data"`
}

type leaderAnswer struct {
	Message *leaderMessage      `json:"message"`
	Error   *jetstream.APIError `json:"error"`
}

// everything covers the subjects of all messages of our streams, which have two tokens
// at least. Of ">" JetStream looks at its last number only, also when the message with
// it is gone.
const everything = "*.>"

// askLeader answers what whoever leads a stream has at this moment; nil when there is
// no such message.
func (e *Engine) askLeader(ctx context.Context, stream string, what leaderGet) (*leaderMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	query, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	m, err := e.js.Conn().RequestWithContext(ctx, e.API("STREAM.MSG.GET."+stream), query)
	if err != nil {
		return nil, err
	}
	var a leaderAnswer
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return nil, err
	}
	switch {
	case a.Error != nil && a.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case a.Error != nil:
		return nil, a.Error
	case a.Message == nil:
		return nil, errors.New("an answer without a message")
	}
	return a.Message, nil
}

func (m *leaderMessage) header() (nats.Header, error) {
	if len(m.Header) == 0 {
		return nil, nil
	}
	return nats.DecodeHeadersMsg(m.Header)
}

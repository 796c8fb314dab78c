package lenienttest

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

func TestMissing(t *testing.T) {
	full := func() *yousignv1.Signer {
		return &yousignv1.Signer{
			Id:                  proto.String("a"),
			StatusRaw:           proto.String("signed"),
			RecipientStageIndex: proto.Int32(0),
			SignedAt:            &timestamppb.Timestamp{Seconds: 1772439061},
			ExcludedDocuments:   []string{"d", "d"},
			Rest:                &structpb.Struct{Fields: map[string]*structpb.Value{"new": structpb.NewBoolValue(true)}},
		}
	}
	body := []byte(`{"id":"a","status":"signed","recipient_stage_index":0,"signed_at":"2026-03-02T09:11:01+01:00",
		"excluded_documents":["d","d"],"new":true,"delivery_mode":null}`)
	for _, c := range []struct {
		why  string
		lose func(*yousignv1.Signer)
		want []string
	}{
		{"nothing", func(*yousignv1.Signer) {}, nil},
		{"a text", func(s *yousignv1.Signer) { s.Id = nil }, []string{".id=a"}},
		{"a text under another key", func(s *yousignv1.Signer) { s.Id, s.SignatureLink = nil, s.Id }, []string{".id=a"}},
		{"the text beside an enum", func(s *yousignv1.Signer) { s.StatusRaw = nil }, []string{".status=signed"}},
		{"a zero", func(s *yousignv1.Signer) { s.RecipientStageIndex = nil }, []string{".recipient_stage_index=0"}},
		{"a second", func(s *yousignv1.Signer) { s.SignedAt.Seconds++ }, []string{".signed_at=2026-03-02T09:11:01+01:00"}},
		{"one of two equal elements", func(s *yousignv1.Signer) { s.ExcludedDocuments = s.ExcludedDocuments[:1] }, []string{".excluded_documents[1]=d"}},
		{"what has no field", func(s *yousignv1.Signer) { s.Rest = nil }, []string{".new=true"}},
	} {
		signer := full()
		c.lose(signer)
		if got := Missing(body, signer); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.why, got, c.want)
		}
	}
}

package hub

import (
	"errors"
	"strings"
	"testing"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Enums are numbers to a filter. One that compares a field with another enum's
// value would select something else in silence.
func TestEnumsOfTwoTypesAreNotCompared(t *testing.T) {
	h := newHub(t, newLog())
	for text, want := range map[string]string{
		"event.yousign.signature_request.status == SignatureRequestStatus.EXPIRED":                                                              "yousign.SignatureRequestStatus.EXPIRED",
		"event.yousign.signature_request.status == SignatureRequestStatus.LAUNCHING":                                                            "is no value of status",
		"event.yousign.signature_request.status == ignisign.SignatureRequestStatus.FAILED":                                                      "is no value of status",
		"ignisign.SignatureRequestStatus.FAILED != event.yousign.signature_request.status":                                                      "status is no value of",
		"event.yousign.signature_request.status in [yousign.SignatureRequestStatus.DONE, yousign.SignerStatus.SIGNED]":                          "yousign.SignerStatus.SIGNED is no value of status",
		"event.yousign.signature_request.signers.exists(s, s.status == yousign.ApproverStatus.APPROVED)":                                        "is no value of status",
		"event.yousign.signer.status == event.yousign.approver.status":                                                                          "status is no value of status",
		"event.yousign.signer.status == hookstream.yousign.v1.ApproverStatus.APPROVER_STATUS_APPROVED":                                          "is no value of status",
		"SignerInput.EMAIL in event.ignisign.signer.inputs_added":                                                                               "",
		"yousign.SignerStatus.SIGNED in event.ignisign.signer.inputs_added":                                                                     "is no value of",
		"event.yousign.signature_request.status == yousign.SignatureRequestStatus.EXPIRED":                                                      "",
		"event.yousign.signature_request.signers.exists(s, s.status == SignerStatus.SIGNED)":                                                    "",
		"event.ignisign.topic == Topic.SIGNATURE_PROOF && event.decode_state == DecodeState.COMPLETE && event.yousign.sandbox":                  "",
		"event.ignisign.topic == hookstream.ignisign.v1.Topic.APP && event.yousign.topic == hookstream.yousign.v1.Topic.SIGNER":                 "",
		"event.ignisign.topic == ignisign.v1.Topic.APP && event.yousign.topic == yousign.Topic.TOPIC_SIGNER":                                    "",
		"event.verification.state == Verification.State.VERIFIED && event.verification.state == hookstream.v1.Verification.State.VERIFIED":      "",
		"event.decode_state == hookstream.v1.DecodeState.COMPLETE && event.decode_state == DecodeState.DECODE_STATE_COMPLETE":                   "",
		"event.yousign.topic == hookstream.ignisign.v1.Topic.APP":                                                                               "is no value of topic",
		"event.yousign.topic == Topic.TOPIC_SIGNER":                                                                                             "for Topic.TOPIC_SIGNER say ignisign.Topic.TOPIC_SIGNER or yousign.Topic.TOPIC_SIGNER",
		"event.yousign.signer.status == SignerStatus.DECLIND":                                                                                   "did you mean 'SignerStatus.DECLINED'",
		"event.yousign.signer.status == hookstream.yousign.v1.SignerStatus.SIGNER_STATUS_SIGNED && event.yousign.signature_request.status == 9": "",
	} {
		_, err := h.CompileSelector(&hookstreamv1.EventSelector{Filter: text})
		var bad *SelectorError
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (!errors.As(err, &bad) || !strings.Contains(bad.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

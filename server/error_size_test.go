package server

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
)

// An error is a part of the headers of its answer, of which clients take 8 KiB: one
// that quotes a request of a megabyte, or finds thousands of mistakes in it, would
// not arrive.
func TestEveryErrorFitsIntoTheHeadersOfAnAnswer(t *testing.T) {
	var many violations
	for i := range 10_000 {
		many.add(fmt.Sprintf("settlements[%d].ack_token", i), "is no ack token")
	}
	var long violations
	long.add(strings.Repeat("é", 1<<20), "%s", strings.Repeat("é", 1<<20))
	selector := &hub.SelectorError{}
	for i := range 100 {
		selector.Violations = append(selector.Violations, hub.Violation{Field: fmt.Sprintf("sources[%d]", i), Description: strings.Repeat("x", 100)})
	}
	for name, err := range map[string]error{
		"many mistakes":        many.err(),
		"a long one":           long.err(),
		"those of a selector":  selectorStatus(selector),
		"a long message alone": statusError(codes.InvalidArgument, hookstreamv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, strings.Repeat("é", 1<<20)),
	} {
		st := status.Convert(err)
		// As gRPC writes it: the message in percent signs, the whole in base64.
		if size := 3*len(st.Message()) + proto.Size(st.Proto())*4/3; size > 7<<10 || st.Code() != codes.InvalidArgument {
			t.Errorf("%s: %s of %d bytes", name, st.Code(), size)
		}
	}
	bad := status.Convert(many.err()).Details()[1].(*errdetails.BadRequest).GetFieldViolations()
	if last := bad[len(bad)-1].GetDescription(); bad[0].GetField() != "settlements[0].ack_token" || last != fmt.Sprintf("and %d more", 10_000-len(bad)+1) {
		t.Errorf("first %v, last %q of %d", bad[0], last, len(bad))
	}
}

package server

import (
	"errors"
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// violations collects everything that is wrong with a request, so that a caller
// need not find out one by one.
type violations []*errdetails.BadRequest_FieldViolation

// add says what is wrong with a field, named as in the schema.
func (v *violations) add(field, format string, args ...any) {
	*v = append(*v, &errdetails.BadRequest_FieldViolation{Field: field, Description: fmt.Sprintf(format, args...)})
}

// addMistakes adds what a provider says is wrong.
func (v *violations) addMistakes(mistakes provider.Mistakes) {
	for _, m := range mistakes {
		v.add(m.Field, "%s", m.Description)
	}
}

// under answers the violations as those of a part of a request.
func (v violations) under(parent string) violations {
	for _, violation := range v {
		violation.Field = strings.TrimSuffix(parent+"."+violation.GetField(), ".")
	}
	return v
}

// err answers INVALID_ARGUMENT with all violations, or nil when there are none.
func (v violations) err() error {
	if len(v) == 0 {
		return nil
	}
	first := strings.TrimPrefix(v[0].GetField()+": "+v[0].GetDescription(), ": ")
	if more := len(v) - 1; more > 0 {
		first += fmt.Sprintf(" (and %d more)", more)
	}
	return statusError(codes.InvalidArgument, hookstreamv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, first,
		&errdetails.BadRequest{FieldViolations: v})
}

// check holds a message to the rules in its schema.
func check(m proto.Message) violations {
	err := protovalidate.Validate(m)
	if err == nil {
		return nil
	}
	var v violations
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		// The rules themselves do not compile or run: a bug of the schema.
		v.add("", "cannot be checked: %v", err)
		return v
	}
	for _, violation := range invalid.Violations {
		v.add(protovalidate.FieldPathString(violation.Proto.GetField()), "%s", violation.Proto.GetMessage())
	}
	return v
}

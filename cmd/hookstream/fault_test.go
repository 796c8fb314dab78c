package main

import (
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Who is refused by a gateway, whatever for, is not asked whether there is one.
func TestHintOfARefusal(t *testing.T) {
	for _, reason := range []string{"STORE_UNAVAILABLE", "STORE_FULL", "DRAINING", "SOMETHING_NEWER"} {
		st, err := status.New(codes.Unavailable, "not now").WithDetails(&errdetails.ErrorInfo{Domain: "hookstream.dev", Reason: reason})
		if err != nil {
			t.Fatal(err)
		}
		if what, hint := explain(st.Err()); what != "not now" || strings.Contains(hint, "running") {
			t.Errorf("%s: %q, %q", reason, what, hint)
		}
	}
	if _, hint := explain(status.Error(codes.Unavailable, "connection refused")); !strings.Contains(hint, "is the gateway running") {
		t.Errorf("nobody answers: %q", hint)
	}
}

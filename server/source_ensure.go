package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/source"
)

// EnsureSource creates the source, or finds it as it should be.
func (s *sourceService) EnsureSource(ctx context.Context, req *hookstreamv1.EnsureSourceRequest) (*hookstreamv1.EnsureSourceResponse, error) {
	if v := s.checkGiven(req.GetSource(), everyField).under("source"); len(v) > 0 {
		return nil, v.err()
	}
	if err := s.usable(s.store.Draft(req.GetSourceId(), req.GetSource())); err != nil {
		return nil, err
	}
	kept, created, err := s.store.Ensure(ctx, req.GetSourceId(), req.GetSource())
	if err != nil {
		return nil, err
	}
	if fields := s.differences(kept, req.GetSource()); !created && len(fields) > 0 {
		return nil, differsStatus(kept, fields)
	}
	return &hookstreamv1.EnsureSourceResponse{Source: s.store.Public(kept), Created: created}, nil
}

// differences names the settings in which a source is not as given, as the API
// spells them.
func (s *sourceService) differences(kept, given *hookstreamv1.Source) (fields []string) {
	kept, given = proto.CloneOf(kept), proto.CloneOf(given)
	s.credentials(kept).Refresh(kept, time.Now()) // what has ended is not accepted
	source.Table.Fill(given)
	differ := func(path string) { fields = append(fields, path) }
	config, settings := given.ProtoReflect(), source.Table.Differences(kept, given)
	for fd := range fieldsOf(config) {
		switch {
		case isConfig(fd):
			compareField(kept.ProtoReflect(), config, fd, "", differ)
		case slices.Contains(settings, string(fd.Name())):
			differ(string(fd.Name()))
		}
	}
	if len(fields) == 0 && !s.credentials(kept).Accepts(kept, given) {
		for fd := range fieldsOf(config) {
			if isConfig(fd) && config.Has(fd) {
				namesCredentials(config.Get(fd).Message(), string(fd.Name()), differ)
			}
		}
	}
	return fields
}

// compareField calls differ with every field that a caller sets and that is another
// in two messages, but for credentials: the field, or fields in it when it is a
// config.
func compareField(a, b protoreflect.Message, fd protoreflect.FieldDescriptor, at string, differ func(path string)) {
	path := join(at, fd)
	switch {
	case has(fd, annotations.FieldBehavior_OUTPUT_ONLY), has(fd, annotations.FieldBehavior_INPUT_ONLY):
	case isConfig(fd) && a.Has(fd) && b.Has(fd):
		config := a.Get(fd).Message()
		for inner := range fieldsOf(config) {
			compareField(config, b.Get(fd).Message(), inner, path, differ)
		}
	case a.Has(fd) != b.Has(fd), !a.Get(fd).Equal(b.Get(fd)):
		differ(path)
	}
}

// namesCredentials names those that a config has.
func namesCredentials(config protoreflect.Message, at string, name func(path string)) {
	for fd := range fieldsOf(config) {
		if has(fd, annotations.FieldBehavior_INPUT_ONLY) && config.Has(fd) {
			name(join(at, fd))
		}
	}
}

// differsStatus names the fields that differ, for people and for programs.
func differsStatus(src *hookstreamv1.Source, fields []string) error {
	st, _ := status.New(codes.FailedPrecondition, src.GetName()+" exists with other settings: "+strings.Join(fields, ", ")).WithDetails(&errdetails.ErrorInfo{
		Reason: strings.TrimPrefix(hookstreamv1.ErrorReason_ERROR_REASON_SOURCE_DIFFERS.String(), "ERROR_REASON_"), Domain: errorDomain, Metadata: map[string]string{"fields": strings.Join(fields, ",")},
	})
	return st.Err()
}

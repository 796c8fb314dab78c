package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A restRule is one way to call a method over REST, as the schema has it.
type restRule struct {
	httpMethod string
	pattern    string // /v1/{name=sources/*}:enable
	path       *regexp.Regexp
	body       string   // the field that is the body; * is all that the path has not
	inPath     []string // fields
	request    protoreflect.MessageDescriptor
}

// restRules are all of them.
var restRules = sync.OnceValue(func() (rules []restRule) {
	for _, file := range []protoreflect.FileDescriptor{
		hookstreamv1.File_hookstream_v1_source_service_proto,
		hookstreamv1.File_hookstream_v1_catalog_service_proto,
		hookstreamv1.File_hookstream_v1_event_service_proto,
		hookstreamv1.File_hookstream_v1_subscription_service_proto,
		hookstreamv1.File_hookstream_v1_request_service_proto,
		hookstreamv1.File_hookstream_v1_admin_service_proto,
	} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				rules = append(rules, rulesOf(methods.Get(j))...)
			}
		}
	}
	return rules
})

func rulesOf(method protoreflect.MethodDescriptor) (rules []restRule) {
	rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	if rule == nil {
		return nil
	}
	for _, r := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		out := restRule{body: r.GetBody(), request: method.Input()}
		switch p := r.GetPattern().(type) {
		case *annotations.HttpRule_Get:
			out.httpMethod, out.pattern = http.MethodGet, p.Get
		case *annotations.HttpRule_Post:
			out.httpMethod, out.pattern = http.MethodPost, p.Post
		case *annotations.HttpRule_Patch:
			out.httpMethod, out.pattern = http.MethodPatch, p.Patch
		case *annotations.HttpRule_Put:
			out.httpMethod, out.pattern = http.MethodPut, p.Put
		case *annotations.HttpRule_Delete:
			out.httpMethod, out.pattern = http.MethodDelete, p.Delete
		}
		out.readPattern()
		rules = append(rules, out)
	}
	return rules
}

var pathVariable = regexp.MustCompile(`\{([a-z_.]+)(?:=([^}]*))?\}`)

func (r *restRule) readPattern() {
	expression := strings.Builder{}
	rest := 0
	for _, at := range pathVariable.FindAllStringSubmatchIndex(r.pattern, -1) {
		expression.WriteString(regexp.QuoteMeta(r.pattern[rest:at[0]]))
		r.inPath = append(r.inPath, r.pattern[at[2]:at[3]])
		segments := "*"
		if at[4] >= 0 {
			segments = r.pattern[at[4]:at[5]]
		}
		expression.WriteString(strings.ReplaceAll(regexp.QuoteMeta(segments), `\*`, `[^/]+`))
		rest = at[1]
	}
	expression.WriteString(regexp.QuoteMeta(r.pattern[rest:]))
	r.path = regexp.MustCompile("^" + expression.String() + "$")
}

// allowedMethods lists the HTTP methods of a path, for the Allow header.
func allowedMethods(path string) string {
	var methods []string
	for _, r := range restRules() {
		// The verb of another pattern is no part of a name, though it would fit.
		if r.path.MatchString(path) && (strings.Contains(r.pattern, ":") || !strings.Contains(path, ":")) {
			methods = append(methods, r.httpMethod)
			if r.httpMethod == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
		}
	}
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}

// onlyAllowed answers 405 to a method that a path does not have. grpc-gateway
// would take the verb of `GET sources/billing:enable` for a part of the name.
func onlyAllowed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed := allowedMethods(r.URL.Path)
		if allowed != "" && !slices.Contains(strings.Split(allowed, ", "), r.Method) {
			restRoutingError(r.Context(), nil, nil, w, r, http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// headAsGet answers HEAD as GET would be; net/http leaves out the body.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			r = r.Clone(r.Context())
			r.Method = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

// understood refuses a request that says something where its method does not
// look: grpc-gateway passes over query parameters of a method that has a body,
// over those that the path gives, and over the body of a method that has none,
// and `:purge?validateOnly=true` would purge.
func understood(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, inPath map[string]string) {
		if pattern, ok := runtime.HTTPPattern(r.Context()); ok {
			if err := ruleOf(r.Method, pattern.String()).check(r, inPath); err != nil {
				restError(r.Context(), nil, nil, w, r, err)
				return
			}
		}
		next(w, r, inPath)
	}
}

// ruleOf answers the rule that grpc-gateway chose, by its own spelling of the
// pattern.
func ruleOf(httpMethod, pattern string) *restRule {
	for _, r := range restRules() {
		if r.httpMethod == httpMethod && r.pattern == pattern {
			return &r
		}
	}
	return nil
}

// check answers INVALID_ARGUMENT when a part of the request would be passed over,
// or when a parameter cannot be read.
func (r *restRule) check(req *http.Request, inPath map[string]string) error {
	if r == nil {
		return status.Error(codes.Internal, internalMessage) // a test walks all routes
	}
	for _, value := range inPath {
		if !utf8.ValidString(value) {
			return badRequest("", "the path is not UTF-8")
		}
	}
	if err := checkTimeout(req.Header); err != nil {
		return err
	}
	if err := r.checkQuery(req.URL); err != nil {
		return err
	}
	body, err := io.ReadAll(req.Body) // in memory already, see readBody
	if err != nil {
		return badRequest("", "the body did not come whole")
	}
	req.Body = &restBody{Reader: bytes.NewReader(body), whole: body, rule: r}
	if r.body == "" && len(bytes.TrimSpace(body)) > 0 {
		return badRequest("", noBody)
	}
	if err := r.checkEmptyParts(req.URL.Query(), body); err != nil {
		return err
	}
	return r.checkPathInBody(body, inPath)
}

// checkEmptyParts refuses to update a message within a resource to nothing unless
// the request names it. Without a mask what the body has is what changes, and
// `{"selector": {}}` would make a subscription one to everything.
func (r *restRule) checkEmptyParts(query url.Values, body []byte) error {
	resource := r.request.Fields().ByName(protoreflect.Name(r.body))
	if r.httpMethod != http.MethodPatch || resource == nil || query.Has("updateMask") || query.Has("update_mask") {
		return nil
	}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(body, &fields) // the decoder says what is wrong
	for name, value := range fields {
		var parts map[string]json.RawMessage
		fd := fieldByName(resource.Message(), name)
		if fd == nil || !isConfig(fd) || !strings.HasPrefix(string(fd.Message().FullName()), "hookstream.") {
			continue
		}
		if json.Unmarshal(value, &parts) == nil && len(parts) == 0 {
			return badRequest(r.body+"."+string(fd.Name()), "is empty: leave it out, or name it in updateMask to give all of it its defaults")
		}
	}
	return nil
}

// badRequest is the error of one mistake.
func badRequest(field, format string, args ...any) error {
	var v violations
	v.add(field, format, args...)
	return v.err()
}

var grpcTimeout = regexp.MustCompile(`^[0-9]{1,8}[HMSmun]$`)

// checkTimeout reads the one header that grpc-gateway has a value of.
func checkTimeout(header http.Header) error {
	const name = "Grpc-Timeout"
	if given := header.Get(name); given != "" && !grpcTimeout.MatchString(given) {
		return badRequest(name, "must be a number of up to eight digits and a unit (H, M, S, m, u or n), not %s", quoted(given))
	}
	return nil
}

// restBody is a body that is told with what is wrong with it, after it was read.
type restBody struct {
	io.Reader
	whole []byte
	rule  *restRule
}

// Close implements io.Closer.
func (b *restBody) Close() error { return nil }

// err says why the decoder refused a body.
func (b *restBody) err() error {
	if found := bodyMistakes(b.rule, b.whole); len(found) > 0 {
		return found.err()
	}
	return badRequest("", "the body is not a request of this method: see /openapi.json")
}

// within reports whether a field is the other, or a part of it.
func within(field, other string) bool {
	return other != "" && (field == other || strings.HasPrefix(field, other+"."))
}

// checkPathInBody refuses a body that names another resource than the path: the
// path would win without a word.
func (r *restRule) checkPathInBody(body []byte, inPath map[string]string) error {
	var fields map[string]any
	if r.body == "" {
		return nil
	}
	_ = json.Unmarshal(body, &fields) // the decoder says what is wrong
	for _, bound := range r.inPath {
		name := strings.TrimPrefix(bound, r.body+".")
		said, ok := fields[name].(string)
		if ok && said != "" && said != inPath[bound] {
			return badRequest(bound, "%q of the body is not what the path names", name)
		}
	}
	return nil
}

package server

import (
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// strictQueries makes grpc-gateway refuse query parameters that name no field:
// it would pass over them, and `?atHeed=true` would stream without end. The
// parser is a variable of grpc-gateway's, hence the Once. Ick.
var strictQueries = sync.OnceFunc(func() {
	runtime.SetQueryParameterParser(strictQuery{})(nil)
})

// strictQuery parses query parameters that all name fields.
type strictQuery struct{ runtime.DefaultQueryParser }

// Parse fills msg from the parameters.
func (q strictQuery) Parse(msg proto.Message, values url.Values, bound *utilities.DoubleArray) error {
	for key := range values {
		name, _, _ := strings.Cut(key, "[") // labels[team]=x
		if !namesField(msg.ProtoReflect().Descriptor(), strings.Split(name, ".")) {
			return fmt.Errorf("there is no parameter %q", key)
		}
	}
	return q.DefaultQueryParser.Parse(msg, values, bound)
}

func namesField(md protoreflect.MessageDescriptor, path []string) bool {
	for i, name := range path {
		if md == nil {
			return false
		}
		fd := fieldByName(md, name)
		if fd == nil {
			return false
		}
		if i == len(path)-1 {
			return true
		}
		md = fd.Message()
	}
	return false
}

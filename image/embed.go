// Package image embeds what the build publishes of the API's schema, for those
// who make clients from it. `make image` makes it anew from proto/.
package image

import _ "embed"

// Descriptors is a self-contained image of the schema with its comments, a
// google.protobuf.FileDescriptorSet: what `buf generate` and `grpcurl -protoset`
// take.
//
//go:embed hookstream.binpb
var Descriptors []byte

// OpenAPI describes the REST face in OpenAPI 2.0, as JSON.
//
//go:embed hookstream.swagger.json
var OpenAPI []byte

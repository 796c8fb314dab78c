// Package image embeds what the build publishes of the API's schema, for those
// who make clients from it. `make image` makes it anew from proto/.
package image

import _ "embed"

// Descriptors is a self-contained image of the schema with its comments, a
// google.protobuf.FileDescriptorSet: what `buf generate` and `grpcurl -protoset`
// take. The messages of google.rpc, in which errors say their reason, are there
// as imports.
//
//go:embed hookstream.binpb
var Descriptors []byte

// LiteDescriptors is the same without custom options and what they import: for
// PHP, Ruby and C++, and whoever wants less code.
//
//go:embed hookstream-lite.binpb
var LiteDescriptors []byte

// OpenAPI describes the REST face in OpenAPI 3.1, as JSON.
//
//go:embed openapi.json
var OpenAPI []byte

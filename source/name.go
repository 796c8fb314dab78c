package source

import (
	"strings"
	"time"

	"github.com/google/uuid"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const (
	namePrefix = "sources/"
	pathPrefix = "/webhooks/"
)

// Name answers the resource name of the source with the id.
func Name(id string) string { return namePrefix + id }

// ID answers the id in a source's resource name.
func ID(src *hookstreamv1.Source) string { return ParseName(src.GetName()) }

// ParseName answers the id in a resource name, and nothing when it is none.
func ParseName(name string) string {
	id, ok := strings.CutPrefix(name, namePrefix)
	if !ok {
		return ""
	}
	return id
}

// IngressKey answers the unguessable part of the source's ingress path; empty
// for a source without one.
func IngressKey(src *hookstreamv1.Source) string {
	rest, ok := strings.CutPrefix(src.GetIngressPath(), pathPrefix)
	if !ok {
		return ""
	}
	_, key, _ := strings.Cut(rest, "/")
	return key
}

// ingressPath is where the source's sender posts to.
func ingressPath(id string, key string) string {
	if key == "" {
		return pathPrefix + id
	}
	return pathPrefix + id + "/" + key
}

// uidOf answers the uid of a source that was made before there were any: the same on
// every gateway and after every start, and another when a source of the name is made
// again.
func uidOf(src *hookstreamv1.Source) string {
	made := src.GetName() + " " + src.GetCreateTime().AsTime().Format(time.RFC3339Nano)
	return uuid.NewSHA1(uidSpace, []byte(made)).String()
}

// uidSpace sets the uids of this package apart from those that others derive.
var uidSpace = uuid.MustParse("5d0f4c0e-53c1-4e0a-9d4e-0c6f5c6a2b71")

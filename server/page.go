package server

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"
)

// defaultPageSize is how many items a page holds when the caller does not say.
const defaultPageSize = 100

// maxPageSize is how many it holds at most: who asks for more gets these and a
// token (AIP-158).
const maxPageSize = 1000

// maxPageBytes ends a page early: clients refuse messages over 4 MiB unless told
// otherwise.
const maxPageBytes = 2 << 20

// pageRequest is what all requests for pages have.
type pageRequest interface {
	GetPageSize() int32
	GetPageToken() string
}

// page cuts the asked page out of all, which are sorted by key. A token holds
// the last key that was answered rather than a count, so that a page neither
// skips nor repeats an item when others come or go. list names what is listed,
// filters included: a token of another list is refused.
func page[T proto.Message](all []T, key func(T) string, list string, req pageRequest) (items []T, next string, err error) {
	start := 0
	if token := req.GetPageToken(); token != "" {
		after, ok := parsePageToken(list, token)
		if !ok {
			return nil, "", errPageToken()
		}
		start = sort.Search(len(all), func(i int) bool { return key(all[i]) > after })
	}
	items = firstOf(all[start:], pageSize(req))
	if start+len(items) < len(all) {
		next = pageToken(list, key(items[len(items)-1]))
	}
	return items, next, nil
}

// pageSize answers how many items a request wants. The schema refuses negative
// sizes.
func pageSize(req pageRequest) int {
	if req.GetPageSize() <= 0 {
		return defaultPageSize
	}
	return int(min(req.GetPageSize(), maxPageSize))
}

// firstOf answers at most count items and, but for the first, maxPageBytes.
func firstOf[T proto.Message](items []T, count int) []T {
	bytes := 0
	for i, item := range items[:min(count, len(items))] {
		bytes += proto.Size(item)
		if i > 0 && bytes > maxPageBytes {
			return items[:i]
		}
	}
	return items[:min(count, len(items))]
}

func errPageToken() error {
	var v violations
	v.add("page_token", "not a token of this list")
	return v.err()
}

// pageToken answers a token for what follows the last key. Its sum tells a token
// that lost its end from one of another place: both are keys.
func pageToken(list, last string) string {
	text := []byte(list + "\x00" + last)
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(text, crc32.ChecksumIEEE(text)))
}

func parsePageToken(list, token string) (last string, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) < 4 || strings.ContainsAny(token, "\r\n") { // which base64 passes over
		return "", false
	}
	text, sum := b[:len(b)-4], b[len(b)-4:]
	if binary.BigEndian.Uint32(sum) != crc32.ChecksumIEEE(text) {
		return "", false
	}
	return strings.CutPrefix(string(text), list+"\x00")
}

package listing

import (
	"encoding/binary"
	"math"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxOrderFields is how many fields an order may have: their values are part of
// every page token.
const maxOrderFields = 4

// maxOrderText is how many bytes of a text count for its order: as many as a
// page token has room for.
const maxOrderText = 128

// Order answers the place of an item as bytes that compare as the items do.
// None is the beginning of another, so that something that orders equal items
// can follow. An order of no fields answers the same for all.
type Order func(proto.Message) []byte

// Order compiles an order: `update_time desc, name`. The error is an *Error.
func (s Schema) Order(text string) (Order, error) {
	var keys []orderKey
	if strings.TrimSpace(text) != "" {
		offset := 0
		for _, part := range strings.Split(text, ",") {
			k, err := s.orderKey(part)
			switch {
			case err != "":
				return nil, errorAt(text, offset+len(part)-len(strings.TrimLeft(part, " ")), "%s", err)
			case len(keys) == maxOrderFields:
				return nil, errorAt(text, offset, "more than %d fields", maxOrderFields)
			}
			keys = append(keys, k)
			offset += len(part) + 1
		}
	}
	return func(m proto.Message) []byte {
		var place []byte
		for _, k := range keys {
			place = k.append(place, m.ProtoReflect())
		}
		return place
	}, nil
}

// orderKey is a field of an order.
type orderKey struct {
	field
	desc bool
}

func (s Schema) orderKey(part string) (k orderKey, wrong string) {
	words := strings.Fields(part)
	switch {
	case len(words) == 2 && words[1] == "desc":
		k.desc = true
	case len(words) == 1, len(words) == 2 && words[1] == "asc":
	default:
		return k, "must be a field, or a field and asc or desc"
	}
	f, err := s.field(strings.Split(words[0], "."))
	if err != nil {
		return k, err.Error()
	}
	if !ordered(f) {
		return k, words[0] + " has no order"
	}
	k.field = f
	return k, ""
}

// ordered says whether a field is single and of a kind that has an order.
func ordered(f field) bool {
	if f.in || f.many() {
		return false
	}
	switch fd := f.last(); fd.Kind() {
	case protoreflect.BytesKind, protoreflect.GroupKind:
		return false
	case protoreflect.MessageKind:
		return fd.Message().FullName() == timestampName || fd.Message().FullName() == durationName
	default:
		return true
	}
}

// append adds the value to a place. What is not there comes first.
func (k orderKey) append(place []byte, m protoreflect.Message) []byte {
	from := len(place)
	if v, ok := k.get(m); ok {
		place = appendValue(append(place, 1), v)
	} else {
		place = append(place, 0)
	}
	if k.desc {
		for i := range place[from:] {
			place[from+i] ^= 0xff
		}
	}
	return place
}

func appendValue(place []byte, v protoreflect.Value) []byte {
	switch n := v.Interface().(type) {
	case string:
		// Ends with two bytes that cannot be within: a zero is followed by 0xff.
		n = n[:min(len(n), maxOrderText)]
		return append(append(place, strings.ReplaceAll(n, "\x00", "\x00\xff")...), 0, 0)
	case bool:
		if n {
			return append(place, 1)
		}
		return append(place, 0)
	case protoreflect.EnumNumber:
		return appendInt(place, int64(n))
	case protoreflect.Message:
		seconds, nanos := instant(n)
		return appendInt(appendInt(place, seconds), nanos)
	case int32:
		return appendInt(place, int64(n))
	case int64:
		return appendInt(place, n)
	case uint32:
		return binary.BigEndian.AppendUint64(place, uint64(n))
	case uint64:
		return binary.BigEndian.AppendUint64(place, n)
	default:
		return appendFloat(place, v.Float())
	}
}

// appendInt appends an integer so that the bytes compare as the numbers do.
func appendInt(place []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(place, uint64(n)^1<<63)
}

// appendFloat does so with a number: IEEE's bits do but for the sign.
func appendFloat(place []byte, n float64) []byte {
	bits := math.Float64bits(n + 0) // -0 is 0
	if bits>>63 == 0 {
		bits |= 1 << 63
	} else {
		bits = ^bits
	}
	return binary.BigEndian.AppendUint64(place, bits)
}

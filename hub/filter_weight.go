package hub

import (
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	// maxWeight ends the weighing of a value: more than any filter may cost.
	maxWeight = 2 * maxFilterCost
	// weightOfOne is what a message or one of its fields weighs beside what is in
	// it: to compare it takes as long as so many bytes.
	weightOfOne = 16
)

// weight is about how many bytes a value has, or elements if that is more. It looks
// no further when there is more than room: a weighing may not itself take long.
func weight(v ref.Val, room uint64) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v))
	case named:
		return uint64(len(v.String) * len(v.all))
	case types.Bytes:
		return uint64(len(v))
	}
	if m, ok := v.Value().(proto.Message); ok {
		return weightOfMessage(m.ProtoReflect(), room)
	}
	if all, ok := v.(traits.Iterable); ok {
		return weightOfAll(all, room)
	}
	return 1
}

// compared is the weight of what two values have in common at most: that of the
// lighter one, found without weighing the heavier whole. Of values that hold no
// others it is nothing: they are told apart by their kind or as fast as memory is.
func compared(a, b ref.Val) uint64 {
	if !isAggregate(a) || !isAggregate(b) {
		return 0
	}
	for room := uint64(1 << 8); room < maxWeight; room <<= 2 {
		if lighter := min(weight(a, room), weight(b, room)); lighter <= room {
			return lighter
		}
	}
	return maxWeight
}

func weightOfAll(all traits.Iterable, room uint64) uint64 {
	total := uint64(1)
	values, byKey := all.(traits.Mapper)
	for it := all.Iterator(); it.HasNext() == types.True && total <= room; {
		item := it.Next()
		total += 1 + weight(item, room-total)
		if byKey && total <= room {
			total += weight(values.Get(item), room-total)
		}
	}
	return total
}

func weightOfMessage(m protoreflect.Message, room uint64) uint64 {
	switch m := m.Interface().(type) {
	case *structpb.Struct:
		return weightOfContent(structpb.NewStructValue(m), room)
	case *structpb.ListValue:
		return weightOfContent(structpb.NewListValue(m), room)
	case *structpb.Value:
		return weightOfContent(m, room)
	}
	total := uint64(weightOfOne)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		total += weightOfOne
		if total <= room {
			total += weightOfField(f, v, room-total)
		}
		return total <= room
	})
	return total
}

func weightOfField(f protoreflect.FieldDescriptor, v protoreflect.Value, room uint64) (total uint64) {
	switch {
	case f.IsList():
		for i := 0; i < v.List().Len() && total <= room; i++ {
			total += 1 + weightOfOneValue(v.List().Get(i), room-total)
		}
	case f.IsMap():
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			total += weightOfOneValue(k.Value(), room)
			if total <= room {
				total += weightOfOneValue(v, room-total)
			}
			return total <= room
		})
	default:
		return weightOfOneValue(v, room)
	}
	return total
}

func weightOfOneValue(v protoreflect.Value, room uint64) uint64 {
	switch v := v.Interface().(type) {
	case string:
		return uint64(len(v))
	case []byte:
		return uint64(len(v))
	case protoreflect.Message:
		return weightOfMessage(v, room)
	}
	return 1
}

// weightOfContent is weightOfMessage of content without a schema.
func weightOfContent(v *structpb.Value, room uint64) uint64 {
	total := uint64(1)
	switch v := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		total += uint64(len(v.StringValue))
	case *structpb.Value_ListValue:
		for _, item := range v.ListValue.GetValues() {
			if total > room {
				break
			}
			total += weightOfContent(item, room-total)
		}
	case *structpb.Value_StructValue:
		for key, item := range v.StructValue.GetFields() {
			if total > room {
				break
			}
			total += uint64(len(key)) + weightOfContent(item, room-min(total, room))
		}
	}
	return total
}

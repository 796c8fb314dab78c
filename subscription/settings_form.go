package subscription

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Settings have three forms: the struct that is read wherever they have their
// effect, the message of the API, and JSON in the bucket. The latter two are made of
// the names of fields, so that no setting is forgotten in one of them.

// Message answers the settings as the API has them. It shares what they point to.
func (s *Settings) Message() *hookstreamv1.Subscription {
	m := new(hookstreamv1.Subscription)
	from, to := reflect.ValueOf(s).Elem(), reflect.ValueOf(m).Elem()
	for i := range from.NumField() {
		setField(to.FieldByName(from.Type().Field(i).Name), from.Field(i))
	}
	return m
}

// SettingsOf reads settings of a message, whose parts they share. What is not set
// there is zero, which stands for the default.
func SettingsOf(m *hookstreamv1.Subscription) (s Settings) {
	if m == nil {
		return s
	}
	from, to := reflect.ValueOf(m).Elem(), reflect.ValueOf(&s).Elem()
	for i := range to.NumField() {
		setField(to.Field(i), from.FieldByName(to.Type().Field(i).Name))
	}
	return s
}

// setField gives the value of a field in one form to that in another. A number that
// the other cannot hold becomes the nearest that it can.
func setField(to, from reflect.Value) {
	switch v := from.Interface().(type) {
	case time.Duration:
		if v != 0 {
			to.Set(reflect.ValueOf(durationpb.New(max(v, 0))))
		}
		return
	case *durationpb.Duration:
		if v != nil {
			d := v.AsDuration()
			if d == 0 {
				d = NoBackoff
			}
			to.SetInt(int64(d))
		}
		return
	}
	if n := from; n.CanInt() && n.Type() != to.Type() {
		to.SetInt(within(n.Int(), to.Kind()))
		return
	}
	to.Set(from)
}

func within(n int64, kind reflect.Kind) int64 {
	if kind == reflect.Int32 {
		return min(max(n, math.MinInt32), math.MaxInt32)
	}
	return n
}

// encode answers the settings as they are kept: by their names in the schema,
// durations in nanoseconds, messages in wire form, an enum by its number less one,
// since what is kept is never unspecified.
func (s *Settings) encode() (map[string]json.RawMessage, error) {
	kept := make(map[string]json.RawMessage)
	for name, field := range s.fields() {
		if field.IsZero() {
			continue
		}
		value := field.Interface()
		switch v := value.(type) {
		case proto.Message:
			wire, err := proto.Marshal(v)
			if err != nil {
				return nil, err
			}
			value = wire
		case protoreflect.Enum:
			value = v.Number() - 1
		}
		var err error
		if kept[name], err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// decode reads what encode made, and what earlier versions kept. What was not kept,
// by a version that did not have the setting, is not set.
func (s *Settings) decode(kept map[string]json.RawMessage) error {
	for name, field := range s.fields() {
		value, ok := kept[name]
		if !ok {
			continue
		}
		if err := decodeField(field, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func decodeField(field reflect.Value, kept []byte) error {
	switch v := field.Interface().(type) {
	case proto.Message:
		var wire []byte
		if err := json.Unmarshal(kept, &wire); err != nil {
			return err
		}
		field.Set(reflect.New(field.Type().Elem()))
		return proto.Unmarshal(wire, field.Interface().(proto.Message))
	case protoreflect.Enum:
		var n protoreflect.EnumNumber
		if err := json.Unmarshal(kept, &n); err != nil {
			return err
		}
		if n < 0 || v.Descriptor().Values().ByNumber(n+1) == nil {
			return errForm
		}
		field.SetInt(int64(n + 1))
		return nil
	}
	return json.Unmarshal(kept, field.Addr().Interface())
}

// fields ranges over the settings by their names in the schema.
func (s *Settings) fields() iter.Seq2[string, reflect.Value] {
	return func(yield func(string, reflect.Value) bool) {
		fields := reflect.ValueOf(s).Elem()
		for i := range fields.NumField() {
			if !yield(schemaName(fields.Type().Field(i).Name), fields.Field(i)) {
				return
			}
		}
	}
}

// schemaName is the name in the schema of a field of Go.
func schemaName(name string) string {
	var out strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}

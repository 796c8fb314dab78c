package lenient

import (
	"math"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/types/known/structpb"
)

// surelyExact is how long the text of a number without exponent may be so that a
// float64 tells it from every other: any 15 digits come back from one.
const surelyExact = 15

// toNumber answers a number as a float64 when that is what was sent, and its text
// otherwise: a consumer that is shown other digits than the sender's has no way
// to notice. Integers beyond 2^53 are text, whether or not a float64 happens to
// hold them, so that one key does not change its type from value to value.
func toNumber(value gjson.Result) *structpb.Value {
	if !exact(value) || math.Abs(value.Num) > maxExact && isInteger(value.Raw) {
		return structpb.NewStringValue(strings.Clone(value.Raw))
	}
	return structpb.NewNumberValue(value.Num)
}

// exact reports whether the float64 of a number says what its text does.
func exact(value gjson.Result) bool {
	if len(value.Raw) <= surelyExact && !strings.ContainsAny(value.Raw, "eE") {
		return true
	}
	if math.IsInf(value.Num, 0) {
		return false
	}
	sent, ok := decimalOf(value.Raw)
	kept, _ := decimalOf(strconv.FormatFloat(value.Num, 'e', -1, 64))
	return ok && sent == kept
}

// isInteger reports whether a number is written as an integer is.
func isInteger(raw string) bool { return raw != "" && !strings.ContainsAny(raw, ".eE") }

// A decimal is the value of a number: digits times ten to the power of exp. The
// digits neither begin nor end with a zero, so equal values are equal decimals;
// zero has none.
type decimal struct {
	negative bool
	digits   string
	exp      int
}

// decimalOf reads a JSON number. It fails on exponents that nobody means.
func decimalOf(raw string) (d decimal, ok bool) {
	text, exponent, _ := strings.Cut(strings.ToLower(raw), "e")
	if exponent != "" {
		n, err := strconv.ParseInt(exponent, 10, 32)
		if err != nil {
			return decimal{}, false
		}
		d.exp = int(n)
	}
	text, d.negative = strings.CutPrefix(text, "-")
	whole, fraction, _ := strings.Cut(text, ".")
	d.exp -= len(fraction)
	all := strings.TrimLeft(whole+fraction, "0")
	d.digits = strings.TrimRight(all, "0")
	d.exp += len(all) - len(d.digits)
	if d.digits == "" {
		return decimal{}, true
	}
	return d, true
}

// appendNumberText writes a number so that equal values are equal texts, and
// others are not.
func appendNumberText(dst []byte, value gjson.Result) []byte {
	raw := value.Raw
	if len(raw) <= surelyExact && isInteger(raw) && raw[0] != '-' {
		return append(dst, raw...)
	}
	d, ok := decimalOf(raw)
	switch {
	case !ok:
		return append(dst, raw...)
	case d.digits == "":
		return append(dst, '0')
	case d.exp >= 0 && len(d.digits)+d.exp <= 18:
		if d.negative {
			dst = append(dst, '-')
		}
		return append(append(dst, d.digits...), "000000000000000000"[:d.exp]...)
	case exact(value):
		return strconv.AppendFloat(dst, value.Num, 'g', -1, 64)
	}
	if d.negative {
		dst = append(dst, '-')
	}
	return strconv.AppendInt(append(append(dst, d.digits...), 'e'), int64(d.exp), 10)
}

// Digits answers an id that was sent as a number: its digits. Empty when it is no
// integer.
func Digits(value gjson.Result) string {
	if value.Type != gjson.Number || !isInteger(value.Raw) {
		return ""
	}
	return value.Raw
}

package lenient

import (
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Time reads a time in the forms that senders use: RFC 3339, also with a space
// for the T, in lower case, with an offset that has no colon or no minutes, or
// without seconds; and the seconds since 1970, or milli-, micro- or nanoseconds,
// as a number or as a text. A time without an offset is nobody's: which one it
// means, the sender alone knows.
func Time(value gjson.Result) (time.Time, bool) {
	t, ok := readTime(value)
	return t, ok && timestamppb.New(t).IsValid()
}

func readTime(value gjson.Result) (time.Time, bool) {
	switch value.Type {
	case gjson.Number:
		return unixTime(value.Raw)
	case gjson.String:
		if t, err := time.Parse(time.RFC3339Nano, value.Str); err == nil {
			return t, true
		}
		if strings.Trim(value.Str, "0123456789.") == "" {
			return unixTime(value.Str)
		}
		return calendarTime(value.Str)
	}
	return time.Time{}, false
}

// layouts are those of calendarTime. A fraction of the second is read wherever
// seconds are.
var layouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04Z0700", "2006-01-02T15:04Z07",
}

const dateLength = len("2006-01-02")

func calendarTime(s string) (time.Time, bool) {
	if len(s) > 64 || len(s) <= dateLength || !strings.ContainsRune("Tt ", rune(s[dateLength])) {
		return time.Time{}, false
	}
	clock := strings.ToUpper(s[dateLength+1:])
	for _, utc := range []string{"UTC", "GMT"} {
		if before, ok := strings.CutSuffix(clock, utc); ok {
			clock = before + "Z"
		}
	}
	s = s[:dateLength] + "T" + strings.Replace(clock, " ", "", 1) // before the offset
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

const (
	// firstSecond is the first that a number may mean, in 1973: a smaller one counts
	// something else, or is a date's digits.
	firstSecond = 100_000_000
	// lastSecond is the last that a Timestamp can hold, the end of the year 9999.
	// What is more is in a smaller unit.
	lastSecond = 253402300799
)

// unixTime reads a count since 1970.
func unixTime(raw string) (time.Time, bool) {
	if strings.ContainsAny(raw, "eE") { // 1.77e9
		d, ok := decimalOf(raw)
		if !ok || d.negative || d.exp < 0 || len(d.digits)+d.exp > 18 {
			return time.Time{}, false
		}
		raw = d.digits + strings.Repeat("0", d.exp)
	}
	whole, fraction, _ := strings.Cut(raw, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < firstSecond {
		return time.Time{}, false
	}
	unit := time.Second
	for limit := int64(lastSecond); n > limit && unit > time.Nanosecond; limit *= 1000 {
		unit /= 1000
	}
	// Of a unit, with nine digits.
	billionths, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	perSecond := int64(time.Second / unit)
	nanos := n%perSecond*int64(unit) + billionths*int64(unit)/int64(time.Second)
	return time.Unix(n/perSecond, nanos).UTC(), true
}

package listing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

func schemaOf(m proto.Message) Schema {
	return Schema{Message: m.ProtoReflect().Descriptor(), Hidden: func(fd protoreflect.FieldDescriptor) bool { return fd.Name() == "secrets" }}
}

var made = time.Date(2026, 11, 28, 9, 0, 0, 5, time.UTC)

func billing() *hookstreamv1.Source {
	return &hookstreamv1.Source{
		Name: "sources/billing", Description: `He said "à tout à l'heure"`, Disabled: true,
		Config:               &hookstreamv1.Source_Yousign{Yousign: &yousignv1.SourceConfig{}},
		DisabledTypes:        []string{"signer.done", "contact.*"},
		VerificationMode:     hookstreamv1.VerificationMode_VERIFICATION_MODE_SHADOW,
		Labels:               map[string]string{"team": "crm", "app.kubernetes.io/x": "1", "empty": ""},
		MaxRequestsPerSecond: 2.5, CreateTime: timestamppb.New(made),
	}
}

func TestFilterOfASource(t *testing.T) {
	for filter, want := range map[string]bool{
		"":                           true,
		"  ":                         true,
		`name = "sources/billing"`:   true,
		`name = sources/billing`:     true,
		`name != "sources/billing"`:  false,
		`name = "sources/*"`:         true,
		`name = "*b*l*g"`:            true,
		`name = "*billing*billing"`:  false,
		`name:"bill"`:                true,
		`name:"BILL"`:                false,
		`name < "sources/c"`:         true,
		`description:"à l'heure"`:    true,
		`description = 'He said "*'`: true,
		`disabled = true`:            true,
		`disabled != true`:           false,
		`NOT disabled = true`:        false,
		`-disabled = true`:           false,
		`verification_mode = VERIFICATION_MODE_SHADOW`:  true,
		`verificationMode = "VERIFICATION_MODE_SHADOW"`: true,
		`verification_mode != VERIFICATION_MODE_SHADOW`: false,
		`labels:team`:                                          true,
		`labels:nobody`:                                        false,
		`labels:*`:                                             true,
		`labels.team = crm`:                                    true,
		`labels.team:*`:                                        true,
		`labels.empty:*`:                                       true,
		`labels.team = "c*"`:                                   true,
		`labels.nobody != "crm"`:                               false,
		`NOT labels.nobody = "crm"`:                            true,
		`labels.app.kubernetes.io/x = "1"`:                     true,
		`labels."app.kubernetes.io/x" = "1"`:                   true,
		`disabled_types:"signer.done"`:                         true,
		`disabled_types:signer.done`:                           true,
		`disabled_types:"signer"`:                              false,
		`disabled_types:"signer*"`:                             true,
		`max_requests_per_second > 2`:                          true,
		`max_requests_per_second >= 2.5`:                       true,
		`max_requests_per_second < -1`:                         false,
		`max_requests_per_second = 2.5`:                        true,
		`create_time > "2026-11-28T09:00:00Z"`:                 true,
		`create_time <= "2026-11-28T10:00:00.000000005+01:00"`: true,
		`create_time < "2026-11-28T09:00:00Z"`:                 false,
		`update_time < "2026-11-28T09:00:00Z"`:                 false,
		`update_time != "2026-11-28T09:00:00Z"`:                false,
		`NOT update_time:*`:                                    true,
		`yousign:*`:                                            true,
		`ignisign:*`:                                           false,
		`ignisign.app_id = "x"`:                                false,
		`disabled = true AND labels.team = "x"`:                false,
		`disabled = true labels.team = "x"`:                    false,
		`disabled = false OR labels.team = "crm"`:              true,
		// OR binds closer than AND.
		`disabled = false AND disabled = true OR disabled = true`:   false,
		`(disabled = false AND disabled = true) OR disabled = true`: true,
		`NOT (disabled = true AND labels.team = "x")`:               true,
	} {
		f, err := schemaOf(billing()).Filter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		if got := f(billing()); got != want {
			t.Errorf("%s: %v", filter, got)
		}
	}
}

func TestFilterOfASubscription(t *testing.T) {
	sub := &hookstreamv1.Subscription{AckDeadline: durationpb.New(90 * time.Second), MaxAttempts: 7, MaxOutstandingBytes: 1<<53 + 1}
	for filter, want := range map[string]bool{
		`ack_deadline = "90s"`:                      true,
		`ack_deadline > "1m"`:                       true,
		`ack_deadline > "1m30.5s"`:                  false,
		`max_attempts = 7`:                          true,
		`max_attempts < 6.5`:                        false,
		`max_outstanding_bytes = 9007199254740992`:  false,
		`max_outstanding_bytes = 9007199254740993`:  true,
		`max_outstanding_bytes >= 0x20000000000001`: true,
	} {
		f, err := schemaOf(sub).Filter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		if got := f(sub); got != want {
			t.Errorf("%s: %v", filter, got)
		}
	}
}

// Each is refused, at its place.
func TestFilterThatIsRefused(t *testing.T) {
	for filter, at := range map[string]int{
		`billing`:                       1,
		`"billing"`:                     1,
		`disabled`:                      1,
		`disabled = true AND nme = "x"`: 21,
		`à = 1`:                         1,
		`name = "à" AND nme = "x"`:      16,
		`  nme = "x"`:                   3,
		`disabled = maybe`:              1,
		`disabled > true`:               1,
		`verification_mode = SHADOW`:    1,
		`create_time > "yesterday"`:     1,
		`max_requests_per_second > a`:   1,
		`labels = "x"`:                  1,
		`disabled_types = "x"`:          1,
		`yousign = "x"`:                 1,
		`yousign.secrets:"x"`:           1,
		`yousign.secrets:*`:             1,
		`name.x = "y"`:                  1,
		`now() > 5`:                     1,
		`name = now()`:                  8,
		`AND(name, name)`:               5,
		`NOT()`:                         1,
		`name = (disabled = true)`:      9,
		`"name" = "x"`:                  1,
		`5 = 5`:                         1,
		`name =`:                        7,
		`name = "x`:                     8,
		`name = a-b`:                    9,
		`(name = "x"`:                   12,
		`name = "x" AND`:                11,
		strings.Repeat("(", 17) + `name = "x"` + strings.Repeat(")", 17): 17,
		"name = \"\xff\"": 8,
	} {
		_, err := schemaOf(billing()).Filter(filter)
		var wrong *Error
		if !errors.As(err, &wrong) {
			t.Errorf("%s: %v", filter, err)
		} else if wrong.Character != at {
			t.Errorf("%s: %v, want character %d", filter, err, at)
		}
	}
}

// A filter that is as long as a request lets it be is read all the same.
func TestLongFilters(t *testing.T) {
	for name, filter := range map[string]string{
		"and":     strings.Repeat(`name:"s" `, 220),
		"not":     strings.Repeat("(NOT ", 16) + "disabled=true" + strings.Repeat(")", 16),
		"calls":   strings.Repeat("a(", 990),
		"opened":  strings.Repeat("(", 2000),
		"members": strings.Repeat("a.", 999) + "a",
		"minus":   strings.Repeat("-", 2000),
		"stars":   `name = "` + strings.Repeat("*s", 990) + `"`,
		"quotes":  strings.Repeat(`"`, 1999),
		"words":   strings.Repeat("a ", 1000),
	} {
		f, err := schemaOf(billing()).Filter(filter)
		if (err == nil) != slices.Contains([]string{"and", "not", "stars"}, name) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			f(billing())
		}
	}
}

// sources makes sources whose values meet one another often.
func sources() *rapid.Generator[*hookstreamv1.Source] {
	return rapid.Custom(func(t *rapid.T) *hookstreamv1.Source {
		src := &hookstreamv1.Source{
			Name:                 "sources/" + rapid.StringMatching(`[ab]{1,3}`).Draw(t, "id"),
			Description:          rapid.SampledFrom([]string{"", "a", "a\x00", "a\x00b", "ab", "à"}).Draw(t, "description"),
			Disabled:             rapid.Bool().Draw(t, "disabled"),
			VerificationMode:     hookstreamv1.VerificationMode(rapid.IntRange(0, 2).Draw(t, "mode")),
			MaxRequestsPerSecond: rapid.SampledFrom([]float64{-1.5, 0, 0.5, 1, 100}).Draw(t, "rate"),
			Labels:               rapid.MapOf(rapid.SampledFrom([]string{"k", "l"}), rapid.SampledFrom([]string{"", "v", "w"})).Draw(t, "labels"),
		}
		if rapid.Bool().Draw(t, "created") {
			src.CreateTime = timestamppb.New(made.Add(time.Duration(rapid.IntRange(-2, 2).Draw(t, "nanos"))))
		}
		return src
	})
}

// condition is a filter and the same by hand.
type condition struct {
	text string
	hand func(*hookstreamv1.Source) bool
}

func conditions(depth int) *rapid.Generator[condition] {
	return rapid.Custom(func(t *rapid.T) condition {
		if depth > 0 {
			switch join := rapid.SampledFrom([]string{"", "AND", "OR", "NOT"}).Draw(t, "join"); join {
			case "NOT":
				a := conditions(depth-1).Draw(t, "a")
				return condition{"NOT (" + a.text + ")", func(s *hookstreamv1.Source) bool { return !a.hand(s) }}
			case "AND", "OR":
				a, b := conditions(depth-1).Draw(t, "a"), conditions(depth-1).Draw(t, "b")
				return condition{"(" + a.text + ") " + join + " (" + b.text + ")", func(s *hookstreamv1.Source) bool {
					if join == "AND" {
						return a.hand(s) && b.hand(s)
					}
					return a.hand(s) || b.hand(s)
				}}
			}
		}
		mode := hookstreamv1.VerificationMode(rapid.IntRange(0, 2).Draw(t, "mode"))
		value := rapid.SampledFrom([]string{"", "v", "w"}).Draw(t, "value")
		rate := rapid.SampledFrom([]float64{-2, 0, 0.5, 1}).Draw(t, "rate")
		id := rapid.StringMatching(`[ab]{1,2}`).Draw(t, "id")
		return rapid.SampledFrom([]condition{
			{"disabled = true", (*hookstreamv1.Source).GetDisabled},
			{"verification_mode = " + mode.String(), func(s *hookstreamv1.Source) bool { return s.GetVerificationMode() == mode }},
			{fmt.Sprintf("labels.k = %q", value), func(s *hookstreamv1.Source) bool { v, ok := s.GetLabels()["k"]; return ok && v == value }},
			{fmt.Sprintf("labels.k != %q", value), func(s *hookstreamv1.Source) bool { v, ok := s.GetLabels()["k"]; return ok && v != value }},
			{"labels:l", func(s *hookstreamv1.Source) bool { _, ok := s.GetLabels()["l"]; return ok }},
			{fmt.Sprintf("max_requests_per_second > %v", rate), func(s *hookstreamv1.Source) bool { return s.GetMaxRequestsPerSecond() > rate }},
			{fmt.Sprintf("max_requests_per_second <= %v", rate), func(s *hookstreamv1.Source) bool { return s.GetMaxRequestsPerSecond() <= rate }},
			{fmt.Sprintf("name = \"sources/%s*\"", id), func(s *hookstreamv1.Source) bool { return strings.HasPrefix(s.GetName(), "sources/"+id) }},
			{fmt.Sprintf("name:%q", id), func(s *hookstreamv1.Source) bool { return strings.Contains(s.GetName(), id) }},
			{fmt.Sprintf("name >= \"sources/%s\"", id), func(s *hookstreamv1.Source) bool { return s.GetName() >= "sources/"+id }},
			{`create_time >= "` + made.Format(time.RFC3339Nano) + `"`, func(s *hookstreamv1.Source) bool {
				return s.GetCreateTime() != nil && !s.GetCreateTime().AsTime().Before(made)
			}},
		}).Draw(t, "condition")
	})
}

func TestAFilterIsWhatOneWouldWriteByHand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := conditions(3).Draw(t, "condition")
		f, err := schemaOf(billing()).Filter(c.text)
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		for _, src := range rapid.SliceOfN(sources(), 1, 20).Draw(t, "sources") {
			if got, want := f(src), c.hand(src); got != want {
				t.Errorf("%s of %v: %v", c.text, src, got)
			}
		}
	})
}

// hand are the fields of orders, compared by hand.
var hand = map[string]func(a, b *hookstreamv1.Source) int{
	"name":        func(a, b *hookstreamv1.Source) int { return strings.Compare(a.GetName(), b.GetName()) },
	"description": func(a, b *hookstreamv1.Source) int { return strings.Compare(a.GetDescription(), b.GetDescription()) },
	"max_requests_per_second": func(a, b *hookstreamv1.Source) int {
		switch x, y := a.GetMaxRequestsPerSecond(), b.GetMaxRequestsPerSecond(); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	},
	"verification_mode": func(a, b *hookstreamv1.Source) int { return int(a.GetVerificationMode() - b.GetVerificationMode()) },
	"create_time": func(a, b *hookstreamv1.Source) int {
		if a.CreateTime == nil || b.CreateTime == nil {
			return len(a.GetCreateTime().String()) - len(b.GetCreateTime().String())
		}
		return a.GetCreateTime().AsTime().Compare(b.GetCreateTime().AsTime())
	},
}

func TestAnOrderIsWhatOneWouldWriteByHand(t *testing.T) {
	fields := []string{"name", "description", "max_requests_per_second", "verification_mode", "create_time"}
	rapid.Check(t, func(t *rapid.T) {
		var parts []string
		chosen := rapid.SliceOfN(rapid.SampledFrom(fields), 1, 4).Draw(t, "fields")
		turn := make([]int, len(chosen))
		for i, f := range chosen {
			word := rapid.SampledFrom([]string{"", " asc", " desc"}).Draw(t, "word")
			if turn[i] = 1; word == " desc" {
				turn[i] = -1
			}
			parts = append(parts, f+word)
		}
		order, err := schemaOf(billing()).Order(strings.Join(parts, ", "))
		if err != nil {
			t.Fatal(err)
		}
		a, b := sources().Draw(t, "a"), sources().Draw(t, "b")
		want := 0
		for i, f := range chosen {
			if want == 0 {
				want = turn[i] * hand[f](a, b)
			}
		}
		got := strings.Compare(string(order(a)), string(order(b)))
		if (got < 0) != (want < 0) || (got > 0) != (want > 0) {
			t.Errorf("%v: %d, want %d\n%v\n%v", parts, got, want, a, b)
		}
	})
}

func TestOrderThatIsRefused(t *testing.T) {
	for order, at := range map[string]int{
		"nme": 1, "name up": 1, "name, nme": 7, "labels": 1, "labels.team": 1, "disabled_types": 1, "yousign": 1, "yousign.secrets": 1,
		"name,": 6, ",name": 1, "name desc asc": 1, "name,name,name,name,name": 21, "-name": 1, "create_time.seconds.x": 1,
	} {
		_, err := schemaOf(billing()).Order(order)
		var wrong *Error
		if !errors.As(err, &wrong) || wrong.Character != at {
			t.Errorf("%q: %v, want character %d", order, err, at)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		`disabled = true AND (labels.team = "crm" OR -name:"x")`, `create_time > "2026-11-28T09:00:00Z"`, `a.b.c(d, 'e')`, "((((", `name="\x00\u00e0"`, "NOT", "--1", `name = *`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 {
			t.Skip()
		}
		filter, err := schemaOf(billing()).Filter(text)
		var wrong *Error
		switch {
		case err == nil:
			filter(billing())
			filter(&hookstreamv1.Source{})
		case !errors.As(err, &wrong):
			t.Errorf("not an Error: %v", err)
		case wrong.Character < 1 || wrong.Character > len(text)+1:
			t.Errorf("%q: a place outside: %v", text, err)
		}
	})
}

package main

import (
	"io"
	"reflect"
	"runtime"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/hookstream/hookstream/app"
)

// parse reads a command line as run does, without running it.
func parse(t *testing.T, getenv func(string) string, args ...string) (*commands, error) {
	t.Helper()
	p := &program{getenv: getenv, stdout: io.Discard, stderr: io.Discard}
	parser, _ := p.parser(t.Context())
	_, err := parser.Parse(args)
	return parser.Model.Target.Addr().Interface().(*commands), err
}

func noEnv(string) string { return "" }

// An option of the gateway without a flag, or a flag that goes nowhere, is seen
// here: every field must leave its default when every flag does.
func TestServeFlagsReachEveryOption(t *testing.T) {
	env := map[string]string{
		"HOOKSTREAM_INGRESS_ADDR": "127.0.0.1:1", "HOOKSTREAM_GRPC_ADDR": "127.0.0.1:2", "HOOKSTREAM_HTTP_ADDR": "127.0.0.1:3",
		"HOOKSTREAM_PPROF_ADDR":    "127.0.0.1:4",
		"HOOKSTREAM_ALLOWED_HOSTS": "a.example,b.example",
		"HOOKSTREAM_TLS_CERT":      "c", "HOOKSTREAM_TLS_KEY": "k", "HOOKSTREAM_ALLOW_UNAUTHENTICATED": "true",
		"HOOKSTREAM_DATA_DIR": "d", "HOOKSTREAM_DURABILITY": "relaxed",
		"HOOKSTREAM_NATS_URL": "nats://n", "HOOKSTREAM_NATS_CREDS": "1", "HOOKSTREAM_NATS_CA": "2",
		"HOOKSTREAM_NATS_CERT": "3", "HOOKSTREAM_NATS_KEY": "4", "HOOKSTREAM_NATS_DOMAIN": "d", "HOOKSTREAM_NATS_INBOX_PREFIX": "p", "HOOKSTREAM_REPLICAS": "3",
		"HOOKSTREAM_RETENTION_AGE": "7d", "HOOKSTREAM_RETENTION_BYTES": "10GiB", "HOOKSTREAM_RETENTION_EVENTS": "1000",
		"HOOKSTREAM_DEDUP_WINDOW": "8d", "HOOKSTREAM_MIN_FREE_BYTES": "1GiB", "HOOKSTREAM_MAX_BODY_BYTES": "2MiB",
		"HOOKSTREAM_VERIFY_WAIT": "1s", "HOOKSTREAM_SOURCE_RATE": "7", "HOOKSTREAM_VERIFIERS": "3",
		"HOOKSTREAM_INBOX_MAX_ROWS": "10", "HOOKSTREAM_INBOX_MAX_BYTES": "10MB", "HOOKSTREAM_PARKED_MAX_BYTES": "11MB",
		"HOOKSTREAM_MAX_INGRESS_CONNECTIONS": "5", "HOOKSTREAM_MAX_CONNECTIONS_PER_ADDRESS": "4", "HOOKSTREAM_TRUSTED_PROXIES": "10.0.0.0/8",
		"HOOKSTREAM_MAX_STREAMS": "11", "HOOKSTREAM_PEER_TIMEOUT": "13s", "HOOKSTREAM_DRAIN_GRACE": "12s",
		"HOOKSTREAM_ENCRYPTION_KEY": "secret", "HOOKSTREAM_ENCRYPTION_KEY_FILE": "f",
	}
	getenv := func(name string) string { return env[name] }
	cli, err := parse(t, getenv, "serve")
	if err != nil {
		t.Fatal(err)
	}
	p := &program{getenv: getenv, stderr: io.Discard}
	got, unchanged := reflect.ValueOf(cli.Serve.options(p)), reflect.ValueOf(app.DefaultOptions())
	for i := range got.NumField() {
		field := got.Type().Field(i)
		if field.IsExported() && field.Name != "Logger" && reflect.DeepEqual(got.Field(i).Interface(), unchanged.Field(i).Interface()) {
			t.Errorf("no flag of serve sets %s", field.Name)
		}
	}
}

func TestServeDefaultsAreThoseOfTheGateway(t *testing.T) {
	cli, err := parse(t, noEnv, "serve")
	if err != nil {
		t.Fatal(err)
	}
	got, want := cli.Serve.options(&program{getenv: noEnv, stderr: io.Discard}), app.DefaultOptions()
	got.Logger, want.Logger = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if err := app.DefaultOptions().Validate(); err != nil {
		t.Error(err)
	}
}

// One thread more than Go's own choice, where there is a disk to wait for and
// nobody has chosen.
func TestRoomForSyncs(t *testing.T) {
	chosen := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(chosen)
	for _, c := range []struct {
		name string
		args []string
		env  string
		want int
	}{
		{"sync", nil, "", chosen + 1},
		{"chosen", nil, "7", chosen},
		{"relaxed", []string{"--durability=relaxed"}, "", chosen},
		{"cluster", []string{"--nats-url=nats://n"}, "", chosen},
	} {
		runtime.GOMAXPROCS(chosen)
		cli, err := parse(t, noEnv, append([]string{"serve"}, c.args...)...)
		if err != nil {
			t.Fatal(err)
		}
		cli.Serve.makeRoomForSyncs(&program{getenv: func(name string) string {
			if name == "GOMAXPROCS" {
				return c.env
			}
			return ""
		}})
		if got := runtime.GOMAXPROCS(0); got != c.want {
			t.Errorf("%s: %d threads, want %d", c.name, got, c.want)
		}
	}
}

// The command line wins over the environment.
func TestFlagsWinOverTheEnvironment(t *testing.T) {
	env := map[string]string{"HOOKSTREAM_COUNT": "7"}
	cli, err := parse(t, func(name string) string { return env[name] }, "tail", "--count", "3")
	if err != nil || cli.Tail.Count != 3 {
		t.Errorf("count is %d, %v", cli.Tail.Count, err)
	}
}

// No flag takes a secret: they would be seen by every process of the machine.
func TestNoFlagTakesASecret(t *testing.T) {
	p := &program{getenv: noEnv, stdout: io.Discard, stderr: io.Discard}
	parser, _ := p.parser(t.Context())
	_ = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			switch flag.Name {
			case "secret", "api-key", "key", "password", "token", "encryption-key":
				t.Errorf("--%s takes a secret", flag.Name)
			}
		}
		return next(nil)
	})
}

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/internal/linktest"
)

// TestScripts runs testdata/script: what people type, and what they see, of the
// program as it is shipped. Each script has ports and a data directory of its own,
// told by the environment.
func TestScripts(t *testing.T) {
	heavy.Test(t)
	program, err := heavy.Program(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Dir(program)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			return setUp(env)
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"await": await},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

func setUp(env *testscript.Env) error {
	var addrs [4]string
	for i := range addrs {
		addr, free, err := linktest.Reserve()
		if err != nil {
			return err
		}
		env.Defer(free)
		addrs[i] = addr
	}
	for name, value := range map[string]string{
		"HOOKSTREAM_INGRESS_ADDR":  addrs[0],
		"HOOKSTREAM_GRPC_ADDR":     addrs[1],
		"HOOKSTREAM_HTTP_ADDR":     addrs[2],
		"HOOKSTREAM_SERVER":        addrs[1],
		"HOOKSTREAM_IGNISIGN_ADDR": addrs[3],
		"HOOKSTREAM_DATA_DIR":      filepath.Join(env.WorkDir, "data"),
		"HOOKSTREAM_WAIT":          "30s",
		"HOOKSTREAM_DRAIN_GRACE":   "100ms",
		"TZ":                       "UTC",
		// Coverage and temporary directories are the test binary's business.
		"TMPDIR": os.TempDir(),
	} {
		env.Setenv(name, value)
	}
	return nil
}

// await waits until a file that a background command writes holds a match of a
// regular expression: await FILE REGEXP.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	want := regexp.MustCompile("(?m)" + args[1])
	for end := time.Now().Add(awaitLimit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		content, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && want.Match(content) {
			return
		}
	}
	ts.Fatalf("%s never held a match of %s", args[0], args[1])
}

// awaitLimit ends a script that waits in vain.
const awaitLimit = 30 * time.Second

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hookstream/hookstream/internal/heavy"
)

// What this program keeps, that of the last release reads: who upgraded can go back.
// HOOKSTREAM_TEST_BASE is another commit to compare with.
func TestTheLastReleaseReadsWhatThisKeeps(t *testing.T) {
	heavy.Test(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	earlier := earlierBinary(t, root, lastRelease(t, root))
	program, err := heavy.Program(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(earlier, filepath.Join(bin, "earlier")); err != nil {
		t.Fatal(err)
	}
	path := strings.Join([]string{filepath.Dir(program), bin, os.Getenv("PATH")}, string(filepath.ListSeparator))
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "earlier"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", path)
			return setUp(env)
		},
		RequireExplicitExec: true,
	})
}

// lastRelease answers the commit of the last release, or skips where there is none.
func lastRelease(t *testing.T, root string) string {
	if commit := os.Getenv("HOOKSTREAM_TEST_BASE"); commit != "" {
		return commit
	}
	cmd := exec.Command("bash", "tools/released.sh")
	cmd.Dir = root
	var says strings.Builder
	cmd.Stderr = &says
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("NOT COMPARED with a release: %v: %s", err, strings.TrimSpace(says.String()))
	}
	return strings.TrimSpace(string(out))
}

// earlierBinary answers the program of a commit, which is kept beside the tools, one
// at a time.
func earlierBinary(t *testing.T, root, commit string) string {
	path := filepath.Join(root, ".cache", "hookstream-"+commit)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	old, _ := filepath.Glob(filepath.Join(root, ".cache", "hookstream-*"))
	for _, name := range old {
		_ = os.Remove(name)
	}
	src := t.TempDir()
	unpack := exec.Command("bash", "-c", `set -o pipefail; git archive "$1" | tar -x -C "$2"`, "-", commit, src)
	unpack.Dir = root
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	build(t, filepath.Join(src, "cmd", "hookstream"), path+".part")
	if err := os.Rename(path+".part", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func build(t *testing.T, dir, path string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

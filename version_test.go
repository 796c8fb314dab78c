package hookstream

import (
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "6ccaf92d1b3e0123456789"}
	dirty := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for _, tt := range []struct {
		info *debug.BuildInfo
		want string
	}{
		{nil, "0.1.0"},
		{&debug.BuildInfo{}, "0.1.0"},
		{&debug.BuildInfo{Settings: []debug.BuildSetting{commit, {Key: "vcs.modified", Value: "false"}}}, "0.1.0+6ccaf92d1b3e"},
		{&debug.BuildInfo{Settings: []debug.BuildSetting{commit, dirty}}, "0.1.0+6ccaf92d1b3e.dirty"},
		{&debug.BuildInfo{Settings: []debug.BuildSetting{dirty}}, "0.1.0"},
	} {
		if got := version("0.1.0", tt.info); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// The file is a version and nothing else, and the changelog says what is in it.
func TestVersionIsInTheChangelog(t *testing.T) {
	version := strings.TrimSpace(file)
	if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(version) || Version() == "" {
		t.Errorf("VERSION is %q", file)
	}
	changelog, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(changelog), "\n## "+version+"\n") {
		t.Errorf("CHANGELOG.md has no section of %s", version)
	}
}

// Package hookstream says which version this is. Everything else is in the
// folders; package app joins it.
package hookstream

import (
	_ "embed"
	"runtime/debug"
	"strings"
)

//go:embed VERSION
var file string

// Version is that of the file VERSION and, where the build knows it, the commit:
// 0.1.0+6ccaf92d1b3e, with .dirty when files were changed since.
func Version() string {
	info, _ := debug.ReadBuildInfo()
	return version(strings.TrimSpace(file), info)
}

func version(released string, info *debug.BuildInfo) string {
	if info == nil {
		return released
	}
	var commit, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ".dirty"
		}
	}
	if commit == "" {
		return released
	}
	return released + "+" + commit + dirty
}

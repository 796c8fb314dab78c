package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/alecthomas/kong"

	"github.com/hookstream/hookstream/provider"
)

// otherVariables are those that belong to no flag.
func otherVariables() []string {
	names := []string{newSecretVariable, encryptionKeyVariable}
	for _, p := range kinds() {
		if name := provider.Words(p).Credential.Variable; name != "" {
			names = append(names, name)
		}
	}
	return names
}

// otherPrefixes are those of variables for tests of the program.
var otherPrefixes = []string{"HOOKSTREAM_DIE_", "HOOKSTREAM_PLAY_", "HOOKSTREAM_TEST_"}

// tellUnknown says which variables look like ours and are not, with the one that
// may have been meant: nothing else would tell of a misspelt one.
func tellUnknown(w io.Writer, environ []string) {
	var known []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "HOOKSTREAM_") || ofKubernetes(name, value) {
			continue
		}
		if known == nil {
			known = variables()
		}
		if slices.Contains(known, name) || slices.ContainsFunc(otherPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		flag := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "HOOKSTREAM_"), "_", "-"))
		if mustBeSaid(flag) {
			fmt.Fprintf(w, "hookstream: nothing reads the variable %s: --%s must be said each time\n", printable(name), printable(flag))
			continue
		}
		fmt.Fprintf(w, "hookstream: nothing reads the variable %s; did you mean %s?\n", printable(name), nearest(name, known))
	}
}

// ofKubernetes knows the variables that it sets for a service named hookstream.
func ofKubernetes(name, value string) bool {
	return strings.HasPrefix(name, "HOOKSTREAM_SERVICE_") || strings.HasPrefix(name, "HOOKSTREAM_PORT_") ||
		name == "HOOKSTREAM_PORT" && strings.Contains(value, "://")
}

// variables lists all that are read, of whatever command.
func variables() []string {
	parser := kong.Must(newCommands(), defaults())
	names := otherVariables()
	_ = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && fromEnvironment(flag.Value) {
			names = append(names, variable(flag.Name))
		}
		return next(nil)
	})
	return names
}

func nearest(name string, known []string) string {
	return slices.MinFunc(known, func(a, b string) int {
		return levenshtein.ComputeDistance(name, a) - levenshtein.ComputeDistance(name, b)
	})
}

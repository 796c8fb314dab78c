package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// variable answers the environment variable of a flag: the flag's name in
// capitals after HOOKSTREAM_, whatever the command.
func variable(flag string) string {
	return "HOOKSTREAM_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// environment fills flags that the command line leaves out. Kong reads the
// process's own environment only, hence this.
func environment(getenv func(string) string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if !fromEnvironment(flag.Value) {
			return nil, nil
		}
		if value := getenv(variable(flag.Name)); value != "" {
			return value, nil
		}
		return nil, nil
	})
}

// helpWithEnvironment ends the help of a flag with its default and its variable.
func helpWithEnvironment(value *kong.Value) string {
	if value.Flag == nil || !fromEnvironment(value) {
		return value.Help
	}
	if value.HasDefault && value.Default != "" {
		return fmt.Sprintf("%s [%s, $%s]", value.Help, value.Default, variable(value.Name))
	}
	return fmt.Sprintf("%s [$%s]", value.Help, variable(value.Name))
}

// saidEachTime are flags that empty, replace, settle or spend something, or say of what
// state something is when that is done: a variable that was left in a shell would have
// the next command do so.
var saidEachTime = []string{
	"ack", "all", "all-events", "as", "ask", "by", "delay", "etag", "generate-secret", "reason", "repair", "to", "yes",
}

// fromEnvironment leaves out what asks for a word of its own each time, and what only
// shows something.
func fromEnvironment(value *kong.Value) bool {
	return value.Tag.Get("variable") != "none" && value.Name != "help" && value.Name != "version" && !mustBeSaid(value.Name)
}

func mustBeSaid(flag string) bool {
	empties := strings.HasPrefix(flag, "no-") && flag != "no-color"
	return empties || slices.Contains(saidEachTime, flag)
}

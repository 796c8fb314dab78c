package main

import (
	"fmt"
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

// fromEnvironment leaves out what asks for a word of its own each time.
func fromEnvironment(value *kong.Value) bool {
	return value.Tag.Get("variable") != "none" && value.Name != "help" && value.Name != "yes" && value.Name != "version"
}

package main

import (
	"slices"

	"github.com/alecthomas/kong"
)

// emptyFlag refuses a flag that was given nothing, which is mostly a variable that
// was not set: taken for a flag that was not given, it would select all events,
// seek to the end, or delete whatever the etag. What says `empty:"ok"` may be empty,
// and a pointer, which tells nothing from not given, may empty what there is.
func emptyFlag(parsed *kong.Context) error {
	for _, at := range parsed.Path {
		if at.Flag == nil || at.Resolved || at.Flag.Tag.Get("empty") == "ok" {
			continue
		}
		switch v := at.Flag.Target.Interface().(type) {
		case string:
			if v == "" {
				return emptied(at.Flag.Name)
			}
		case []string:
			if len(v) == 0 || slices.Contains(v, "") {
				return emptied(at.Flag.Name)
			}
		}
	}
	return nil
}

func emptied(flag string) error {
	return misused("--%s is empty: is a variable not set?", flag)
}

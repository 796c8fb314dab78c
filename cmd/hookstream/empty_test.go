package main

import (
	"bytes"
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/hookstream/hookstream/internal/heavy"
)

// A flag that is given nothing is refused, of every command, before anything is
// done: `subscriptions seek crm --to "$PLACE"` would move to the end, `delete
// --etag "$ETAG"` delete whatever it is, and `tail --subscription "$SUB"`
// acknowledge nothing.
func TestNoFlagIsEmpty(t *testing.T) {
	heavy.Test(t)
	ended, end := context.WithCancel(t.Context()) // what goes on after all ends at once
	end()
	tried := 0
	parser := aParser(t)
	for _, node := range parser.Model.Leaves(false) {
		ran := false // the first flag of each command goes the whole way
		for _, group := range node.AllFlags(false) {
			for _, flag := range group {
				if !takesTexts(flag) || flag.Tag.Get("empty") == "ok" {
					continue
				}
				tried++
				args := append(strings.Fields(pathOf(node)), required(node, flag)...)
				args = append(args, "--"+flag.Name, "")
				if ran {
					parsed, err := parser.Parse(args)
					if err != nil {
						t.Errorf("%q: %s", args, err)
					} else if err := emptyFlag(parsed); err == nil || !strings.Contains(err.Error(), "--"+flag.Name+" is empty") {
						t.Errorf("%q: %v", args, err)
					}
					continue
				}
				ran = true
				var out bytes.Buffer
				code := run(ended, args, func(string) string { return "" }, strings.NewReader(""), &out, &out)
				if code != exitUsage || !strings.Contains(out.String(), "--"+flag.Name+" is empty") {
					t.Errorf("%q: %d %s", args, code, &out)
				}
			}
		}
	}
	if tried < 100 {
		t.Errorf("tried %d flags", tried)
	}
	for _, args := range []string{"tail --type a,,b", "tail --source ,b", "subscriptions create crm --filter=", "subscriptions ensure crm --filter=", "subscriptions pull crm --max 0"} {
		var out bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), func(string) string { return "" }, strings.NewReader(""), &out, &out); code != exitUsage {
			t.Errorf("%s: %d %s", args, code, &out)
		}
	}
}

func takesTexts(flag *kong.Flag) bool {
	return flag.Target.Kind() == reflect.String && flag.Enum == "" || flag.Target.Type() == reflect.TypeFor[[]string]()
}

// required are the arguments and the other flags that a command wants.
func required(node *kong.Node, but *kong.Flag) (args []string) {
	for _, p := range node.Positional {
		if p.Required {
			word := "x"
			if p.Enum != "" {
				word = p.EnumSlice()[0]
			}
			args = append(args, word)
		}
	}
	for _, group := range node.AllFlags(false) {
		for _, flag := range group {
			if flag.Required && flag != but {
				args = append(args, "--"+flag.Name+"=x")
			}
		}
	}
	return args
}

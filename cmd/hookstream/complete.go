package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// completeWord is what completion scripts call to ask what may be typed next. It is
// no command that anybody types.
const completeWord = "__complete"

// completionCommand prints what a shell needs.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Run prints the script.
func (c *completionCommand) Run(p *program) error {
	_, err := fmt.Fprint(p.stdout, completionScripts[c.Shell])
	return err
}

// completionScripts ask for candidates, a line each with its help after a tab, and
// complete names of files where there are none.
var completionScripts = map[string]string{
	"bash": `_hookstream() {
  local IFS=$'\n'
  COMPREPLY=($("${COMP_WORDS[0]}" ` + completeWord + ` "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
}
complete -o default -F _hookstream hookstream
`,
	"zsh": `#compdef hookstream
_hookstream() {
  local -a lines choices
  local line
  lines=("${(@f)$("${words[1]}" ` + completeWord + ` "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for line in $lines; do
    choices+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done
  if (( ${#choices} )); then _describe hookstream choices; else _files; fi
}
if [[ ${funcstack[1]} == _hookstream ]]; then _hookstream; else compdef _hookstream hookstream; fi
`,
	"fish": `function __hookstream_complete
  set -l words (commandline -opc)
  set -l last (commandline -ct)
  $words[1] ` + completeWord + ` $words[2..-1] "$last" 2>/dev/null
end
complete -c hookstream -f -a '(__hookstream_complete)'
complete -c hookstream -n 'test -z "$(__hookstream_complete)"' -F
`,
}

// A candidate is a word that may be typed.
type candidate struct{ word, help string }

// printCandidates answers a shell.
func (p *program) printCandidates(ctx context.Context, model *kong.Application, words []string) {
	names := func(of string) []candidate { return p.names(ctx, of, words) }
	for _, c := range candidates(model.Node, words, names) {
		fmt.Fprintf(p.stdout, "%s\t%s\n", c.word, oneLine(c.help))
	}
}

// namesTime is how long somebody who typed a tab waits for a gateway.
const namesTime = 2 * time.Second

// names answers the ids that a gateway has of what an argument is called after, source or
// subscription: of the gateway that the words name, or else the environment. There are
// none when it does not answer.
func (p *program) names(ctx context.Context, of string, words []string) (all []candidate) {
	ctx, cancel := context.WithTimeout(ctx, namesTime)
	defer cancel()
	var listed bytes.Buffer
	args := append([]string{of + "s", "list", "-o", "name"}, connectionWords(words)...)
	if run(ctx, args, p.getenv, bytes.NewReader(nil), &listed, io.Discard) != exitOK {
		return nil
	}
	for name := range strings.Lines(listed.String()) {
		_, id, _ := strings.Cut(strings.TrimSpace(name), "/")
		all = append(all, candidate{id, ""})
	}
	return all
}

// connectionWords answers those of the words that say where the gateway is.
func connectionWords(words []string) (out []string) {
	for i := range max(0, len(words)-1) { // the last is being typed
		switch name, _, whole := strings.Cut(words[i], "="); name {
		case "--tls":
			out = append(out, words[i])
		case "--server", "--ca":
			out = append(out, words[i])
			if value := slices.DeleteFunc(slices.Clone(words[i+1:len(words)-1]), func(w string) bool { return w == "=" }); !whole && len(value) > 0 {
				out = append(out, value[0])
			}
		}
	}
	return out
}

// candidates answers what the last word may become, after the others. Names answers the
// ids of sources or of subscriptions.
func candidates(node *kong.Node, words []string, names func(of string) []candidate) []candidate {
	last := ""
	if len(words) > 0 {
		words, last = words[:len(words)-1], words[len(words)-1]
	}
	if last == "=" { // bash makes three words of --flag=value
		last = ""
	}
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "=" })
	node, given, flag := walk(node, words)
	var all []candidate
	name, _, ok := strings.Cut(last, "=")
	switch {
	case flag != nil:
		all = valuesOf("", flag.Value, names)
	case ok && strings.HasPrefix(name, "--"):
		if flag := flagOf(node, name); flag != nil {
			all = valuesOf(name+"=", flag.Value, names)
		}
	case strings.HasPrefix(last, "-"):
		all = flagsOf(node)
	case given < len(node.Positional):
		all = valuesOf("", node.Positional[given], names)
		fallthrough
	default:
		all = append(all, commandsOf(node)...)
	}
	return slices.DeleteFunc(all, func(c candidate) bool { return !strings.HasPrefix(c.word, last) })
}

// walk answers the command that words lead to, how many arguments it was given, and
// the flag whose value is to follow, if one is.
func walk(node *kong.Node, words []string) (_ *kong.Node, given int, flag *kong.Flag) {
	for _, word := range words {
		switch child := childOf(node, word); {
		case flag != nil:
			flag = nil
		case strings.HasPrefix(word, "-"):
			if f := flagOf(node, word); f != nil && !f.IsBool() {
				flag = f
			}
		case child != nil:
			node, given = child, 0
		default:
			given++
		}
	}
	return node, given, flag
}

func childOf(node *kong.Node, word string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == word {
			return child
		}
	}
	return nil
}

func flagOf(node *kong.Node, word string) *kong.Flag {
	for _, group := range node.AllFlags(false) {
		for _, flag := range group {
			if word == "--"+flag.Name || flag.Short != 0 && word == "-"+string(flag.Short) {
				return flag
			}
		}
	}
	return nil
}

func commandsOf(node *kong.Node) (all []candidate) {
	for _, child := range node.Children {
		if !child.Hidden {
			all = append(all, candidate{child.Name, child.Help})
		}
	}
	return all
}

func flagsOf(node *kong.Node) (all []candidate) {
	for _, group := range node.AllFlags(true) {
		for _, flag := range group {
			all = append(all, candidate{"--" + flag.Name, flag.Help})
		}
	}
	return all
}

// valuesOf answers the values of a set, or the names of what there is, if it is either.
func valuesOf(prefix string, value *kong.Value, names func(of string) []candidate) (all []candidate) {
	switch {
	case value.Enum != "":
		for _, word := range value.EnumSlice() {
			all = append(all, candidate{prefix + word, value.Help})
		}
	case value.Name == "source" || value.Name == "subscription":
		for _, c := range names(value.Name) {
			all = append(all, candidate{prefix + c.word, c.help})
		}
	}
	return all
}

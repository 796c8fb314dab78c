package event

import (
	"slices"
	"strings"
)

// Patterns is a set of patterns over types, or over anything else that is
// compared as a string. A `*` stands for any run of characters, dots included;
// everything else stands for itself. The zero value matches nothing.
type Patterns struct {
	exact map[string]struct{}
	globs [][]string // what stands between the stars
	all   bool
}

// CompilePatterns prepares patterns for matching. Any string is a pattern.
func CompilePatterns(patterns []string) Patterns {
	var p Patterns
	for _, s := range patterns {
		switch {
		case strings.Trim(s, "*") == "" && s != "":
			p.all = true
		case !strings.Contains(s, "*"):
			if p.exact == nil {
				p.exact = make(map[string]struct{})
			}
			p.exact[s] = struct{}{}
			// Types without an action had a dot at their end once, and so have the
			// patterns that were made for them.
			if bare, ok := strings.CutSuffix(s, "."); ok && bare != "" {
				p.exact[bare] = struct{}{}
			}
		default:
			p.globs = append(p.globs, strings.Split(s, "*"))
		}
	}
	return p
}

// Empty reports whether there are no patterns.
func (p Patterns) Empty() bool { return !p.all && len(p.exact) == 0 && len(p.globs) == 0 }

// Match reports whether any pattern matches s. It takes time in proportion to
// the length of s for each pattern, whatever the pattern.
func (p Patterns) Match(s string) bool {
	if p.all {
		return true
	}
	if _, ok := p.exact[s]; ok {
		return true
	}
	return slices.ContainsFunc(p.globs, func(parts []string) bool { return matchGlob(parts, s) })
}

// matchGlob finds each part as early as possible. There is no backtracking: an
// early find never leaves less for the parts that follow.
func matchGlob(parts []string, s string) bool {
	first, last := parts[0], parts[len(parts)-1]
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

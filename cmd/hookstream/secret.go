package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
)

// maxSecretBytes is far above every secret, so that a file given by mistake is
// noticed.
const maxSecretBytes = 4096

// errNoSecret says that a secret was given nowhere.
var errNoSecret = errors.New("no secret given")

// secret reads a credential from a file, from stdin when the file is "-", and
// else from an environment variable. Never from a flag: command lines are seen
// by every process of the machine and kept in histories.
func (p *program) secret(file, env string) (string, error) {
	if file == "" {
		value := p.getenv(env)
		if value == "" {
			return "", hinted(errNoSecret, "set %s, or give --secret-file FILE (- reads standard input)", env)
		}
		return value, nil
	}
	text, err := p.readFile(file, maxSecretBytes)
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	// Editors end files with a line feed that is no part of the secret.
	value := strings.TrimRight(string(text), "\r\n")
	if value == "" {
		return "", fmt.Errorf("read the secret: %s is empty", fileName(file))
	}
	return value, nil
}

// newSecret reads a credential that will be used, and not just be looked at.
func (p *program) newSecret(file, env string) (string, error) {
	value, err := p.secret(file, env)
	if err != nil {
		return "", err
	}
	place := fileName(file)
	if file == "" {
		place = "$" + env
	}
	return value, bare(place, value)
}

// bare refuses a secret from the named place that begins or ends with what nobody
// sees: it came along from a page or a file, and no sender signs with it.
func bare(place, secret string) error {
	seen := strings.TrimFunc(secret, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) })
	if seen == secret {
		return nil
	}
	return hinted(fmt.Errorf("the secret in %s has white space or another character that cannot be seen around it", place),
		"the secret alone is %d bytes long, and %d were given", len(seen), len(secret))
}

// readFile reads a whole file of at most limit bytes, or stdin for "-".
func (p *program) readFile(name string, limit int64) ([]byte, error) {
	in := p.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", fileName(name), limit)
	}
	return content, nil
}

func fileName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

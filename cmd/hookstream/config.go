package main

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/alecthomas/kong"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// configFlags are what people give of the config of a provider's sources.
type configFlags struct {
	textFlags

	provider provider.Provider
}

// newConfigFlags makes a flag for each setting of a provider's sources, one for the
// file of its credential, and those that are given besides.
func newConfigFlags(p provider.Provider, besides ...textFlag) configFlags {
	words := provider.Words(p)
	flags := providerFlags(p, words)
	if words.Credential.Field != "" {
		flags = append(flags, secretFlag(words.Credential))
	}
	return configFlags{newTextFlags(append(flags, besides...)), p}
}

// providerFlags are those of a provider's settings.
func providerFlags(p provider.Provider, words provider.Settings) (flags []textFlag) {
	for _, s := range words.Others {
		flags = append(flags, textFlag{
			name: s.Name(), help: provider.Told(s.Help, s.Unless) + ".", placeholder: s.Placeholder,
			value: s.Default, choices: provider.Choices(p.Info().GetId(), s.Field), required: s.Required,
		})
	}
	return flags
}

// secretFlag names a file that holds a credential.
func secretFlag(c provider.CredentialSetting) textFlag {
	return textFlag{
		name: secretFile, placeholder: "FILE",
		help: fmt.Sprintf("File that holds %s, - for standard input; else $%s.", c, c.Variable),
	}
}

const secretFile = "secret-file"

// source makes src one of the provider, of what was given and a credential.
func (f configFlags) source(src *hookstreamv1.Source, credential string) error {
	words := provider.Words(f.provider)
	texts := fieldsOf(words, f.given())
	if words.Credential.Field != "" {
		texts[words.Credential.Field] = credential
	}
	if err := provider.Configure(src, f.provider.Info().GetId(), texts); err != nil {
		return usageError{err}
	}
	return nil
}

// fieldsOf answers texts by the fields of a config, of texts by their flags.
func fieldsOf(words provider.Settings, given map[string]string) map[string]string {
	texts := make(map[string]string)
	for _, s := range words.Others {
		if text, ok := given[s.Name()]; ok {
			texts[s.Field] = text
		}
	}
	return texts
}

// credential reads the one that a source is made with, empty where there is none.
func (f configFlags) credential(p *program) (string, error) {
	c := provider.Words(f.provider).Credential
	if c.Field == "" {
		return "", nil
	}
	secret, err := p.newSecret(f.given()[secretFile], c.Variable)
	if errors.Is(err, errNoSecret) && f.has(generateFlag) {
		return "", hinted(errNoSecret, "set %s, give --secret-file FILE (- reads standard input) or let one be made by --generate-secret", c.Variable)
	}
	return secret, err
}

// subcommands makes a command for each provider. The type of what of answers is that of
// a command: a struct with a Run of its pointer. help has a place for what people call
// the provider.
func subcommands(help string, of func(provider.Provider) any) kong.Plugins {
	var fields []reflect.StructField
	var made []reflect.Value
	for _, p := range kinds() {
		command := reflect.ValueOf(of(p))
		tag := fmt.Sprintf(`cmd:"" name:%q help:%q`, p.Info().GetId(), fmt.Sprintf(help, p.Info().GetDisplayName()))
		fields = append(fields, reflect.StructField{
			Name: fmt.Sprintf("Of%d", len(fields)), Type: command.Type(), Tag: reflect.StructTag(tag),
		})
		made = append(made, command)
	}
	all := reflect.New(reflect.StructOf(fields))
	for i, command := range made {
		all.Elem().Field(i).Set(command)
	}
	return kong.Plugins{all.Interface()}
}

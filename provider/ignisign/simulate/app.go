package simulate

import (
	"strings"

	"github.com/hookstream/hookstream/simulator"
)

// The application that Ignisign plays unless told otherwise: that of the examples.
const (
	DefaultAppID  = "appId_3f6c1b9e-5a27-4c0d-9b8e-7d41f2a6c053"
	DefaultAppEnv = "DEVELOPMENT"
)

// App is one environment of one application at Ignisign.
type App struct {
	// ID is the application, DefaultAppID when empty.
	ID string
	// Env is the environment as Ignisign spells it, DefaultAppEnv when empty.
	Env string
	// Keys are the API keys that the API accepts for it. One that begins with
	// skv2_ is a bearer by itself; any other must be exchanged for a JWT first.
	// Two are made when there are none: first one of the new generation, then one
	// of the old.
	Keys []string
}

func (a App) withDefaults() App {
	if a.ID == "" {
		a.ID = DefaultAppID
	}
	if a.Env == "" {
		a.Env = DefaultAppEnv
	}
	if len(a.Keys) == 0 {
		env := strings.ToLower(a.Env)
		a.Keys = []string{
			newGeneration + env + "_" + strings.TrimPrefix(a.ID, "appId_") + "_" + simulator.RandomText(32),
			"sk_" + env + "_" + simulator.RandomText(32),
		}
	}
	return a
}

// newGeneration begins a key that needs no exchange.
const newGeneration = "skv2_"

// same reports whether two are the same application and environment.
func (a App) same(id, env string) bool { return a.ID == id && a.Env == env }

package eventlog_test

import (
	"log/slog"
	"testing"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/natstest"
)

func embedded(t *testing.T) eventlog.Options {
	o := eventlog.DefaultOptions()
	o.Dir = t.TempDir()
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	return o
}

func TestEmbedded(t *testing.T) {
	logtest.RunLog(t, func(t *testing.T) eventlog.Log { return logtest.Open(t, embedded(t)).Events() })
	logtest.RunEngine(t, embedded)
}

func TestEmbeddedRelaxed(t *testing.T) {
	logtest.RunLog(t, func(t *testing.T) eventlog.Log {
		o := embedded(t)
		o.Durability = eventlog.DurabilityRelaxed
		return logtest.Open(t, o).Events()
	})
}

func TestCluster(t *testing.T) {
	options := func(t *testing.T) eventlog.Options {
		o := embedded(t)
		o.URL, o.Replicas = natstest.Start(t).URL(), 3
		return o
	}
	logtest.RunLog(t, func(t *testing.T) eventlog.Log { return logtest.Open(t, options(t)).Events() })
	logtest.RunEngine(t, options)
}

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// A Machine is what the figures were measured on.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memoryBytes,omitempty"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	// FileSystem is that of the data directories, Sync how long it takes there to
	// make 4 KiB at the end of a file durable: a median.
	FileSystem string        `json:"fileSystem"`
	Sync       time.Duration `json:"syncNanoseconds"`
}

// inspect looks at the machine, and at the disk that dir is on.
func inspect(dir string) (Machine, error) {
	m := Machine{CPU: runtime.GOARCH, Cores: runtime.NumCPU(), Kernel: runtime.GOOS, Go: runtime.Version(), FileSystem: "unknown"}
	m.system(dir)
	var err error
	m.Sync, err = syncLatency(filepath.Join(dir, "sync"))
	return m, err
}

// String is one line for people.
func (m Machine) String() string {
	memory := ""
	if m.Memory > 0 {
		memory = fmt.Sprintf(", %.0f GiB", float64(m.Memory)/(1<<30))
	}
	return fmt.Sprintf("%s, %d cores%s, %s, %s, %s with %.2f ms a sync",
		m.CPU, m.Cores, memory, m.Kernel, m.Go, m.FileSystem, milliseconds(m.Sync))
}

const (
	syncs    = 41
	syncSize = 4 << 10
)

func syncLatency(name string) (_ time.Duration, err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(name)
	}()
	took := make([]time.Duration, syncs)
	page := make([]byte, syncSize)
	for i := range took {
		begin := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, fmt.Errorf("bench: %w", err)
		}
		if err := f.Sync(); err != nil {
			return 0, fmt.Errorf("bench: %w", err)
		}
		took[i] = time.Since(begin)
	}
	slices.Sort(took)
	return took[syncs/2], nil
}

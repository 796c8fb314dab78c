package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// CPU answers the user and system time that the process has used. It is counted
// in hundredths of a second.
func (p *Process) CPU() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	// The second field, the name, may hold anything but ends with the last bracket.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("bench: /proc/%d/stat has %d fields", p.PID(), len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime, proc(5)
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("bench: /proc/%d/stat: %w", p.PID(), err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// tick is what the kernel shows processes its time in, on all that Go runs on.
const tick = 10 * time.Millisecond

// Memory answers what the process has in memory, and the most it ever had.
func (p *Process) Memory() (now, peak int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	return kibibytes(b, "VmRSS"), kibibytes(b, "VmHWM"), nil
}

// kibibytes reads a line such as `VmRSS:   123 kB` of a text and answers bytes; 0
// when there is none.
func kibibytes(text []byte, name string) int64 {
	_, rest, _ := bytes.Cut(text, []byte(name+":"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, _, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
	kib, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

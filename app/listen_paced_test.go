package app

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// endlessListener always has one who waits.
type endlessListener struct{ net.Listener }

func (endlessListener) Accept() (net.Conn, error) { return nil, nil }

// However many connect at once, senders have their turn between any two of them,
// and who comes alone does not wait.
func TestManyConnectionsAreTakenWithPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lis, start := &pacedListener{Listener: endlessListener{}}, time.Now()
		_, _ = lis.Accept()
		if took := time.Since(start); took != 0 {
			t.Errorf("the first connection waited %s", took)
		}
		for range 1000 {
			_, _ = lis.Accept()
		}
		if took := time.Since(start); took != 1000*pace {
			t.Errorf("1,000 more connections were taken in %s", took)
		}
	})
}

func TestListenersOfTheAPIArePaced(t *testing.T) {
	lis, err := listenBounded(t.Context(), "127.0.0.1:0", nil, DefaultOptions().apiConns())
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	if _, ok := lis.(*pacedListener); !ok {
		t.Errorf("a listener of the API is a %T", lis)
	}
}

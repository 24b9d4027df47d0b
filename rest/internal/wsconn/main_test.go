package wsconn

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ends are the two sides of a WebSocket over loopback.
type ends struct{ client, server *Conn }

// dialPair opens one. Both sides are closed with the test.
func dialPair(t testing.TB) ends {
	t.Helper()
	e, stop, err := openPair(t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return e
}

func openPair(t testing.TB) (e ends, stop func(), err error) {
	accepted := make(chan *Conn, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := Check(r); err != nil {
			t.Error(err)
		}
		conn, err := Accept(w, r)
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}))
	client := &http.Client{Transport: &http.Transport{}}
	e.client, err = Dial(t.Context(), client, server.URL, nil)
	if err != nil {
		server.Close()
		return ends{}, nil, err
	}
	e.server = <-accepted
	return e, func() {
		e.close()
		client.CloseIdleConnections()
		server.Close()
	}, nil
}

// close closes both sides at once, so that neither waits for the other.
func (e ends) close() {
	var all sync.WaitGroup
	all.Go(func() { e.client.Close() })
	all.Go(func() { e.server.Close() })
	all.Wait()
}

// roles runs a test with each side as the first one.
func roles(t *testing.T, run func(t *testing.T, a, b *Conn)) {
	t.Run("client", func(t *testing.T) { e := dialPair(t); run(t, e.client, e.server) })
	t.Run("server", func(t *testing.T) { e := dialPair(t); run(t, e.server, e.client) })
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

var _ net.Conn = (*Conn)(nil)

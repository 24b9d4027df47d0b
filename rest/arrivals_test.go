package rest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/rest/internal/wsconn"
)

// openAccept listens; next reads one arrival.
func openAccept(t *testing.T, url string) (ws *websocket.Conn, next func() Arrival) {
	t.Helper()
	ws, _, err := wsconn.DialMessages(t.Context(), socketClient(t), url, http.Header{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	return ws, func() (a Arrival) {
		t.Helper()
		_, text, err := ws.Read(t.Context())
		if err == nil {
			err = json.Unmarshal(text, &a)
		}
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

func TestAccept(t *testing.T) {
	node := newChannelNode()
	h := newHandler(t, node, Options{})
	server := newServer(t, h)
	ws, next := openAccept(t, server.URL+"/api/v1/accept/chat")
	if status, p := refusal(t, server.URL+"/api/v1/accept/chat"); status != 409 || p.code() != "exists" {
		t.Errorf("taken: %d %+v", status, p)
	}
	caller := node.listener("chat").arrive()
	a := next()
	if a.Node != fakeID(7).String() || a.Label != "web" || len(a.ID) < 20 {
		t.Errorf("arrival %+v", a)
	}
	conn := openSocket(t, server.URL+"/api/v1/accepted/"+a.ID)
	if status, _ := refusal(t, server.URL+"/api/v1/accepted/"+a.ID); status != 404 {
		t.Errorf("second claim: %d", status)
	}
	_, _ = caller.Write([]byte("hello"))
	_ = caller.CloseWrite()
	if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
		t.Errorf("%q and %v", got, err)
	}
	unclaimed := node.listener("chat").arrive()
	left := next()
	if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(unclaimed); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("unclaimed: %v", err)
	}
	if status, _ := refusal(t, server.URL+"/api/v1/accepted/"+left.ID); status != 404 {
		t.Errorf("claim after the end: %d", status)
	}
	// The channel that was claimed goes on.
	if _, err := conn.Write([]byte("still here")); err != nil {
		t.Error(err)
	}
	_ = conn.CloseWrite()
	if got, err := io.ReadAll(caller); string(got) != "still here" || err != nil {
		t.Errorf("%q and %v", got, err)
	}
}

// Who sends data where nothing is to be said is cut, and the protocol is free
// again before any closing handshake.
func TestAcceptCutsWhoTalks(t *testing.T) {
	node := newChannelNode()
	server := newServer(t, newHandler(t, node, Options{}))
	ws, _ := openAccept(t, server.URL+"/api/v1/accept/chat")
	ln := node.listener("chat")
	if err := ws.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	_, _, err := ws.Read(t.Context())
	if err == nil || websocket.CloseStatus(err) != -1 {
		t.Errorf("%v, want a connection that breaks without a handshake", err)
	}
	<-ln.closed
}

func TestArrivalsAreBounded(t *testing.T) {
	node := newChannelNode()
	h := newHandler(t, node, Options{})
	server := newServer(t, h)
	_, next := openAccept(t, server.URL+"/api/v1/accept/chat")
	var callers []*forward.PipeConn
	for range maxArrivals + 2 {
		callers = append(callers, node.listener("chat").arrive())
	}
	ids := map[string]bool{}
	var last Arrival
	for range maxArrivals {
		last = next()
		ids[last.ID] = true
	}
	if len(ids) != maxArrivals {
		t.Errorf("%d different ids", len(ids))
	}
	for _, c := range callers[maxArrivals:] {
		if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("one too many: %v", err)
		}
	}
	if n := h.sockets.full.Load(); n != 2 {
		t.Errorf("%d counted", n)
	}
	openSocket(t, server.URL+"/api/v1/accepted/"+last.ID) // makes room
	node.listener("chat").arrive()
	if a := next(); ids[a.ID] {
		t.Error("an id came twice")
	}
}

func TestArrivalExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSockets(&Handler{})
		defer s.close()
		here, there := forward.Pipe()
		mine := map[string]bool{}
		if _, ok := s.keep(there, mine); !ok {
			t.Fatal("no room")
		}
		time.Sleep(claimTime - time.Second)
		if s.arrivals() != 1 {
			t.Fatal("gone too early")
		}
		time.Sleep(2 * time.Second)
		if _, err := here.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after the time to claim: %v", err)
		}
		if n := s.expired.Load(); n != 1 || s.arrivals() != 0 {
			t.Errorf("%d counted, %d waiting", n, s.arrivals())
		}
	})
}

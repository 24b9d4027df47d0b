package udp

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/transport"
	"github.com/staex-mcc/mcc/transport/simnet"
)

// waitingCalls is how many calls run remembers. The bubble must be still.
func waitingCalls(n *Transport) int {
	synctest.Wait()
	return len(n.calls.waiting)
}

func TestCallsAreForgotten(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		a, b := w.node("alice", "10.0.0.1:1"), w.node("bob", "10.0.0.2:1")
		ctx, cancel := context.WithCancel(w.Context())
		result := make(chan error, 1)
		go func() {
			_, err := a.Call(ctx, b.Local(), transport.Request{Data: []byte("?")})
			result <- err
		}()
		if waitingCalls(a) != 1 {
			w.Error("the call is not on its way")
		}
		cancel()
		want(w, "call", <-result, context.Canceled)
		if n := waitingCalls(a); n != 0 {
			w.Errorf("%d cancelled calls are remembered", n)
		}
		_, err := a.Call(w.Context(), transport.Contact{ID: b.id, Addr: addrOf("10.0.0.9:1")}, transport.Request{Data: []byte("?")})
		want(w, "call to nobody", err, transport.ErrNoAnswer)
		if n := waitingCalls(a); n != 0 {
			w.Errorf("%d failed calls are remembered", n)
		}
	})
}

// TestRequestsPastTheQueue calls a node that accepts nothing.
func TestRequestsPastTheQueue(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		a, b := w.node("alice", "10.0.0.1:1"), w.node("bob", "10.0.0.2:1")
		ctx, cancel := context.WithCancel(w.Context())
		const extra = 7
		done := make(chan error, maxRequests+extra)
		for i := range maxRequests + extra {
			go func() {
				_, err := a.Call(ctx, b.Local(), transport.Request{Data: fmt.Appendf(nil, "%d", i)})
				done <- err
			}()
			time.Sleep(time.Millisecond) // slower than any other queue on the way
		}
		time.Sleep(20 * time.Millisecond)
		if n := counter(w, b, "requests_dropped"); n != extra {
			w.Errorf("%d requests dropped, want %d", n, extra)
		}
		for i := range maxRequests {
			c, err := b.AcceptCall(ctx)
			if err != nil {
				w.Fatal(err)
			}
			if i == 0 && string(c.Data()) != "0" {
				w.Errorf("the oldest request is %q: the newest should be dropped", c.Data())
			}
			if err := c.Answer(c.Data()); err != nil {
				w.Errorf("answer: %v", err)
			}
			if i%100 == 0 {
				synctest.Wait()
			}
		}
		cancel()
		for range maxRequests + extra {
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, transport.ErrNoAnswer) {
				w.Error(err)
			}
		}
	})
}

func TestAfterClose(t *testing.T) {
	a, b := node(t, "alice"), node(t, "bob")
	answerAll(b)
	if _, err := a.Call(limit(t), b.Local(), transport.Request{Data: []byte("?")}); err != nil {
		t.Fatal(err)
	}
	names := a.Counters()
	peers := a.Peers()
	if len(peers) != 1 || peers[0].Peer.ID != b.id || peers[0].Addr != b.local || peers[0].Path != "quic" {
		t.Errorf("peers are %+v, want bob's session", peers)
	}
	connected(t, a, b)
	if n := len(a.Peers()); n != 1 {
		t.Errorf("%d entries for one peer", n)
	}
	a.Close()
	_, err := a.Call(limit(t), b.Local(), transport.Request{})
	want(t, "call", err, transport.ErrClosed)
	_, err = a.AcceptCall(limit(t))
	want(t, "accept call", err, transport.ErrClosed)
	_, err = a.Accept(limit(t))
	want(t, "accept", err, transport.ErrClosed)
	_, err = a.Dial(limit(t), b.Local(), transport.Open{Protocol: "x"})
	want(t, "dial", err, transport.ErrClosed)
	if n := len(a.Peers()); n != 0 {
		t.Errorf("%d peers after Close", n)
	}
	after := a.Counters()
	if len(after) != len(names) {
		t.Fatalf("%d counters after Close, %d before", len(after), len(names))
	}
	seen := make(map[string]bool)
	for i := range after {
		if after[i].Name != names[i].Name || seen[after[i].Name] {
			t.Errorf("counter %d is %q, was %q", i, after[i].Name, names[i].Name)
		}
		seen[after[i].Name] = true
	}
}

// TestUnspecifiedAddress: a node on all interfaces is reached over IPv4, and
// sees its peers there.
func TestUnspecifiedAddress(t *testing.T) {
	a := nodeWith(t, Options{Listen: ":0"}, transport.Config{Identity: someone(t, "alice")})
	b := node(t, "bob")
	answerAll(b)
	answerAll(a)
	at := a.Local()
	at.Addr = addrOf(fmt.Sprintf("127.0.0.1:%d", at.Addr.Port()))
	if answer, err := a.Call(limit(t), b.Local(), transport.Request{}); err != nil || answer.Observed != at.Addr {
		t.Errorf("call: observed %s, %v; want %s", answer.Observed, err, at.Addr)
	}
	if _, err := b.Call(limit(t), at, transport.Request{}); err != nil {
		t.Errorf("call back: %v", err)
	}
	s, other := connected(t, a, b)
	if got := other.RemoteAddr(); got != transport.Addr(at) {
		t.Errorf("remote address is %v, want %v", got, at)
	}
	mustWrite(t, s, "x")
	mustRead(t, other, "x")
	ch := accepted(t, a)
	back, err := b.Dial(limit(t), at, transport.Open{Protocol: "test"})
	if err != nil {
		t.Fatal(err)
	}
	back.Close()
	if s := <-ch; s != nil {
		s.Close()
	}
	if d := counter(t, b, "dials"); d != 0 {
		t.Errorf("%d handshakes back to a connected peer", d)
	}

	c := node(t, "carol")
	ch = accepted(t, a)
	if s, err = c.Dial(limit(t), at, transport.Open{Protocol: "test"}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if in := <-ch; in == nil || in.RemoteAddr() != transport.Addr(c.Local()) {
		t.Errorf("the stream is from %v, want %v", in.RemoteAddr(), c.Local())
	}
}

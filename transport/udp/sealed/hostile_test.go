package sealed

import (
	"slices"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// Packets that are sound in themselves but do not belong where they come from.

// TestAnswersFromElsewhere has what answers a handshake come from another
// address first.
func TestAnswersFromElsewhere(t *testing.T) {
	for _, kind := range []byte{typeHelloAnswer, typeResp, typeCookie} {
		w := newWorld(t)
		a, b := w.open(1), w.add(2, Config{Identity: seeded(t, 2), HandshakeRate: 1})
		b.admission.unknown.used, b.admission.unknown.at = 2, w.now
		w.filter = func(f flight) []flight {
			if f.data[0] != kind {
				return []flight{f}
			}
			stray := f
			stray.from = address(50)
			f.at = f.at.Add(time.Millisecond)
			return []flight{stray, f}
		}
		if kind == typeCookie {
			a.ask(b.contact(), "q", true)
		} else {
			a.ask(transport.Contact{Addr: b.addr}, "q", true)
		}
		if n := a.count(droppedUnexpected); n != 1 {
			t.Errorf("type %d: %d dropped", kind, n)
		}
		if got := a.peers[b.id.ID()].current.addr; got != b.addr {
			t.Errorf("type %d: session with %s", kind, got)
		}
	}
}

// TestCookieForAnotherInit has somebody who forges the responder's address
// guess the index, but not the MAC.
func TestCookieForAnotherInit(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	a.call(b.contact(), "q", true)
	for index := range a.handshakes {
		a.Receive(w.now, b.addr, appendCookie(nil, cookiePacket{receiver: index, cookie: mac{1}}), &a.out)
	}
	if len(a.out.Sends) != 0 || a.count(droppedUnexpected) != 1 {
		t.Errorf("%d packets sent", len(a.out.Sends))
	}
}

// TestReplayedInitWhileHalfOpen sends a copy of an INIT from elsewhere before
// the session comes to life: the answer must not go there.
func TestReplayedInitWhileHalfOpen(t *testing.T) {
	w := newWorld(t)
	b := w.open(2)
	init := floodInit(t, b, 5, false)
	for _, from := range []int{5, 66, 5} {
		b.Receive(w.now, address(from), init, &b.out)
	}
	if len(b.out.Sends) != 2 || b.out.Sends[0].To != address(5) || b.out.Sends[1].To != address(5) {
		t.Fatalf("sent %+v", b.out.Sends)
	}
	if !slices.Equal(b.out.Sends[0].Data, b.out.Sends[1].Data) {
		t.Error("two different answers to one INIT")
	}
	if len(b.sessions) != 1 {
		t.Errorf("%d sessions", len(b.sessions))
	}
}

// TestSameEarlyRequestTwice gets one request in two INITs, as when a peer is
// sought at two addresses that are both its.
func TestSameEarlyRequestTwice(t *testing.T) {
	w := newWorld(t)
	b := w.open(2)
	b.handle = func(Request) ([]byte, bool) { return nil, false }
	for i := range 2 {
		e, err := New(Config{Identity: seeded(t, 1)})
		if err != nil {
			t.Fatal(err)
		}
		e.lastCall = 77
		var out Actions
		if _, err := e.Call(w.now, b.contact(), transport.Request{Idempotent: true}, 0, &out); err != nil {
			t.Fatal(err)
		}
		b.Receive(w.now, address(10+i), out.Sends[0].Data, &b.out)
		b.settle()
	}
	b.check()
	if len(b.requests) != 1 || len(b.sessions) != 2 {
		t.Errorf("%d requests, %d sessions", len(b.requests), len(b.sessions))
	}
}

// TestStolenAnswer has a peer answer a call that went to another.
func TestStolenAnswer(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.open(1), w.open(2), w.open(3)
	a.ask(b.contact(), "warm", true)
	a.ask(c.contact(), "warm", true)
	w.run(rtt)
	b.handle = func(Request) ([]byte, bool) { return nil, false }
	id := a.call(b.contact(), "q", false)
	thief := c.peers[a.id.ID()].current
	c.sendFrame(thief, frame{kind: frameAnswer, number: uint64(id), observed: a.addr, data: []byte("mine")}, &c.out)
	c.settle()
	w.run(rtt)
	if _, done := a.results[id]; done || a.count(droppedLateAnswer) != 1 {
		t.Error("a stolen answer counted")
	}
}

// TestOldTicket answers with the ticket of an earlier arrival of a request.
func TestOldTicket(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	a.ask(b.contact(), "warm", true)
	b.handle = func(Request) ([]byte, bool) { return nil, false }
	a.call(b.contact(), "q", false)
	w.run(oneWay + time.Millisecond)
	old := b.requests[1].Ticket
	b.Decline(old)
	w.run(time.Second)
	if len(b.requests) != 3 {
		t.Fatalf("%d requests", len(b.requests))
	}
	b.Decline(old)
	if err := b.Answer(w.now, old, []byte("x"), &b.out); err != nil || len(b.out.Sends) != 0 || len(b.pending) != 1 {
		t.Error("the old ticket counts")
	}
}

// liar proves one key and claims another id.
type liar struct {
	identity.Identity
	claims identity.ID
}

func (l liar) ID() identity.ID { return l.claims }

// TestClaimedID opens sessions in the names of others.
func TestClaimedID(t *testing.T) {
	w := newWorld(t)
	b := w.open(2)
	for i, victim := range []identity.ID{seeded(t, 3).ID(), b.id.ID(), {}, {1}} {
		e, err := New(Config{Identity: seeded(t, 1)})
		if err != nil {
			t.Fatal(err)
		}
		e.cfg.Identity = liar{e.cfg.Identity, victim}
		var out Actions
		h := &handshake{peer: e.peerOf(b.id.ID(), b.key), to: b.addr}
		if err := e.begin(w.now, h, &out); err != nil {
			t.Fatal(err)
		}
		b.Receive(w.now, address(9), out.Sends[0].Data, &b.out)
		if len(b.out.Sends) != 0 || len(b.sessions) != 0 || b.count(droppedForeignID) != uint64(i+1) {
			t.Errorf("%s: %d sessions, %d dropped", victim, len(b.sessions), b.count(droppedForeignID))
		}
	}
}

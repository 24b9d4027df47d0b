package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

const rtt = 2 * oneWay

func TestRoundTrips(t *testing.T) {
	for _, test := range []struct {
		name       string
		pinned     bool
		idempotent bool
		size       int
		first      time.Duration
	}{
		{"idempotent to a stranger", true, true, 100, rtt},
		{"longest early", true, true, transport.MaxEarlyRequest, rtt},
		{"too long for early", true, true, transport.MaxEarlyRequest + 1, 2 * rtt},
		{"state-changing to a stranger", true, false, 100, 2 * rtt},
		{"idempotent to an unknown id", false, true, 100, 2 * rtt},
		{"state-changing to an unknown id", false, false, 100, 3 * rtt},
		{"empty", true, true, 0, rtt},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.open(1), w.open(2)
			to := b.contact()
			if !test.pinned {
				to.ID = identity.ID{}
			}
			data := strings.Repeat("x", test.size)
			if got := a.ask(to, data, test.idempotent); got != test.first {
				t.Errorf("first call took %v, want %v", got, test.first)
			}
			w.run(time.Second)
			if got := a.ask(b.contact(), data, test.idempotent); got != rtt {
				t.Errorf("second call took %v, want %v", got, rtt)
			}
			if got := b.ask(a.contact(), data, test.idempotent); got != rtt {
				t.Errorf("call back took %v, want %v", got, rtt)
			}
			if got, want := b.requests[0].Early, test.idempotent && test.size <= transport.MaxEarlyRequest; got != want {
				t.Errorf("early is %v", got)
			}
		})
	}
}

func TestAnswerFacts(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	for _, wait := range []time.Duration{rtt, rtt} { // early, then in the session
		r := a.await(a.call(b.contact(), "q", true))
		if r.Err != nil || r.Answer.Observed != a.addr || r.Answer.RTT != wait || r.Answer.Peer.Label != "node2" {
			t.Errorf("result %+v, peer %+v", r, r.Answer.Peer)
		}
	}
	for i, r := range b.requests {
		if r.From != a.addr || r.Peer.ID != a.id.ID() || r.Peer.Label != "node1" || r.Early != (i == 0) {
			t.Errorf("request %d: %+v", i, r)
		}
	}
	peers := a.Peers()
	if len(peers) != 1 || peers[0].Peer.ID != b.id.ID() || peers[0].Addr != b.addr || peers[0].RTT != rtt || peers[0].LastSeen != w.now {
		t.Errorf("peers %+v", peers)
	}
}

func TestMaxAnswerFits(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	b.handle = func(r Request) ([]byte, bool) {
		if err := b.Answer(w.now, r.Ticket, make([]byte, r.MaxAnswer+1), &b.out); !errors.Is(err, transport.ErrTooLong) {
			t.Errorf("answer over the maximum: %v", err)
		}
		return bytes.Repeat([]byte("y"), r.MaxAnswer), true
	}
	for range 2 {
		r := a.await(a.call(b.contact(), "q", true))
		if want := b.requests[len(b.requests)-1].MaxAnswer; r.Err != nil || len(r.Answer.Data) != want || want < 1000 {
			t.Errorf("answer of %d bytes, max %d, %v", len(r.Answer.Data), want, r.Err)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	for _, pinned := range []bool{true, false} {
		w := newWorld(t)
		a, b := w.open(1), w.open(2)
		w.remove(b)
		to := b.contact()
		if !pinned {
			to.ID = identity.ID{}
		}
		id := a.call(to, "q", true)
		began := w.now
		if r := a.await(id); r.Err != transport.ErrNoAnswer {
			t.Errorf("result %+v", r)
		}
		if took := a.done[id].Sub(began); took != defaultCallTimeout {
			t.Errorf("took %v", took)
		}
		w.run(time.Minute)
		if len(a.peers)+len(a.handshakes)+len(a.nonces)+len(a.asking)+len(a.calls)+len(a.schedule.heap) != 0 {
			t.Error("something is left of a call to nobody")
		}
		if n := len(w.log); n < 4 || n > 7 {
			t.Errorf("%d packets sent", n)
		}
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	id := a.call(b.contact(), "q", true)
	a.Cancel(id)
	a.Cancel(id)
	if len(a.peers)+len(a.handshakes)+len(a.calls) != 0 {
		t.Error("something is left of a cancelled call")
	}
	w.run(time.Second)
	a.ask(b.contact(), "r", true)
	id = a.call(b.contact(), "s", false)
	a.Cancel(id)
	w.run(10 * time.Second)
	if len(a.results) != 1 {
		t.Errorf("%d results", len(a.results))
	}
}

func TestCallErrors(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.add(2, Config{Identity: seeded(t, 2), MaxCalls: 3})
	call := func(nd *node, to transport.Contact, size int) error {
		_, err := nd.Call(w.now, to, transport.Request{Data: make([]byte, size)}, 0, &nd.out)
		return err
	}
	if err := call(a, b.contact(), transport.MaxRequest+1); !errors.Is(err, transport.ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	if err := call(a, a.contact(), 1); !errors.Is(err, ErrSelf) {
		t.Errorf("self: %v", err)
	}
	if err := call(a, transport.Contact{}, 1); err == nil {
		t.Error("no address and no id")
	}
	if err := call(a, transport.Contact{ID: b.id.ID()}, 1); err == nil {
		t.Error("no address and no session")
	}
	if err := call(a, transport.Contact{ID: [32]byte{1}, Addr: b.addr}, 1); err == nil {
		t.Error("id of low order")
	}
	for range 3 {
		if err := call(b, a.contact(), 1); err != nil {
			t.Error(err)
		}
	}
	if err := call(b, a.contact(), 1); !errors.Is(err, ErrBusy) {
		t.Errorf("over MaxCalls: %v", err)
	}
	if len(a.calls)+len(a.peers) != 0 {
		t.Error("refused calls left something behind")
	}
	for range maxWaiting {
		if err := call(a, b.contact(), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := call(a, b.contact(), 1); !errors.Is(err, ErrBusy) {
		t.Errorf("over the calls of a handshake: %v", err)
	}
}

func TestCallSelfByAddress(t *testing.T) {
	w := newWorld(t)
	a := w.open(1)
	if r := a.await(a.call(transport.Contact{Addr: a.addr}, "q", true)); r.Err != ErrSelf {
		t.Errorf("result %+v", r)
	}
}

func TestWrongPinnedKey(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.open(1), w.open(2), w.open(3)
	id := a.call(transport.Contact{ID: c.id.ID(), Addr: b.addr}, "q", true)
	if r := a.await(id); !errors.Is(r.Err, transport.ErrPeerMismatch) {
		t.Errorf("result %+v", r)
	}
	if took := a.done[id].Sub(epoch); took > time.Second {
		t.Errorf("took %v", took)
	}
	if len(b.requests) != 0 || b.count(droppedJunk) == 0 {
		t.Errorf("%d requests, %d junk", len(b.requests), b.count(droppedJunk))
	}
}

func TestManyCallsShareAHandshake(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	var ids []CallID
	for i := range maxWaiting {
		ids = append(ids, a.call(b.contact(), string(rune('A'+i)), i%2 == 0))
	}
	for _, id := range ids {
		if r := a.await(id); r.Err != nil {
			t.Error(r.Err)
		}
	}
	if took := w.now.Sub(epoch); took != 2*rtt {
		t.Errorf("took %v", took)
	}
	if n := bytes.Count(w.packets(), []byte{typeInit}); n != 1 {
		t.Errorf("%d INITs", n)
	}
}

func TestSlowHandler(t *testing.T) {
	for _, delay := range []time.Duration{50 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second} {
		for _, state := range []string{"early", "idempotent", "changing"} {
			t.Run(fmt.Sprint(state, delay), func(t *testing.T) {
				w := newWorld(t)
				a, b := w.open(1), w.open(2)
				if state != "early" {
					a.ask(b.contact(), "warm", true)
				}
				b.handle = func(Request) ([]byte, bool) { return nil, false }
				id := a.call(b.contact(), "q", state != "changing")
				w.run(oneWay + delay)
				r := b.requests[len(b.requests)-1]
				if err := b.Answer(w.now, r.Ticket, []byte("late"), &b.out); err != nil {
					t.Fatal(err)
				}
				b.settle()
				if r := a.await(id); r.Err != nil || string(r.Answer.Data) != "late" {
					t.Errorf("result %+v", r)
				}
				// A repetition that crosses the answer is a new request, if it
				// changes nothing.
				if n := b.executed["q"]; a.count(recoveries) != 0 || n > 2 || (n > 1 && state == "changing") {
					t.Errorf("%d recoveries, %d executions", a.count(recoveries), n)
				}
			})
		}
	}
}

// TestLateEarlyAnswer answers an early request between the RESP and the packet
// that proves the address.
func TestLateEarlyAnswer(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	b.handle = func(Request) ([]byte, bool) { return nil, false }
	id := a.call(b.contact(), "q", true)
	w.run(oneWay + answerWait + oneWay/2)
	sent := len(w.log)
	if err := b.Answer(w.now, b.requests[0].Ticket, []byte("late"), &b.out); err != nil {
		t.Fatal(err)
	}
	b.settle()
	if len(w.log) != sent {
		t.Error("something went to an unproven address")
	}
	if r := a.await(id); string(r.Answer.Data) != "late" {
		t.Errorf("result %+v", r)
	}
	if took := w.now.Sub(epoch); took != 2*rtt+answerWait {
		t.Errorf("took %v", took)
	}
}

func TestTickets(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	a.ask(b.contact(), "warm", true)
	b.handle = func(Request) ([]byte, bool) { return nil, false }
	id := a.call(b.contact(), "q", false)
	w.run(oneWay + time.Millisecond)
	ticket := b.requests[1].Ticket
	for _, answer := range []string{"first", "second"} {
		if err := b.Answer(w.now, ticket, []byte(answer), &b.out); err != nil {
			t.Error(err)
		}
	}
	if n := len(b.out.Sends); n != 1 {
		t.Errorf("%d answers sent", n)
	}
	b.settle()
	if r := a.await(id); string(r.Answer.Data) != "first" {
		t.Errorf("result %+v", r)
	}
	if err := b.Answer(w.now, Ticket{}, nil, &b.out); err != nil || len(b.out.Sends) != 0 {
		t.Error("a ticket of nobody was answered")
	}
	a.call(b.contact(), "r", false)
	w.run(oneWay + time.Millisecond)
	late := b.requests[2].Ticket
	if err := b.Answer(w.now.Add(ticketLife), late, []byte("x"), &b.out); err != nil || len(b.out.Sends) != 0 {
		t.Error("a lapsed ticket was answered")
	}
	if b.count(requestsLapsed) != 1 {
		t.Errorf("%d lapsed", b.count(requestsLapsed))
	}
}

func TestDecline(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	a.ask(b.contact(), "warm", true)
	declined := 0
	b.handle = func(r Request) ([]byte, bool) {
		if declined == 2 {
			return []byte("at last"), true
		}
		declined++
		b.Decline(r.Ticket)
		b.Decline(r.Ticket)
		return nil, false
	}
	if r := a.await(a.call(b.contact(), "q", false)); string(r.Answer.Data) != "at last" {
		t.Errorf("result %+v", r)
	}
	if n := b.count(requestsDeclined); n != 2 {
		t.Errorf("%d declined", n)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.add(2, Config{Identity: seeded(t, 2), MaxRequests: 5})
	a.ask(b.contact(), "warm", true)
	b.handle = func(Request) ([]byte, bool) { return nil, false }
	for range 8 {
		a.call(b.contact(), "q", true)
	}
	w.run(oneWay + time.Millisecond)
	if len(b.pending) != 5 || b.count(droppedBusy) != 3 {
		t.Errorf("%d pending, %d dropped", len(b.pending), b.count(droppedBusy))
	}
}

func TestClose(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	a.ask(b.contact(), "warm", true)
	id := a.call(b.contact(), "q", true)
	other := a.call(transport.Contact{ID: b.id.ID(), Addr: address(9)}, "q", true)
	a.Close(w.now, &a.out)
	a.settle()
	if a.results[id].Err != transport.ErrClosed || a.results[other].Err != transport.ErrClosed {
		t.Errorf("results %+v", a.results)
	}
	a.Close(w.now, &a.out)
	w.run(time.Second)
	if len(b.sessions) != 0 {
		t.Error("the peer was not told")
	}
	if _, err := a.Call(w.now, b.contact(), transport.Request{}, 0, &a.out); err != transport.ErrClosed {
		t.Errorf("call after close: %v", err)
	}
	if err := a.Answer(w.now, Ticket{}, nil, &a.out); err != transport.ErrClosed {
		t.Errorf("answer after close: %v", err)
	}
	a.Cancel(id)
	a.Tick(w.now, &a.out)
	if !a.NextDeadline().IsZero() || len(a.Peers()) != 0 || a.count(sessionsMade) == 0 {
		t.Error("closed endpoint is not at rest")
	}
}

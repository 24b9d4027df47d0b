package sealed

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// scenario is a conversation in which every kind of packet of two nodes occurs.
// It fails the test if it does not come to a good end.
func scenario(w *world, a, b *node) {
	w.t.Helper()
	for round := range 2 {
		for _, c := range []struct {
			from, to   *node
			idempotent bool
			pinned     bool
		}{{a, b, false, false}, {a, b, true, true}, {b, a, false, true}, {a, b, false, true}} {
			to := c.to.contact()
			if !c.pinned {
				to.ID = identity.ID{}
			}
			data := fmt.Sprintf("%d %s>%s %v %v", round, c.from.addr, c.to.addr, c.idempotent, c.pinned)
			c.from.ask(to, data, c.idempotent)
			if n := c.to.executed[data]; n == 0 || (n > 1 && !c.idempotent) {
				w.t.Errorf("%q was executed %d times", data, n)
			}
		}
	}
}

// length is how many packets the undisturbed scenario sends.
func length(t *testing.T, make func(*world) (a, b *node)) int {
	w := newWorld(t)
	a, b := make(w)
	scenario(w, a, b)
	return len(w.log)
}

func openPair(w *world) (a, b *node) { return w.open(1), w.open(2) }

// disturb runs the scenario once for each packet of it with that packet in the
// hands of f.
func disturb(t *testing.T, make func(*world) (a, b *node), f func(flight) []flight) {
	n := length(t, make)
	if n < 12 {
		t.Fatalf("scenario of only %d packets", n)
	}
	for victim := range n {
		t.Run(fmt.Sprint("packet ", victim), func(t *testing.T) {
			w := newWorld(t)
			a, b := make(w)
			sent := 0
			w.filter = func(fl flight) []flight {
				sent++
				if sent == victim+1 {
					return f(fl)
				}
				return []flight{fl}
			}
			scenario(w, a, b)
			w.run(10 * time.Second)
			if took := w.now.Sub(epoch); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func bothMeshes(t *testing.T, test func(t *testing.T, make func(*world) (a, b *node))) {
	t.Run("open", func(t *testing.T) { test(t, openPair) })
	t.Run("certified", func(t *testing.T) { test(t, longPair) })
}

func TestLossOfEachPacket(t *testing.T) {
	bothMeshes(t, func(t *testing.T, make func(*world) (a, b *node)) {
		disturb(t, make, func(flight) []flight { return nil })
	})
}

func TestDuplicationOfEachPacket(t *testing.T) {
	bothMeshes(t, func(t *testing.T, make func(*world) (a, b *node)) {
		disturb(t, make, func(f flight) []flight {
			later := f
			later.at = f.at.Add(35 * time.Millisecond)
			return []flight{f, f, later}
		})
	})
}

func TestDelayOfEachPacket(t *testing.T) {
	for _, late := range []time.Duration{15 * time.Millisecond, 700 * time.Millisecond} {
		bothMeshes(t, func(t *testing.T, make func(*world) (a, b *node)) {
			disturb(t, make, func(f flight) []flight {
				f.at = f.at.Add(late)
				return []flight{f}
			})
		})
	}
}

func TestCorruptionOfEachPacket(t *testing.T) {
	bothMeshes(t, func(t *testing.T, make func(*world) (a, b *node)) {
		disturb(t, make, func(f flight) []flight {
			bad := f
			bad.data = slices.Clone(f.data)
			bad.data[len(bad.data)/2] ^= 0x10
			return []flight{bad, f}
		})
	})
}

// TestLossyNetwork runs a conversation of five nodes with loss, duplication and
// reordering of everything.
func TestLossyNetwork(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(t)
		rng := rand.New(rand.NewPCG(seed, 0))
		w.filter = func(f flight) []flight {
			var out []flight
			for rng.IntN(10) != 0 && len(out) < 3 { // nine in ten arrive, and again
				g := f
				g.at = f.at.Add(time.Duration(rng.IntN(40)) * time.Millisecond)
				out = append(out, g)
				if rng.IntN(10) != 0 {
					break
				}
			}
			return out
		}
		var nodes []*node
		for i := range 5 {
			nodes = append(nodes, w.open(i+1))
		}
		type sent struct {
			from, to *node
			id       CallID
			data     string
			changing bool
		}
		var calls []sent
		for i := range 100 {
			from, to := nodes[rng.IntN(5)], nodes[rng.IntN(5)]
			if from == to {
				continue
			}
			data, changing := fmt.Sprint(i), rng.IntN(2) == 0
			calls = append(calls, sent{from, to, from.call(to.contact(), data, !changing), data, changing})
			w.run(time.Duration(rng.IntN(50)) * time.Millisecond)
		}
		for _, c := range calls {
			if r := c.from.await(c.id); r.Err != nil || string(r.Answer.Data) != "re:"+c.data {
				t.Errorf("seed %d, call %s: %+v", seed, c.data, r)
			}
			if n := c.to.executed[c.data]; c.changing && n != 1 {
				t.Errorf("seed %d, call %s was executed %d times", seed, c.data, n)
			}
		}
	}
}

// TestReplayOfEverything sends each packet of a conversation again, from where
// it came and from elsewhere, while the conversation goes on and afterwards.
func TestReplayOfEverything(t *testing.T) {
	bothMeshes(t, func(t *testing.T, make func(*world) (a, b *node)) {
		w := newWorld(t)
		a, b := make(w)
		scenario(w, a, b)
		w.run(10 * time.Second)
		captured := slices.Clone(w.log)
		executedA, executedB := len(a.requests), len(b.requests)
		sessions := len(a.sessions) + len(b.sessions)
		stranger := address(99)
		for _, f := range captured {
			f.at = w.now.Add(oneWay)
			w.inject(f)
			f.from = stranger
			w.inject(f)
		}
		sent := len(w.log)
		w.run(time.Second)
		if len(a.requests) != executedA || len(b.requests) != executedB {
			t.Errorf("%d requests were executed again", len(a.requests)+len(b.requests)-executedA-executedB)
		}
		if n := len(a.sessions) + len(b.sessions); n != sessions {
			t.Errorf("%d sessions, %d before", n, sessions)
		}
		for _, f := range w.log[sent:] {
			if f.to == stranger && f.data[0] != typeHelloAnswer {
				t.Errorf("a packet of type %d went to the replayer", f.data[0])
			}
		}
		a.ask(b.contact(), "still fine", false)
	})
}

// TestReplayedInitAfterRestart replays an INIT to a node that has no memory of
// it: nothing but the idempotent request is taken from it.
func TestReplayedInitAfterRestart(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	a.ask(b.contact(), "early", true)
	a.ask(b.contact(), "changing", false)
	captured := slices.Clone(w.log)
	w.remove(b)
	again := w.open(2)
	for _, f := range captured {
		f.at = w.now.Add(oneWay)
		w.inject(f)
	}
	w.run(time.Second)
	if len(again.requests) != 1 || !again.requests[0].Early {
		t.Errorf("requests %+v", again.requests)
	}
	if again.live.Len() != 0 {
		t.Error("a replay made a session")
	}
	w.run(2 * halfOpenLife)
	if len(again.sessions)+len(again.peers)+len(again.inits) != 0 {
		t.Error("a replay left something behind")
	}
}

func TestResponderRestart(t *testing.T) {
	for _, idempotent := range []bool{true, false} {
		w := newWorld(t)
		a, b := w.open(1), w.open(2)
		for range 5 {
			a.ask(b.contact(), "warm", true)
		}
		w.remove(b)
		b = w.open(2)
		took := a.ask(b.contact(), "q", idempotent)
		if took > 6*minTimeout {
			t.Errorf("took %v", took)
		}
		if n := b.executed["q"]; n != 1 {
			t.Errorf("executed %d times", n)
		}
		if took := a.ask(b.contact(), "r", idempotent); took != rtt {
			t.Errorf("the next took %v", took)
		}
	}
}

func TestInitiatorRestart(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	a.ask(b.contact(), "warm", true)
	w.remove(a)
	a = w.open(1)
	if took := a.ask(b.contact(), "q", true); took != rtt {
		t.Errorf("took %v", took)
	}
	w.run(rtt)
	if took := b.ask(a.contact(), "back", false); took != rtt {
		t.Errorf("call back took %v", took)
	}
}

// TestRestartElsewhere finds a peer that lost its memory at another address.
func TestRestartElsewhere(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	a.ask(b.contact(), "warm", true)
	w.remove(b)
	b = w.open(2)
	b.addr = address(20)
	a.ask(b.contact(), "q", false)
}

func TestOldSessionSurvivesDoubt(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	a.ask(b.contact(), "warm", true)
	w.run(rtt)
	old := a.peers[b.id.ID()].current
	drop := true
	w.filter = func(f flight) []flight {
		if drop || f.data[0] == typeInit {
			return nil
		}
		return []flight{f}
	}
	id := a.call(b.contact(), "q", false)
	w.run(3 * time.Second)
	if a.count(recoveries) == 0 || a.peers[b.id.ID()].current != old {
		t.Error("no recovery, or the old session is gone")
	}
	drop = false
	if r := a.await(id); r.Err != nil {
		t.Error(r.Err)
	}
}

func TestCrossingHandshakes(t *testing.T) {
	bothMeshes(t, func(t *testing.T, make func(*world) (a, b *node)) {
		w := newWorld(t)
		a, b := make(w)
		x := a.call(b.contact(), "x", true)
		y := b.call(a.contact(), "y", true)
		u := a.call(b.contact(), "u", false)
		v := b.call(a.contact(), "v", false)
		for _, r := range []Result{a.await(x), b.await(y), a.await(u), b.await(v)} {
			if r.Err != nil {
				t.Error(r.Err)
			}
		}
		w.run(time.Second)
		lower, higher := a, b
		if b.id.ID().Compare(a.id.ID()) < 0 {
			lower, higher = b, a
		}
		s, r := lower.peers[higher.id.ID()].current, higher.peers[lower.id.ID()].current
		if s.remote != r.local || r.remote != s.local {
			t.Error("the two ends send on different sessions")
		}
		if !s.initiator || r.initiator {
			t.Error("the session is not the one of the lower id")
		}
		w.run(2 * retiredLife)
		if len(a.sessions) != 1 || len(b.sessions) != 1 {
			t.Errorf("%d and %d sessions", len(a.sessions), len(b.sessions))
		}
		a.ask(b.contact(), "after", false)
		b.ask(a.contact(), "after", false)
	})
}

func TestRekey(t *testing.T) {
	for _, byResponder := range []bool{false, true} {
		w := newWorld(t)
		a, b := w.open(1), w.open(2)
		a.ask(b.contact(), "first", true)
		w.run(rtt)
		old := a.peers[b.id.ID()].current
		caller, callee, due := a, b, rekeyInitiator
		if byResponder {
			caller, callee, due = b, a, rekeyResponder
		}
		for i := 0; w.now.Sub(epoch) < due+5*time.Minute; i++ {
			if took := caller.ask(callee.contact(), fmt.Sprint("n", i), false); took != rtt {
				t.Fatalf("call %d took %v", i, took)
			}
			w.run(time.Minute / 2)
		}
		fresh := a.peers[b.id.ID()].current
		if fresh == old || a.count(rekeys)+b.count(rekeys) != 1 {
			t.Errorf("responder %v: %d rekeys", byResponder, a.count(rekeys)+b.count(rekeys))
		}
		if len(a.sessions) != 1 || len(b.sessions) != 1 {
			t.Errorf("%d and %d sessions", len(a.sessions), len(b.sessions))
		}
		if age := w.now.Sub(fresh.made); age > 11*time.Minute {
			t.Errorf("keys are %v old", age)
		}
	}
}

// TestOldKeysLinger has an answer under old keys arrive after the new ones are
// in use.
func TestOldKeysLinger(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	a.ask(b.contact(), "first", true)
	w.run(rtt)
	for w.now.Sub(epoch) < rekeyInitiator {
		w.run(10 * time.Minute)
		a.ask(b.contact(), "alive", true)
	}
	b.handle = func(r Request) ([]byte, bool) { return r.Data, string(r.Data) != "slow" }
	id := a.call(b.contact(), "slow", false)
	w.run(200 * time.Millisecond)
	if a.peers[b.id.ID()].current == a.calls[id].via && a.calls[id].tries == 1 {
		t.Fatal("no new keys")
	}
	if err := b.Answer(w.now, b.requests[len(b.requests)-1].Ticket, []byte("done"), &b.out); err != nil {
		t.Fatal(err)
	}
	b.settle()
	if r := a.await(id); r.Err != nil || string(r.Answer.Data) != "done" {
		t.Errorf("result %+v", r)
	}
}

func TestSessionsEnd(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	a.ask(b.contact(), "first", true)
	w.run(idleLife - time.Second)
	if len(a.sessions) != 1 || len(b.sessions) != 1 {
		t.Error("session ended early")
	}
	w.run(time.Minute)
	if len(a.sessions)+len(b.sessions)+len(a.peers)+len(b.peers)+len(a.schedule.heap)+len(b.schedule.heap) != 0 {
		t.Error("idle session did not end")
	}
	a.ask(b.contact(), "second", true)
	w.filter = func(f flight) []flight { // no rekey gets through
		if f.data[0] == typeInit {
			return nil
		}
		return []flight{f}
	}
	began := w.now
	for w.now.Sub(began) < sessionLife-time.Minute {
		a.ask(b.contact(), "alive", true)
		w.run(30 * time.Second)
	}
	w.run(2 * time.Minute)
	if len(a.sessions)+len(b.sessions) != 0 {
		t.Error("old keys are still in use")
	}
}

func TestRoaming(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	a.ask(b.contact(), "first", true)
	w.run(rtt)
	home, away := a.addr, address(77)
	a.addr = away
	// The first answer goes to the old address.
	if took := a.ask(b.contact(), "moved", false); took > 2*minTimeout {
		t.Errorf("took %v", took)
	}
	if got := b.peers[a.id.ID()].current.addr; got != away || b.count(sessionsMoved) != 1 {
		t.Errorf("session is at %s", got)
	}
	if took := b.ask(transport.Contact{ID: a.id.ID(), Addr: home}, "back", false); took != rtt {
		t.Errorf("call back took %v", took)
	}
	if n := bytes.Count(w.packets(), []byte{typeInit}); n != 1 {
		t.Errorf("%d INITs", n)
	}
}

// TestRoamingNeedsEcho copies packets from a forged address: traffic stays where
// it is, and what goes to that address is less than what came from it.
func TestRoamingNeedsEcho(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	a.ask(b.contact(), "first", true)
	w.run(rtt)
	forged := address(66)
	in := 0
	w.filter = func(f flight) []flight {
		if f.to == b.addr && f.from == a.addr {
			f.from = forged
			in += len(f.data)
		}
		return []flight{f}
	}
	big := bytes.Repeat([]byte("z"), transport.MaxAnswer)
	b.handle = func(Request) ([]byte, bool) { return big, true }
	for range 3 {
		if r := a.await(a.call(b.contact(), "q", false)); r.Err != nil {
			t.Error(r.Err)
		}
	}
	w.filter = nil
	w.run(time.Second)
	if got := b.peers[a.id.ID()].current.addr; got != a.addr {
		t.Errorf("session moved to %s", got)
	}
	out := 0
	for _, f := range w.log {
		if f.to == forged {
			out += len(f.data)
		}
	}
	if out == 0 || out > in {
		t.Errorf("%d bytes to the forged address, %d from it", out, in)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	w := newWorld(t)
	hub := w.add(1, Config{Identity: seeded(t, 1), MaxSessions: 10})
	for i := range 30 {
		w.open(i+2).ask(hub.contact(), "q", true)
		w.run(rtt)
	}
	if hub.live.Len() != 10 || len(hub.sessions) != 10 || len(hub.peers) != 10 || hub.count(sessionsEvicted) != 20 {
		t.Errorf("%d live, %d sessions, %d peers", hub.live.Len(), len(hub.sessions), len(hub.peers))
	}
	first, last := w.nodes[1], w.nodes[30]
	if took := last.ask(hub.contact(), "r", false); took != rtt {
		t.Errorf("a kept session took %v", took)
	}
	first.ask(hub.contact(), "r", false)
}

func TestOnePeerHoldsFewSessions(t *testing.T) {
	w := newWorld(t)
	b := w.open(2)
	for range 20 {
		a := w.open(1) // restarted
		a.ask(b.contact(), "q", true)
		w.run(rtt)
		w.remove(a)
	}
	if len(b.sessions) > maxPeerSessions {
		t.Errorf("%d sessions", len(b.sessions))
	}
}

// TestHandshakeFlood opens handshakes from ever new ids that never go on.
func TestHandshakeFlood(t *testing.T) {
	w := newWorld(t)
	b := w.add(2, Config{Identity: seeded(t, 2), HandshakeRate: 1_000_000})
	good := w.open(3)
	good.ask(b.contact(), "warm", true)
	w.run(rtt)
	for i := range maxHalfOpen + 50 {
		from := address(1000 + i)
		b.Receive(w.now, from, floodInit(t, b, 1000+i, true), &b.out)
		b.settle()
	}
	b.check()
	if b.halfOpen.Len() != maxHalfOpen || len(b.sessions) != maxHalfOpen+1 || len(b.inits) != maxHalfOpen+1 || len(b.peers) != maxHalfOpen+1 {
		t.Errorf("%d half open, %d sessions, %d inits, %d peers", b.halfOpen.Len(), len(b.sessions), len(b.inits), len(b.peers))
	}
	if took := good.ask(b.contact(), "x", false); took != rtt {
		t.Errorf("the good node's call took %v", took)
	}
	w.run(2 * halfOpenLife)
	if len(b.sessions) != 1 {
		t.Errorf("%d sessions afterwards", len(b.sessions))
	}
}

// floodInit is a sound INIT of node n to nd, with or without a request.
func floodInit(t testing.TB, nd *node, n int, early bool) []byte {
	t.Helper()
	e, err := New(Config{Identity: seeded(t, n)})
	if err != nil {
		t.Fatal(err)
	}
	var out Actions
	if _, err := e.Call(epoch, nd.contact(), transport.Request{Data: []byte("x"), Idempotent: early}, 0, &out); err != nil {
		t.Fatal(err)
	}
	return out.Sends[0].Data
}

func TestCookieUnderLoad(t *testing.T) {
	w := newWorld(t)
	b := w.add(1, Config{Identity: seeded(t, 1), HandshakeRate: 5})
	var ids []CallID
	var nodes []*node
	for i := range 40 {
		nd := w.open(i + 2)
		nodes = append(nodes, nd)
		ids = append(ids, nd.call(b.contact(), "q", true))
	}
	for i, nd := range nodes {
		if r := nd.await(ids[i]); r.Err != nil {
			t.Error(r.Err)
		}
	}
	if took := w.now.Sub(epoch); took != 2*rtt {
		t.Errorf("took %v", took)
	}
	if n := b.count(cookiesAsked); n != 30 {
		t.Errorf("%d cookies", n)
	}
	if n := b.count(handshakesAnswered); n != 40 {
		t.Errorf("%d handshakes", n)
	}
}

// TestCookieIsBound tries a cookie at another address, with another INIT's MAC,
// and too late.
func TestCookieIsBound(t *testing.T) {
	w := newWorld(t)
	b := w.add(1, Config{Identity: seeded(t, 1), HandshakeRate: 1})
	now := w.now
	send := func(from netip.AddrPort, packet []byte) []byte {
		var out Actions
		b.Receive(now, from, packet, &out)
		if len(out.Sends) == 0 {
			return nil
		}
		return out.Sends[0].Data
	}
	for i := range 2 { // use up what needs no cookie
		if p := send(address(10+i), floodInit(t, b, 10+i, false)); p[0] != typeResp {
			t.Fatal("no RESP")
		}
	}
	init := floodInit(t, b, 50, false)
	answer := send(address(50), init)
	c, err := decodeCookie(answer)
	if err != nil {
		t.Fatal(err)
	}
	seal2(init, c.cookie)
	if p := send(address(51), init); p[0] != typeCookie {
		t.Error("the cookie counts at another address")
	}
	other := floodInit(t, b, 52, false)
	copy(other[mac2At:], init[mac2At:])
	if p := send(address(50), other); p[0] != typeCookie {
		t.Error("the cookie's MAC counts for another INIT")
	}
	b.admission.unknown.used, b.admission.rate = 2, 0 // no refill by the time that passes
	now = now.Add(cookieLife + time.Second)
	if p := send(address(50), init); p[0] != typeResp {
		t.Error("the cookie does not count after one rotation")
	}
	late := floodInit(t, b, 53, false)
	seal2(late, c.cookie)
	now = now.Add(cookieLife)
	if p := send(address(50), late); p[0] != typeCookie {
		t.Error("the cookie counts after two rotations")
	}
}

// TestProvenBudget has one host with a cookie make more handshakes than its
// share.
func TestProvenBudget(t *testing.T) {
	w := newWorld(t)
	b := w.open(1)
	cookie := b.admission.jar.make(w.now, address(5))
	for i := range sourceBurst + 10 {
		init := floodInit(t, b, 100+i, false)
		seal2(init, cookie)
		b.Receive(w.now, address(5), init, &b.out)
	}
	if n := b.count(droppedOverBudget); n != 10 {
		t.Errorf("%d over budget", n)
	}
}

// TestNoCookieLoop has a responder that is never content.
func TestNoCookieLoop(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	b.admission.rate = 0
	b.admission.unknown.used = 1
	b.admission.jar.random = b.random
	w.filter = func(f flight) []flight {
		if f.to == b.addr {
			b.admission.jar.since = time.Time{} // forgets its secrets at once
			b.random(b.admission.jar.secret[:])
		}
		return []flight{f}
	}
	b.admission.sources.Purge()
	b.admission.source(a.addr).unknown = bucket{used: sourceBurst, at: w.now.Add(time.Hour)}
	if r := a.await(a.call(b.contact(), "q", true)); !errors.Is(r.Err, transport.ErrNoAnswer) {
		t.Errorf("result %+v", r)
	}
	if n := len(w.log); n > 20 {
		t.Errorf("%d packets", n)
	}
}

// TestAmplification throws random packets of many addresses at a node, most of
// them derived from sound ones, and books what goes where.
func TestAmplification(t *testing.T) {
	for seed := range uint64(4) {
		for _, make := range []func(*world) (a, b *node){openPair, longPair} {
			w := newWorld(t)
			a, b := make(w)
			scenario(w, a, b)
			captured := slices.Clone(w.log)
			w.remove(a)
			w.log = nil
			rng := rand.New(rand.NewPCG(seed, 1))
			if seed%2 == 0 {
				w.remove(b)
				_, b = make(w) // without memory
				b.admission.rate = 3
			}
			var inits [][]byte
			for i := range 30 {
				inits = append(inits, floodInit(t, b, 300+i, i%2 == 0))
			}
			big := bytes.Repeat([]byte("z"), transport.MaxAnswer)
			b.handle = func(r Request) ([]byte, bool) { return big[:r.MaxAnswer], rng.IntN(4) != 0 }
			booked, sent := map[netip.AddrPort]int{}, map[byte]int{}
			for range 3000 {
				from := address(200 + rng.IntN(20))
				packet := randomPacket(rng, inits, captured)
				booked[from] += len(packet)
				b.Receive(w.now, from, packet, &b.out)
				b.settle()
				w.now = w.now.Add(time.Duration(rng.IntN(20)) * time.Millisecond)
				b.Tick(w.now, &b.out)
				b.settle()
				for _, f := range w.log {
					if f.to != a.addr {
						booked[f.to] -= len(f.data)
						sent[f.data[0]]++
					}
				}
				w.log = w.log[:0]
				for addr, left := range booked {
					if left < 0 {
						t.Fatalf("seed %d: %d bytes too many to %s", seed, -left, addr)
					}
				}
			}
			b.check()
			if sent[typeHelloAnswer] < 100 || (seed%2 == 0 && sent[typeCookie] < 10) || (b.cfg.Trust.Open() && sent[typeResp] < 10) {
				t.Errorf("seed %d: hardly anything was answered: %v", seed, sent)
			}
		}
	}
}

func randomPacket(rng *rand.Rand, inits [][]byte, captured []flight) []byte {
	var packet []byte
	switch rng.IntN(4) {
	case 0:
		packet = appendHello(nil, nonce{byte(rng.IntN(256))})
	case 1:
		packet = slices.Clone(inits[rng.IntN(len(inits))])
	case 2:
		packet = slices.Clone(captured[rng.IntN(len(captured))].data)
	case 3:
		packet = []byte{byte(rng.IntN(16))}
		for range rng.IntN(1300) {
			packet = append(packet, byte(rng.IntN(256)))
		}
	}
	switch rng.IntN(4) {
	case 0:
		packet[rng.IntN(len(packet))] ^= byte(rng.IntN(256))
	case 1:
		packet = packet[:rng.IntN(len(packet)+1)]
	}
	return packet
}

// TestMappedAddresses has IPv4 addresses come and go in both spellings.
func TestMappedAddresses(t *testing.T) {
	w := newWorld(t)
	a, b := w.open(1), w.open(2)
	mapped := func(addr netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom16(addr.Addr().As16()), addr.Port())
	}
	sent := 0
	w.filter = func(f flight) []flight {
		if sent++; sent%2 == 0 {
			f.from = mapped(f.from)
		}
		return []flight{f}
	}
	to := transport.Contact{ID: b.id.ID(), Addr: mapped(b.addr)}
	for i := range 5 {
		if took := a.ask(to, "q", true); took != rtt {
			t.Errorf("call %d took %v", i, took)
		}
		w.run(rtt)
	}
	for _, r := range b.requests {
		if r.From != a.addr {
			t.Errorf("request from %s", r.From)
		}
	}
}

package sealed

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/flynn/noise"

	"github.com/staex-mcc/mcc/transport"
)

// Handshakes that this node begins.

const (
	// handshakeRetry is how long the first INIT or HELLO waits for an answer;
	// it doubles each time up to handshakeRetryMax.
	handshakeRetry    = 500 * time.Millisecond
	handshakeRetryMax = 2 * time.Second
	// backgroundLife bounds handshakes for which no call waits.
	backgroundLife = 5 * time.Second
	// maxWaiting bounds the calls that wait for one handshake.
	maxWaiting = 64
	// maxPeerHandshakes bounds the addresses at which one peer is sought.
	maxPeerHandshakes = 4
	// maxCookies bounds how often one handshake starts over with a cookie.
	maxCookies = 3
)

// handshake is an attempt to get a session with whoever is at an address. While
// peer is nil it asks for the key there by HELLO; then it sends an INIT.
type handshake struct {
	timer
	peer    *peer
	to      netip.AddrPort
	calls   []*call
	until   time.Time // how long it goes on without calls; zero is not at all
	nonce   nonce     // of its HELLO; zero if none was sent
	index   uint32    // of its INIT
	pattern *pattern
	packet  []byte // the INIT, repeated as it is
	early   *call  // rides in the INIT
	cookie  mac
	cookies int
	tries   int
	first   time.Time
	last    time.Time
}

// seek has a call to a known peer, or to whoever is at an address, wait for a
// session. The cookie, unless it is zero, came from that address just now.
func (e *Endpoint) seek(now time.Time, c *call, cookie mac, out *Actions) error {
	h := e.asking[c.to.Addr]
	if c.peer != nil {
		h = c.peer.handshakeTo(c.to.Addr)
	}
	if h != nil {
		return e.enlist(h, c)
	}
	h = &handshake{peer: c.peer, to: c.to.Addr, first: now, cookie: cookie}
	if err := e.enlist(h, c); err != nil {
		return err
	}
	return e.begin(now, h, out)
}

// enlist adds a call to those that wait for h.
func (e *Endpoint) enlist(h *handshake, c *call) error {
	if len(h.calls) >= maxWaiting {
		return ErrBusy
	}
	h.calls = append(h.calls, c)
	c.wait = h
	e.schedule.set(c, c.deadline)
	return nil
}

// handshakeTo is the peer's handshake with an address, or any if there are so
// many that no more may begin.
func (p *peer) handshakeTo(to netip.AddrPort) *handshake {
	for _, h := range p.handshakes {
		if h.to == to {
			return h
		}
	}
	if len(p.handshakes) >= maxPeerHandshakes {
		return p.handshakes[0]
	}
	return nil
}

// begin sends the first packet of a handshake.
func (e *Endpoint) begin(now time.Time, h *handshake, out *Actions) error {
	e.counts[handshakesStarted]++
	if h.peer == nil {
		e.asking[h.to] = h
		e.askWho(h, out)
	} else if err := e.makeInit(h); err != nil {
		return err
	} else {
		h.peer.handshakes = append(h.peer.handshakes, h)
		e.sendInit(now, h, out)
	}
	e.arm(now, h)
	return nil
}

// background begins a handshake for which no new call waits: to renew keys, or
// because the peer may have forgotten the session.
func (e *Endpoint) background(now time.Time, p *peer, to netip.AddrPort, out *Actions) {
	if len(p.handshakes) >= maxPeerHandshakes || p.handshakeTo(to) != nil {
		return
	}
	h := &handshake{peer: p, to: to, until: now.Add(backgroundLife), first: now}
	if err := e.begin(now, h, out); err != nil {
		// The own key could not be used now. The calls go on with the session
		// they have and come back here when they are repeated.
		e.counts[droppedHandshake]++
	}
}

func (e *Endpoint) askWho(h *handshake, out *Actions) {
	if h.nonce == (nonce{}) {
		e.random(h.nonce[:])
		e.nonces[h.nonce] = h
	}
	out.send(h.to, func(dst []byte) []byte { return appendHello(dst, h.nonce) })
}

// makeInit builds the INIT of h, with a request in it if one fits.
func (e *Endpoint) makeInit(h *handshake) error {
	p := h.peer
	s := &suite{CipherFunc: noise.CipherChaChaPoly, HashFunc: noise.HashBLAKE2s, static: e.cfg.Identity, generate: e.ephemeral}
	var err error
	if h.pattern, err = newPattern(s, e.key[:], p.id, p.key[:]); err != nil {
		return fmt.Errorf("open session with %s: %w", p.id, err)
	}
	h.early = h.pickEarly()
	message, _, err := h.pattern.write(nil, e.opening(h.early))
	if err != nil {
		return fmt.Errorf("open session with %s: %w", p.id, err)
	}
	h.index = e.freeIndex()
	e.handshakes[h.index] = h
	h.packet = appendInit(make([]byte, 0, maxPacket), h.index, message)
	seal1(h.packet, mac1Key(p.id))
	if h.cookie != (mac{}) {
		seal2(h.packet, h.cookie)
	}
	return nil
}

// pickEarly chooses the call whose request rides in the INIT, or nil.
func (h *handshake) pickEarly() *call {
	candidates := h.calls
	if !h.until.IsZero() {
		candidates = h.peer.calls
	}
	for _, c := range candidates {
		if c.idempotent && len(c.data) <= transport.MaxEarlyRequest {
			return c
		}
	}
	return nil
}

// opening is the payload of an INIT with the certificate inline if it fits.
func (e *Endpoint) opening(early *call) []byte {
	o := opening{id: e.cfg.Identity.ID()}
	if early != nil {
		o.early, o.number, o.request = true, uint64(early.id), early.data
	}
	for _, o.credential = range e.credentials() {
		if payload, fits := appendOpening(nil, o); fits {
			return payload
		}
	}
	panic("BUG: a request of MaxEarlyRequest bytes does not fit beside a hash")
}

func (e *Endpoint) sendInit(now time.Time, h *handshake, out *Actions) {
	h.last = now
	out.sendCopy(h.to, h.packet)
}

// arm schedules the next repetition.
func (e *Endpoint) arm(now time.Time, h *handshake) {
	wait := min(handshakeRetry<<h.tries, handshakeRetryMax)
	e.schedule.set(h, now.Add(e.jitter(wait)))
}

// wake repeats the handshake's packet. The first repetition of an INIT also
// asks who is there, since to somebody else it would be junk.
func (h *handshake) wake(e *Endpoint, now time.Time, out *Actions) {
	if len(h.calls) == 0 && !now.Before(h.until) {
		e.abandon(h)
		return
	}
	h.tries++
	if h.peer == nil || h.tries == 1 {
		e.askWho(h, out)
	}
	if h.peer != nil {
		e.sendInit(now, h, out)
	}
	e.arm(now, h)
}

// abandon ends a handshake without result; its calls have gone elsewhere.
func (e *Endpoint) abandon(h *handshake) {
	e.schedule.clear(h)
	delete(e.nonces, h.nonce)
	delete(e.handshakes, h.index)
	if h.peer == nil {
		delete(e.asking, h.to)
		return
	}
	h.peer.handshakes = slices.DeleteFunc(h.peer.handshakes, func(x *handshake) bool { return x == h })
	e.forget(h.peer)
}

// fail ends a handshake and the calls that wait for it.
func (e *Endpoint) fail(h *handshake, err error, out *Actions) {
	calls := h.calls
	h.calls = nil
	for _, c := range calls {
		c.wait = nil
		e.finish(c, Result{Err: err}, out)
	}
	e.abandon(h)
}

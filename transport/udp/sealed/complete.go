package sealed

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/transport"
)

// What comes back to handshakes that this node began.

// receiveHelloAnswer learns who is at an address.
func (e *Endpoint) receiveHelloAnswer(now time.Time, from netip.AddrPort, packet []byte, out *Actions) {
	a, err := decodeHelloAnswer(packet)
	if err != nil {
		e.dropped(err)
		return
	}
	h := e.nonces[a.nonce]
	if h == nil || h.to != from {
		e.counts[droppedUnexpected]++
		return
	}
	key, err := a.id.X25519()
	if err != nil {
		e.counts[droppedMalformed]++
		return
	}
	switch {
	case h.peer != nil && h.peer.id == a.id:
		h.cookie = a.cookie
		seal2(h.packet, h.cookie)
	case h.peer != nil:
		e.mismatch(now, h, a, key, out)
	default:
		e.identify(now, h, a, key, out)
	}
}

// mismatch ends a handshake whose address belongs to somebody else now. The
// answer is not proven, but who can forge it sits on the path and could as well
// swallow every packet.
func (e *Endpoint) mismatch(now time.Time, h *handshake, a helloAnswer, key [32]byte, out *Actions) {
	err := fmt.Errorf("%w: %s", transport.ErrPeerMismatch, a.id)
	for _, c := range slices.Concat(h.calls, h.peer.calls) {
		if c.to.Addr == h.to && !c.to.ID.IsZero() {
			e.finish(c, Result{Err: err}, out)
		}
	}
	// What is left wanted nobody in particular.
	e.identify(now, h, a, key, out)
}

// identify goes on with the calls of a handshake to whom the address belongs.
func (e *Endpoint) identify(now time.Time, h *handshake, a helloAnswer, key [32]byte, out *Actions) {
	if a.id == e.cfg.Identity.ID() {
		e.fail(h, ErrSelf, out)
		return
	}
	calls := h.calls
	h.calls = nil
	e.abandon(h)
	for _, c := range calls {
		c.wait, c.peer = nil, e.peerOf(a.id, key)
		if err := e.route(now, c, a.cookie, out); err != nil {
			e.finish(c, Result{Err: err}, out)
		}
	}
}

// receiveCookie repeats an INIT with the cookie that a busy responder asks for.
func (e *Endpoint) receiveCookie(now time.Time, from netip.AddrPort, packet []byte, out *Actions) {
	c, err := decodeCookie(packet)
	if err != nil {
		e.dropped(err)
		return
	}
	h := e.handshakes[c.receiver]
	if h == nil || h.to != from || !c.mac1.equal(mac(h.packet[mac1At:mac2At])) || h.cookies >= maxCookies {
		e.counts[droppedUnexpected]++
		return
	}
	h.cookies++
	h.cookie = c.cookie
	seal2(h.packet, h.cookie)
	e.sendInit(now, h, out)
}

// receiveResp completes a handshake.
func (e *Endpoint) receiveResp(now time.Time, from netip.AddrPort, packet []byte, out *Actions) {
	p, err := decodeResp(packet)
	if err != nil {
		e.dropped(err)
		return
	}
	h := e.handshakes[p.receiver]
	if h == nil || h.to != from {
		e.counts[droppedUnexpected]++
		return
	}
	payload, keys, err := h.pattern.read(p.message)
	if err != nil {
		e.counts[droppedForged]++
		return
	}
	r, err := decodeReply(payload)
	if err != nil {
		e.dropped(err)
		return
	}
	e.established(now, h, p, keys, r, out)
}

// established makes the session of a handshake that the responder completed.
func (e *Endpoint) established(now time.Time, h *handshake, resp respPacket, keys secrets, r reply, out *Actions) {
	p := h.peer
	who, err := e.verifier.check(now, p.id, r.credential)
	if err != nil {
		e.refuse(Refusal{Addr: h.to, ID: p.id, Err: err}, out)
		e.fail(h, fmt.Errorf("%w: %w", transport.ErrUntrusted, err), out)
		return
	}
	s := &session{
		local: h.index, remote: resp.sender, peer: p, who: who, initiator: true,
		addr: h.to, made: h.first, seen: now,
	}
	s.rekeyAt = s.made.Add(rekeyInitiator)
	s.setKeys(keys)
	e.add(now, s)
	if h.tries == 0 && h.cookies == 0 {
		p.rtt.sample(now.Sub(h.last))
	}
	e.carryOver(now, h, s, r)
	e.abandon(h)
	if who == nil {
		p.pending = s
		e.startFetch(now, s, r.credential)
		e.pursue(now, s, out)
	}
	// After the own question, so that the peer's chain comes before what it
	// says once it has ours.
	if r.wantChain {
		e.serve(s, allParts, out)
	}
	if who == nil {
		e.reschedule(s)
		return
	}
	e.adopt(now, s, out)
	if s.counter == 0 {
		e.sendFrame(s, frame{kind: frameConfirm}, out)
	}
}

// carryOver moves the calls of a handshake to its session; the one that rode in
// the INIT has been sent, and perhaps been answered.
func (e *Endpoint) carryOver(now time.Time, h *handshake, s *session, r reply) {
	p := s.peer
	for _, c := range h.calls {
		c.wait = nil
		p.calls = append(p.calls, c)
	}
	h.calls = nil
	c := h.early
	if c == nil || e.calls[c.id] != c {
		return
	}
	if c.tries == 0 {
		c.tries, c.first, c.last = 1, h.first, h.last
	}
	c.via = s
	if r.answered {
		s.answer = &earlyAnswer{call: c, answer: transport.Answer{
			Data: r.answer, Observed: r.observed, RTT: now.Sub(h.last),
		}}
	}
}

package sealed

import (
	"net/netip"
	"slices"
	"time"

	"github.com/flynn/noise"

	"github.com/staex-mcc/mcc/transport"
)

// Handshakes that peers begin.

// answerWait is how long the RESP waits for the answer to an early request; a
// later answer follows in the session.
const answerWait = 100 * time.Millisecond

// halfOpen is what a session needs until its first packet.
type halfOpen struct {
	pattern   *pattern // nil once the RESP is made
	resp      []byte   // repeated if the INIT is
	respondAt time.Time
	wantChain bool
	request   *opening    // waits for the peer's chain
	late      *lateAnswer // waits for the address to be proven
}

// lateAnswer is an answer to an early request for which the RESP did not wait.
type lateAnswer struct {
	number uint64
	data   []byte
}

// receiveHello says who is here. The answer is shorter than the question and
// leaves nothing behind.
func (e *Endpoint) receiveHello(now time.Time, from netip.AddrPort, packet []byte, out *Actions) {
	n, err := decodeHello(packet)
	if err != nil {
		e.dropped(err)
		return
	}
	a := helloAnswer{nonce: n, id: e.cfg.Identity.ID(), cookie: e.admission.jar.make(now, from)}
	out.send(from, func(dst []byte) []byte { return appendHelloAnswer(dst, a) })
}

// receiveInit opens a session for a peer. What costs little comes first.
func (e *Endpoint) receiveInit(now time.Time, from netip.AddrPort, packet []byte, out *Actions) {
	p, err := decodeInit(packet)
	if err != nil {
		e.dropped(err)
		return
	}
	if !keyedMAC(e.mac1Key[:], packet[:mac1At]).equal(p.mac1) {
		e.counts[droppedJunk]++
		return
	}
	if s := e.inits[p.mac1]; s != nil {
		e.repeatResp(s, from, out)
		return
	}
	switch e.admission.judge(now, from, packet, p.mac2) {
	case wantCookie:
		e.counts[cookiesAsked]++
		c := cookiePacket{receiver: p.sender, mac1: p.mac1, cookie: e.admission.jar.make(now, from)}
		out.send(from, func(dst []byte) []byte { return appendCookie(dst, c) })
	case overBudget:
		e.counts[droppedOverBudget]++
	case admitted:
		e.meet(now, from, p, out)
	}
}

// repeatResp answers an INIT that came before. To another address than the
// first nothing is said: the packet may be somebody else's copy.
func (e *Endpoint) repeatResp(s *session, from netip.AddrPort, out *Actions) {
	e.counts[droppedReplayedInit]++
	if s.half != nil && s.half.resp != nil && s.addr == from {
		out.sendCopy(from, s.half.resp)
	}
}

// meet reads the handshake message of an INIT and judges the initiator.
func (e *Endpoint) meet(now time.Time, from netip.AddrPort, p initPacket, out *Actions) {
	pattern, o, key, err := e.readInit(p)
	if err != nil {
		e.counts[droppedHandshake]++
		return
	}
	if derived, err := o.id.X25519(); err != nil || derived != key || o.id == e.cfg.Identity.ID() {
		e.counts[droppedForeignID]++
		return
	}
	who, err := e.verifier.check(now, o.id, o.credential)
	if err != nil {
		e.refuse(Refusal{Addr: from, ID: o.id, Err: err}, out)
		return
	}
	s := &session{
		local: e.freeIndex(), remote: p.sender, peer: e.peerOf(o.id, key), who: who,
		addr: from, initMAC: p.mac1, made: now, seen: now, rekeyAt: now.Add(rekeyResponder),
		half: &halfOpen{pattern: pattern, respondAt: now.Add(answerWait), wantChain: who == nil},
	}
	e.inits[p.mac1] = s
	e.counts[handshakesAnswered]++
	if who == nil {
		e.startFetch(now, s, o.credential)
	}
	e.add(now, s)
	if !e.takeEarly(now, s, o, out) {
		e.respond(now, s, nil, false, out)
	}
	e.reschedule(s)
}

func (e *Endpoint) readInit(p initPacket) (*pattern, opening, [32]byte, error) {
	s := &suite{CipherFunc: noise.CipherChaChaPoly, HashFunc: noise.HashBLAKE2s, static: e.cfg.Identity, generate: e.ephemeral}
	pattern, err := newPattern(s, e.key[:], e.cfg.Identity.ID(), nil)
	if err != nil {
		return nil, opening{}, [32]byte{}, err
	}
	payload, _, err := pattern.read(p.message)
	if err != nil {
		return nil, opening{}, [32]byte{}, err
	}
	o, err := decodeOpening(payload)
	if err != nil {
		return nil, opening{}, [32]byte{}, err
	}
	return pattern, o, [32]byte(pattern.state.PeerStatic()), nil
}

// takeEarly hands the request in an INIT to the application, and reports
// whether the RESP should wait for its answer. Who is not authorised yet has
// its request kept until then.
func (e *Endpoint) takeEarly(now time.Time, s *session, o opening, out *Actions) bool {
	if !o.early {
		return false
	}
	if s.who == nil {
		s.half.request = &o
		return false
	}
	key := requestKey{peer: o.id, number: o.number}
	if e.pending[key] != nil || e.ledger.find(key) != nil {
		return false // known already; it will be asked for again in the session
	}
	room := respPayload - e.credentialRoom() - 1 - addrSize(s.addr)
	return e.take(now, &incoming{
		key: key, from: s.addr, session: s, idempotent: true, early: true,
		max: min(room, transport.MaxAnswer), arrived: now,
	}, o.request, out)
}

// respond completes the handshake of a half-open session with a RESP.
func (e *Endpoint) respond(now time.Time, s *session, answer []byte, answered bool, out *Actions) {
	h := s.half
	payload := e.reply(reply{answered: answered, wantChain: h.wantChain, observed: s.addr, answer: answer})
	packet := appendRespHead(make([]byte, 0, maxPacket), s.remote, s.local)
	packet, keys, err := h.pattern.write(packet, payload)
	if err != nil {
		e.counts[droppedHandshake]++
		e.drop(now, s)
		return
	}
	h.pattern, h.resp = nil, packet
	s.setKeys(keys)
	out.sendCopy(s.addr, packet)
}

// reply is the payload of a RESP with the certificate inline if it fits.
func (e *Endpoint) reply(r reply) []byte {
	for _, r.credential = range e.credentials() {
		if payload, fits := appendReply(nil, r); fits {
			return payload
		}
	}
	panic("BUG: an answer of Request.MaxAnswer bytes does not fit")
}

// confirm is the first packet of the initiator: it has the RESP, so the address
// it was sent to is proven.
func (e *Endpoint) confirm(now time.Time, s *session, out *Actions) {
	h := s.half
	s.half = nil
	if s.who != nil {
		e.authorised(now, s, out)
	} else {
		s.fetch.askAt = now.Add(fetchRetry) // the initiator sends it unasked
		s.opening = h.request
		e.reschedule(s)
	}
	if h.late != nil {
		e.sendAnswer(now, s, s.addr, 0, h.late.number, h.late.data, out)
	}
}

// authorised goes on with a session whose peer is believed now.
func (e *Endpoint) authorised(now time.Time, s *session, out *Actions) {
	e.adopt(now, s, out)
	if o := s.opening; o != nil {
		s.opening = nil
		e.receiveRequest(now, s, s.addr, frame{number: o.number, idempotent: true, data: o.request}, out)
	}
}

// reject ends a session whose peer is not believed. The calls that waited for
// it end with err, unless the peer has another session.
func (e *Endpoint) reject(now time.Time, s *session, reason, err error, out *Actions) {
	p := s.peer
	e.refuse(Refusal{Addr: s.addr, ID: p.id, Err: reason}, out)
	e.sendFrame(s, frame{kind: frameClose}, out)
	awaited := p.pending == s
	calls := slices.Clone(p.calls)
	e.drop(now, s)
	if !awaited || p.current != nil {
		return
	}
	for _, c := range calls {
		e.finish(c, Result{Err: err}, out)
	}
}

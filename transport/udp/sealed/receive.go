package sealed

import (
	"errors"
	"net/netip"
	"time"
)

// Receive takes a packet for which IsOurs is true. The packet is not kept and
// may be anything: what is malformed, forged or repeated is dropped and
// counted.
func (e *Endpoint) Receive(now time.Time, from netip.AddrPort, packet []byte, out *Actions) {
	from = unmap(from)
	if e.closed || len(packet) == 0 || !from.IsValid() {
		return
	}
	switch packet[0] {
	case typeData:
		e.receiveData(now, from, packet, out)
	case typeInit:
		e.receiveInit(now, from, packet, out)
	case typeResp:
		e.receiveResp(now, from, packet, out)
	case typeHello:
		e.receiveHello(now, from, packet, out)
	case typeHelloAnswer:
		e.receiveHelloAnswer(now, from, packet, out)
	case typeCookie:
		e.receiveCookie(now, from, packet, out)
	default:
		e.counts[droppedType]++
	}
}

// dropped counts a packet that could not be decoded.
func (e *Endpoint) dropped(err error) {
	if errors.Is(err, errVersion) {
		e.counts[droppedVersion]++
		return
	}
	e.counts[droppedMalformed]++
}

// receiveData takes a packet of a session.
func (e *Endpoint) receiveData(now time.Time, from netip.AddrPort, packet []byte, out *Actions) {
	p, err := decodeData(packet)
	if err != nil {
		e.dropped(err)
		return
	}
	s := e.sessions[p.receiver]
	switch {
	case s == nil || s.opener == nil:
		e.counts[droppedNoSession]++
		return
	case !s.window.fresh(p.counter):
		e.counts[droppedReplay]++
		return
	case !now.Before(s.ends()):
		e.counts[droppedExpired]++
		e.drop(now, s)
		return
	}
	plain, err := e.open(s, p, packet)
	if err != nil {
		e.counts[droppedForged]++
		return
	}
	newest := p.counter >= s.window.next
	s.window.mark(p.counter)
	s.seen = now
	f, err := decodeFrame(plain)
	if err != nil {
		e.dropped(err)
		return
	}
	e.receiveFrame(now, s, from, f, newest, len(packet), out)
}

// receiveFrame takes an authentic frame of size bytes of packet.
func (e *Endpoint) receiveFrame(now time.Time, s *session, from netip.AddrPort, f frame, newest bool, size int, out *Actions) {
	if s.half != nil {
		e.confirm(now, s, out)
	}
	e.live.MoveToFront(s.place)
	if from != s.addr && newest {
		e.noticeAddr(now, s, from, size, out)
	}
	switch f.kind {
	case frameConfirm:
	case frameChainGet:
		e.serve(s, f.parts, out)
	case frameChainPart:
		e.receivePart(now, s, f, out)
	case frameClose:
		e.drop(now, s)
	default:
		e.receiveTraffic(now, s, from, f, out)
	}
}

// receiveTraffic takes what only an authorised peer may send.
func (e *Endpoint) receiveTraffic(now time.Time, s *session, from netip.AddrPort, f frame, out *Actions) {
	if s.who == nil {
		e.counts[droppedUncertified]++
		return
	}
	switch f.kind {
	case frameRequest:
		e.receiveRequest(now, s, from, f, out)
	case frameAnswer:
		e.receiveAnswer(now, s, f, out)
	case frameWorking:
		// That s was seen is all it says.
	case frameChallenge:
		e.sendFrame(s, frame{kind: frameEcho, token: f.token}, out)
	case frameEcho:
		e.receiveEcho(s, from, f)
	}
}

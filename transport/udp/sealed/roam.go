package sealed

import (
	"net/netip"
	"time"
)

// Peers whose address changes: spec 3.8.

const (
	// challengeRetry is how often a new address is challenged.
	challengeRetry = 250 * time.Millisecond
	// candidateLife keeps packets from many addresses from replacing one that
	// is being proven.
	candidateLife = time.Second

	challengeSize = dataHead + 1 + 8 + tagSize
)

// roaming is the one address that a session may move to. The zero value is
// none.
type roaming struct {
	addr   netip.AddrPort
	token  [8]byte
	credit int // bytes received from addr less bytes sent to it
	since  time.Time
	asked  time.Time
}

// spend reports whether size bytes may go to an unproven address, and books
// them.
func (r *roaming) spend(to netip.AddrPort, size int) bool {
	if r.addr != to || r.credit < size {
		return false
	}
	r.credit -= size
	return true
}

// noticeAddr takes note that an authentic packet, the newest of its session,
// came from another address than the proven one.
func (e *Endpoint) noticeAddr(now time.Time, s *session, from netip.AddrPort, size int, out *Actions) {
	r := &s.roam
	if r.addr != from {
		if r.addr.IsValid() && now.Sub(r.since) < candidateLife {
			return
		}
		*r = roaming{addr: from, since: now}
		e.random(r.token[:])
	}
	r.credit += size
	if (r.asked.IsZero() || now.Sub(r.asked) >= challengeRetry) && r.spend(from, challengeSize) {
		r.asked = now
		e.sendFrameTo(s, from, frame{kind: frameChallenge, token: r.token}, out)
	}
}

// receiveEcho moves the session if the echo proves the new address.
func (e *Endpoint) receiveEcho(s *session, from netip.AddrPort, f frame) {
	if s.roam.addr != from || s.roam.token != f.token {
		e.counts[droppedUnexpected]++
		return
	}
	s.addr = from
	s.roam = roaming{}
	e.counts[sessionsMoved]++
}

package sealed

import (
	"slices"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// Which sessions there are, with whom, and which of them is sent on.

// peer is another node, as far as this package is concerned with it.
type peer struct {
	id         identity.ID
	key        [32]byte // X25519
	current    *session // for sending; nil if there is none
	pending    *session // we opened it, and wait for the peer's chain
	sessions   []*session
	handshakes []*handshake
	calls      []*call // sent on a session, or waiting for pending
	rtt        roundTrip
	executed   []uint64 // what ledger holds of this peer, the oldest first
}

// peerOf finds or makes the peer with an id whose X25519 key is known.
func (e *Endpoint) peerOf(id identity.ID, key [32]byte) *peer {
	p, ok := e.peers[id]
	if !ok {
		p = &peer{id: id, key: key}
		e.peers[id] = p
	}
	return p
}

// forget drops a peer with which nothing is going on.
func (e *Endpoint) forget(p *peer) {
	if len(p.sessions) == 0 && len(p.handshakes) == 0 && len(p.calls) == 0 {
		delete(e.peers, p.id)
	}
}

// add registers a session under its local index.
func (e *Endpoint) add(now time.Time, s *session) {
	p := s.peer
	e.sessions[s.local] = s
	p.sessions = append(p.sessions, s)
	s.place = e.halfOpen.PushFront(s)
	if e.halfOpen.Len() > maxHalfOpen {
		e.counts[halfOpenEvicted]++
		e.drop(now, e.halfOpen.Back().Value.(*session))
	}
	if len(p.sessions) > maxPeerSessions {
		e.drop(now, p.oldest())
	}
}

// oldest is the session to give up when a peer has too many: a half-open one if
// there is any, since anybody can make those by repeating an old INIT.
func (p *peer) oldest() *session {
	var oldest *session
	for _, s := range p.sessions[:len(p.sessions)-1] {
		if s == p.current || s == p.pending {
			continue
		}
		if oldest == nil || (s.half != nil && oldest.half == nil) {
			oldest = s
		}
	}
	return oldest
}

// enliven puts a session, confirmed and authorised, among those that count.
// Until then it takes no place of a better one.
func (e *Endpoint) enliven(now time.Time, s *session) {
	if s.live {
		return
	}
	e.halfOpen.Remove(s.place)
	s.place, s.live = e.live.PushFront(s), true
	e.counts[sessionsMade]++
	if e.live.Len() > e.cfg.MaxSessions {
		e.counts[sessionsEvicted]++
		e.drop(now, e.live.Back().Value.(*session))
	}
}

// adopt makes an authorised session the one to send on, unless it lost against
// another, and sends what waited for one.
func (e *Endpoint) adopt(now time.Time, s *session, out *Actions) {
	e.enliven(now, s)
	p := s.peer
	if p.pending == s {
		p.pending = nil
	}
	if p.prefers(e.cfg.Identity.ID(), s) {
		p.current = s
	}
	for _, old := range p.sessions {
		if old != p.current && old.half == nil && old.who != nil && old.retireAt.IsZero() {
			old.retireAt = now.Add(retiredLife)
			e.reschedule(old)
		}
	}
	e.reschedule(s)
	e.deliverEarly(s, out)
	if p.current.usable(now) {
		e.flush(now, p, out)
	}
}

// crossing is how near in time two handshakes of the same pair in opposite
// directions count as one attempt of both.
const crossing = 10 * time.Second

// prefers reports whether s shall replace the current session. Both ends must
// come to the same result, also if handshakes crossed: then the one wins that
// the lower id began.
func (p *peer) prefers(own identity.ID, s *session) bool {
	old := p.current
	if old == nil || old == s {
		return true
	}
	if old.initiator == s.initiator || s.made.Sub(old.made).Abs() > crossing {
		return !s.made.Before(old.made)
	}
	return s.initiator == (own.Compare(p.id) < 0)
}

// next is the newest session left to send on, or nil.
func (p *peer) next(now time.Time) *session {
	var best *session
	for _, s := range p.sessions {
		if s.usable(now) && (best == nil || best.made.Before(s.made)) {
			best = s
		}
	}
	return best
}

// drop ends a session at once. Calls that were sent on it find another way when
// they are repeated.
func (e *Endpoint) drop(now time.Time, s *session) {
	if s.live {
		e.live.Remove(s.place)
	} else {
		e.halfOpen.Remove(s.place)
	}
	e.endFetch(s)
	e.schedule.clear(s)
	delete(e.sessions, s.local)
	if e.inits[s.initMAC] == s {
		delete(e.inits, s.initMAC)
	}
	p := s.peer
	p.sessions = slices.DeleteFunc(p.sessions, func(x *session) bool { return x == s })
	if p.pending == s {
		p.pending = nil
	}
	if p.current == s {
		p.current = p.next(now)
	}
	e.forget(p)
}

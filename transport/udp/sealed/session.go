package sealed

import (
	"container/list"
	"crypto/cipher"
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/staex-mcc/mcc/identity"
)

// Lives of sessions (spec 3.4).
const (
	idleLife     = 15 * time.Minute
	sessionLife  = time.Hour
	retiredLife  = time.Minute
	halfOpenLife = time.Minute
	// The initiator renews first, so that handshakes rarely cross.
	rekeyInitiator = 50 * time.Minute
	rekeyResponder = 55 * time.Minute
	rekeyRetry     = 30 * time.Second

	// maxCounter is far below where ChaCha20-Poly1305 gets weak, and out of
	// reach.
	maxCounter = 1 << 60

	// maxPeerSessions bounds what one id can hold; the oldest gives way.
	maxPeerSessions = 4
	maxHalfOpen     = 1024
)

// session is one set of keys shared with a peer. It goes through these states:
// half open (responder only, until the first packet proves the address),
// confirmed, and authorised (who is set), which most reach at once.
type session struct {
	timer
	local, remote uint32
	peer          *peer
	who           *identity.Peer // nil until the peer's certificate is accepted
	initiator     bool
	addr          netip.AddrPort // proven, unless half open
	initMAC       mac            // of the INIT that the peer sent
	half          *halfOpen      // nil once confirmed
	sealer        cipher.AEAD    // nil until the RESP is made
	opener        cipher.AEAD
	counter       uint64 // of the next packet
	window        window
	made          time.Time // when the INIT was sent or came
	seen          time.Time // last packet that was authentic
	rekeyAt       time.Time
	retireAt      time.Time // zero while it may become or stay current
	fetch         *fetch    // the peer's chain, while it is on its way
	served        int       // parts of our chain sent
	opening       *opening  // the peer's request, waiting for its chain
	answer        *earlyAnswer
	roam          roaming
	live          bool // in Endpoint.live, else in Endpoint.halfOpen
	place         *list.Element
}

// setKeys gives the session its keys.
func (s *session) setKeys(k secrets) {
	out, in := k.toResponder, k.toInitiator
	if !s.initiator {
		out, in = in, out
	}
	s.sealer, s.opener = newAEAD(out), newAEAD(in)
}

func newAEAD(key [32]byte) cipher.AEAD {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic("BUG: " + err.Error()) // only a key of another length
	}
	return aead
}

// seal appends a DATA packet with one frame.
func (e *Endpoint) seal(dst []byte, s *session, f frame) []byte {
	start := len(dst)
	dst = appendDataHead(dst, s.remote, s.counter)
	e.setNonce(s.counter)
	s.counter++
	e.plain = appendFrame(e.plain[:0], f)
	return s.sealer.Seal(dst, e.nonce[:], e.plain, dst[start:start+dataHead])
}

// open decrypts a DATA packet into a buffer that is valid until the next one.
func (e *Endpoint) open(s *session, p dataPacket, packet []byte) ([]byte, error) {
	e.setNonce(p.counter)
	opened, err := s.opener.Open(e.opened[:0], e.nonce[:], p.sealed, packet[:dataHead])
	if err != nil {
		return nil, err
	}
	e.opened = opened
	return opened, nil
}

// setNonce writes Noise's nonce for ChaCha20-Poly1305: the counter, little
// endian, behind four zeros. It lives in the Endpoint to stay off the heap.
func (e *Endpoint) setNonce(counter uint64) { binary.LittleEndian.PutUint64(e.nonce[4:], counter) }

// sendFrame sends a frame to the session's proven address.
func (e *Endpoint) sendFrame(s *session, f frame, out *Actions) {
	e.sendFrameTo(s, s.addr, f, out)
}

func (e *Endpoint) sendFrameTo(s *session, to netip.AddrPort, f frame, out *Actions) {
	start := len(out.buf)
	out.buf = e.seal(out.buf, s, f)
	out.Sends = append(out.Sends, Send{To: to, Data: out.buf[start:len(out.buf):len(out.buf)]})
}

// ends is when the session is over whatever happens.
func (s *session) ends() time.Time {
	end := s.made.Add(sessionLife)
	if s.half != nil {
		end = s.made.Add(halfOpenLife)
	}
	if !s.retireAt.IsZero() && s.retireAt.Before(end) {
		end = s.retireAt
	}
	if s.who != nil && !s.who.NotAfter.IsZero() && s.who.NotAfter.Before(end) {
		end = s.who.NotAfter
	}
	return end
}

// usable reports whether calls may be sent on s.
func (s *session) usable(now time.Time) bool {
	return s != nil && s.who != nil && s.half == nil && now.Before(s.ends()) && s.counter < maxCounter
}

// silentSince reports whether nothing authentic came after t.
func (s *session) silentSince(t time.Time) bool { return !s.seen.After(t) }

// wake ends the session if it is time, or does what else is due.
func (s *session) wake(e *Endpoint, now time.Time, out *Actions) {
	idleEnd := s.seen.Add(idleLife)
	if !now.Before(s.ends()) || (s.half == nil && !now.Before(idleEnd)) {
		e.drop(now, s)
		return
	}
	if s.half != nil && s.sealer == nil {
		e.respond(now, s, nil, false, out)
	}
	if s.fetch != nil && s.half == nil && !e.pursue(now, s, out) {
		return
	}
	e.reschedule(s)
}

// reschedule sets the session's timer to the next thing it has to do.
func (e *Endpoint) reschedule(s *session) {
	if e.sessions[s.local] != s {
		return // dropped meanwhile
	}
	at := s.ends()
	if s.half == nil {
		if idle := s.seen.Add(idleLife); idle.Before(at) {
			at = idle
		}
	}
	if s.half != nil && s.sealer == nil && s.half.respondAt.Before(at) {
		at = s.half.respondAt
	}
	if s.fetch != nil && s.half == nil {
		if due := s.fetch.due(); due.Before(at) {
			at = due
		}
	}
	e.schedule.set(s, at)
}

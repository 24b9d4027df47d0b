// Package sealed is the state machine of MCC's calls: small requests and
// answers in encrypted datagrams (spec 3).
//
// An [Endpoint] has no goroutine, socket, clock or lock. It is given packets,
// calls and the time, and appends to an [Actions] what is to be sent and what
// has happened. Given the same inputs and the same randomness it does the same.
// Whoever drives it must
//
//   - call its methods from one goroutine at a time, with a now that never
//     goes back;
//   - carry out the Actions of each call before or after the next one, but in
//     order, and Reset them when done;
//   - call Tick when NextDeadline is reached.
//
// The first message to a peer is a Noise IK handshake that may carry a request,
// so a question to a stranger costs one round trip; what follows runs in the
// session that it made.
package sealed

import (
	"container/list"
	"crypto/ecdh"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// Config is what an Endpoint needs. Only Identity is required.
type Config struct {
	// Identity is the node's own key and certificate.
	Identity identity.Identity
	// Trust decides which peers exist; nil is an open mesh.
	Trust *identity.Trust
	// Label is what this node calls itself in an open mesh, at most 30 bytes of
	// a-z and 0-9; empty is the label of the certificate. Under a CA the
	// certificate alone says it.
	Label string
	// MaxSessions bounds the sessions kept; the one idle longest gives way.
	// Zero is 10,000.
	MaxSessions int
	// MaxCalls bounds this node's unanswered calls; more are ErrBusy. Zero is
	// 4,096.
	MaxCalls int
	// MaxRequests bounds the peers' requests that wait for Answer; more are
	// dropped and counted. Zero is 4,096.
	MaxRequests int
	// HandshakeRate is how many handshakes a second are taken from unproven
	// addresses before strangers are asked for a cookie. Zero is 250, about a
	// tenth of a core; the burst is twice the rate.
	HandshakeRate int
	// Rand makes choices that are no secrets (jitter). Nil is seeded at random.
	Rand *rand.Rand
}

// Conditions of this package beside those of package transport.
var (
	// ErrSelf: the call leads to this very node.
	ErrSelf = errors.New("the address is this node's own")
	// ErrBusy: too many calls are waiting already.
	ErrBusy = errors.New("too many calls are waiting")
)

// IsOurs reports whether a packet belongs to this protocol rather than to QUIC
// or STUN, by its first byte (spec 3).
func IsOurs(packet []byte) bool {
	return len(packet) > 0 && packet[0] >= firstType && packet[0] <= lastType
}

const (
	firstType = 0x04
	lastType  = 0x0F
)

// Endpoint is one node's end of all its sealed datagram sessions. It is not
// safe for concurrent use.
type Endpoint struct {
	cfg       Config
	key       [32]byte // own X25519 key
	mac1Key   [32]byte
	mine      ownCredential
	verifier  verifier
	admission admission
	schedule  schedule
	closed    bool

	// Peers and what is going on with them.
	peers      map[identity.ID]*peer
	sessions   map[uint32]*session // by local index
	halfOpen   list.List           // of *session not proven or not authorised, the newest first
	live       list.List           // of *session, the last used first
	fetching   int                 // sessions that hold a part of a chain
	inits      map[mac]*session    // by mac1 of the INIT that made them
	handshakes map[uint32]*handshake
	nonces     map[nonce]*handshake
	asking     map[netip.AddrPort]*handshake // whose peer is unknown

	// Calls of this node and requests of others.
	calls      map[CallID]*call
	lastCall   CallID
	pending    map[requestKey]*incoming
	waiting    list.List // of *incoming in pending, the oldest first
	lastTicket uint64
	ledger     ledger

	// Buffers: what is being sealed, what was opened last.
	nonce  [12]byte
	plain  []byte
	opened []byte
	counts [counterCount]uint64

	// Secrets: crypto/rand, or what a test puts here.
	random    func([]byte)
	ephemeral func() (*ecdh.PrivateKey, error)
}

// New makes an Endpoint. It sends nothing by itself.
func New(cfg Config) (*Endpoint, error) {
	if cfg.Identity == nil {
		return nil, errors.New("sealed: no identity")
	}
	key, err := cfg.Identity.ID().X25519()
	if err != nil {
		return nil, fmt.Errorf("sealed: own id: %w", err)
	}
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	e := &Endpoint{
		cfg: cfg, key: key, mac1Key: mac1Key(cfg.Identity.ID()), verifier: newVerifier(cfg.Trust),
		peers: make(map[identity.ID]*peer), sessions: make(map[uint32]*session),
		inits: make(map[mac]*session), handshakes: make(map[uint32]*handshake),
		nonces: make(map[nonce]*handshake), asking: make(map[netip.AddrPort]*handshake),
		calls: make(map[CallID]*call), pending: make(map[requestKey]*incoming),
		random: func(b []byte) { crand.Read(b) }, ephemeral: newEphemeral,
	}
	e.seed()
	return e, nil
}

// seed draws what is drawn once.
func (e *Endpoint) seed() {
	e.admission = newAdmission(e.cfg.HandshakeRate, e.random)
	// Peers keep the numbers of requests that change something for a while: a
	// restarted node must not use them again.
	var start [8]byte
	e.random(start[:])
	e.lastCall = CallID(binary.BigEndian.Uint64(start[:]))
}

// complete sets the defaults and checks the rest.
func (c *Config) complete() error {
	if c.Label == "" {
		c.Label = c.Identity.Certificate().Label()
	}
	if !isLabel([]byte(c.Label)) {
		return fmt.Errorf("sealed: label %q is not at most %d of a-z and 0-9", c.Label, identity.MaxLabel)
	}
	for _, limit := range []struct {
		value  *int
		byZero int
	}{{&c.MaxSessions, 10_000}, {&c.MaxCalls, 4096}, {&c.MaxRequests, 4096}, {&c.HandshakeRate, 250}} {
		if *limit.value < 0 {
			return errors.New("sealed: negative limit")
		}
		if *limit.value == 0 {
			*limit.value = limit.byZero
		}
	}
	if c.Rand == nil {
		c.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	return nil
}

// Tick does what is due at now.
func (e *Endpoint) Tick(now time.Time, out *Actions) {
	for {
		s := e.schedule.due(now)
		if s == nil {
			return
		}
		s.wake(e, now, out)
	}
}

// NextDeadline is when Tick wants to be called next; the zero time is never. It
// may change with every method that takes Actions, and with Cancel.
func (e *Endpoint) NextDeadline() time.Time { return e.schedule.next() }

// Peers lists the peers with a live session, in no order. Path is left empty:
// the caller knows how its packets travel. The slice belongs to the caller.
func (e *Endpoint) Peers() []transport.PeerState {
	var list []transport.PeerState
	for _, p := range e.peers {
		if s := p.current; s != nil {
			list = append(list, transport.PeerState{Peer: s.who, Addr: s.addr, RTT: p.rtt.smooth, LastSeen: s.seen})
		}
	}
	return list
}

// maxFarewells bounds the packets of Close.
const maxFarewells = 256

// Close ends all calls with transport.ErrClosed and tells the peers heard of
// last that their sessions are gone. Afterwards the Endpoint does nothing more;
// further calls of Close have no effect.
func (e *Endpoint) Close(now time.Time, out *Actions) {
	if e.closed {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(e.calls)) {
		e.finish(e.calls[id], Result{Err: transport.ErrClosed}, out)
	}
	left := maxFarewells
	for place := e.live.Front(); place != nil && left > 0; place = place.Next() {
		if s := place.Value.(*session); now.Before(s.ends()) {
			e.sendFrame(s, frame{kind: frameClose}, out)
			left--
		}
	}
	counts := e.counts
	*e = Endpoint{cfg: e.cfg, closed: true, counts: counts}
}

// jitter spreads a waiting time by a tenth either way, so that those who
// started together do not repeat together.
func (e *Endpoint) jitter(d time.Duration) time.Duration {
	return d - d/10 + time.Duration(e.cfg.Rand.Int64N(int64(d/5)+1))
}

// freeIndex draws an index that names nothing yet. Zero is never used.
func (e *Endpoint) freeIndex() uint32 {
	for {
		var b [4]byte
		e.random(b[:])
		index := binary.BigEndian.Uint32(b[:])
		if index != 0 && e.sessions[index] == nil && e.handshakes[index] == nil {
			return index
		}
	}
}

// unmap makes an IPv4 address look the same whichever socket it came from.
func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

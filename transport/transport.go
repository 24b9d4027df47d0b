// Package transport is the contract for talking to another node.
//
// A Transport carries two things between authenticated nodes: calls, one small
// request and one small answer in datagrams, for the DHT and everything that
// must not cost a connection; and streams, reliable byte channels that are
// net.Conns, for users' data. Every call and every stream names the verified
// peer at its other end.
//
// transport/udp is the default; over a socket of transport/simnet it runs in
// virtual time. An implementation proves itself with transport/transporttest.
package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/identity"
)

// Sizes in bytes.
const (
	// MaxRequest is the longest request of a call.
	MaxRequest = 1100
	// MaxEarlyRequest is the longest request that can ride the first message
	// to a stranger; a longer one waits for the session.
	MaxEarlyRequest = 512
	// MaxAnswer is the longest answer inside a session. An answer to a
	// stranger may have to be shorter: see IncomingCall.MaxAnswer.
	MaxAnswer = 1100
	// MaxProtocol is the longest protocol name of a stream.
	MaxProtocol = 255
	// MaxPayload is the longest payload of a stream's opening header.
	MaxPayload = 4096
)

// Transport carries calls and streams. New ones come from a [Factory].
//
// All methods are safe for concurrent use. Those with a context block until
// they are done, ctx ends (its error is returned, wrapped) or the transport
// closes (ErrClosed). Each bounds its own work too, so a context without
// deadline does not wait for ever.
type Transport interface {
	// Call sends req to the peer and returns its answer. A Contact without ID
	// asks whoever answers at the address; the answer names it. Lost requests
	// are sent again, so an Idempotent one may be executed twice.
	Call(ctx context.Context, to Contact, req Request) (Answer, error)
	// AcceptCall returns the next request of a peer. Callers should be quick:
	// past a bounded queue new requests are dropped and counted.
	AcceptCall(ctx context.Context) (IncomingCall, error)
	// Dial opens a stream and waits until the peer accepts it. A *RefusedError
	// tells that the peer did not. A Contact without ID is ErrNoID.
	Dial(ctx context.Context, to Contact, open Open) (Stream, error)
	// Accept returns the next stream a peer wants to open. Past a bounded
	// queue offers are refused as busy and counted.
	Accept(ctx context.Context) (Offer, error)
	// Local is the node's own id and the address it listens on, which may have
	// an unspecified IP.
	Local() Contact
	// Close ends every stream and call at once, waits for all goroutines, and
	// is idempotent. At the peers a stream that was open fails: they must not
	// take it for complete, so they do not read io.EOF.
	Close() error
}

// Factory makes the transport of one node; the node owns and closes it.
type Factory func(Config) (Transport, error)

// Config is what a node gives its transport.
type Config struct {
	// Identity is the node's own; required.
	Identity identity.Identity
	// Trust decides which peers exist; nil is an open mesh.
	Trust *identity.Trust
	// Logger gets state changes; nil is silent.
	Logger *zap.Logger
}

// Contact is where a node was last known. The zero ID is an unknown node.
type Contact struct {
	ID   identity.ID
	Addr netip.AddrPort
}

func (c Contact) String() string {
	if c.ID.IsZero() {
		return c.Addr.String()
	}
	return c.ID.String() + "@" + c.Addr.String()
}

// Request is one question to a peer.
type Request struct {
	// Data is the message, at most MaxRequest bytes. Call does not keep it.
	Data []byte
	// Idempotent says that the request changes nothing, so it may ride the
	// first message to a peer before the caller's address is proven.
	Idempotent bool
}

// Answer is what came back from a call.
type Answer struct {
	// Peer is the verified sender.
	Peer *identity.Peer
	// Data is the message; it belongs to the caller.
	Data []byte
	// Observed is the address the peer saw this node's request come from.
	Observed netip.AddrPort
	// RTT is the time from the sending that was answered; of the handshake if
	// there was one.
	RTT time.Duration
}

// IncomingCall is a request that waits for an answer.
type IncomingCall interface {
	// Peer is the verified sender.
	Peer() *identity.Peer
	// From is the address the request came from.
	From() netip.AddrPort
	// Data is the message. It is valid until Answer.
	Data() []byte
	// Early reports that the request rode a first message: the address is not
	// proven and the message may be a replay, so it must change nothing.
	Early() bool
	// MaxAnswer is the longest answer that can be sent back.
	MaxAnswer() int
	// Answer sends data back and ends the call; only the first Answer counts.
	// One over MaxAnswer is ErrTooLong and leaves the call open. Answer does
	// not block and does not keep data. A call that is not answered simply
	// runs into the caller's timeout.
	Answer(data []byte) error
}

// Open is the header of a new stream.
type Open struct {
	// Protocol says what the stream is for, 1 to MaxProtocol bytes.
	Protocol string
	// Payload travels with the header, at most MaxPayload bytes.
	Payload []byte
	// Admit, if set, is asked about the verified peer before anything is sent to
	// it; its error ends the Dial and is wrapped there. It must not block. The
	// acceptor knows nothing of it.
	Admit func(*identity.Peer) error
}

// Stream is a reliable, encrypted byte channel to a verified peer. It is a
// net.Conn in every respect (deadlines, concurrent use); its addresses are
// [Addr]s. Close ends both directions after what was written is delivered.
type Stream interface {
	net.Conn
	// CloseWrite ends the sending direction: the peer reads EOF after the last
	// byte and may go on sending.
	CloseWrite() error
	// Reset ends both directions at once, dropping what is on its way; the
	// peer's reads and writes fail with ErrReset.
	Reset()
	// Peer is the verified other end.
	Peer() *identity.Peer
}

// Offer is a stream that a peer wants to open. Exactly one of Accept and Refuse
// must be called; an offer left alone times out as busy.
type Offer interface {
	// Peer is the verified other end.
	Peer() *identity.Peer
	// From is the peer's address.
	From() netip.AddrPort
	// Open is the header; its Payload belongs to the caller.
	Open() Open
	// Accept answers yes and returns the stream.
	Accept() (Stream, error)
	// Refuse answers no. Text over 200 bytes is cut.
	Refuse(reason Reason, text string) error
}

// Addr is a stream's net.Addr: a node at an address.
type Addr Contact

// Network is "mcc".
func (Addr) Network() string { return "mcc" }

func (a Addr) String() string { return Contact(a).String() }

// Reason is why a stream was refused.
type Reason uint8

// Reasons of a refusal; they stand in the wire protocol, spec 4.4.
const (
	// ReasonNotFound: nobody serves the protocol here.
	ReasonNotFound Reason = 1
	// ReasonDenied: the peer may not; the text names the missing permission.
	ReasonDenied Reason = 2
	// ReasonBusy: a limit is reached; another provider may do.
	ReasonBusy Reason = 3
	// ReasonUnavailable: what stands behind the protocol cannot be reached.
	ReasonUnavailable Reason = 4
)

func (r Reason) String() string {
	switch r {
	case ReasonNotFound:
		return "not found"
	case ReasonDenied:
		return "denied"
	case ReasonBusy:
		return "busy"
	case ReasonUnavailable:
		return "unavailable"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// RefusedError is a peer's no to a stream.
type RefusedError struct {
	Reason Reason
	// Text is the peer's own words: at most 200 bytes, to be quoted.
	Text string
}

func (e *RefusedError) Error() string {
	if e.Text == "" {
		return "refused: " + e.Reason.String()
	}
	return fmt.Sprintf("refused: %s: %q", e.Reason, e.Text)
}

// PeerState describes a peer with which a live session exists.
type PeerState struct {
	Peer *identity.Peer
	Addr netip.AddrPort
	// Path is how traffic flows: "tcp", "quic", "punched" or "relayed".
	Path string
	// RTT is the smoothed round trip, zero if none was measured yet.
	RTT time.Duration
	// LastSeen is when the peer last proved to be alive.
	LastSeen time.Time
}

// PeerLister is an optional ability of a Transport: the peers it has sessions
// with, in no order. The slice belongs to the caller.
type PeerLister interface{ Peers() []PeerState }

// Counter is one named count of a transport since its start.
type Counter struct {
	// Name is snake_case, such as "calls_dropped".
	Name  string
	Value uint64
}

// Counters is an optional ability of a Transport: what it counted, always the
// same names in the same order.
type Counters interface{ Counters() []Counter }

// Conditions of every transport, for errors.Is.
var (
	// ErrClosed: the transport has been closed.
	ErrClosed = errors.New("transport is closed")
	// ErrNoAnswer: the peer did not answer in time. It may be down or
	// unreachable, or one of the two does not trust the other's certificate.
	ErrNoAnswer = errors.New("no answer")
	// ErrPeerMismatch: somebody else than the contact's ID answered.
	ErrPeerMismatch = errors.New("another node answered")
	// ErrUntrusted: the peer's certificate is not accepted here.
	ErrUntrusted = errors.New("peer is not trusted")
	// ErrNoID: a stream needs the ID of its peer.
	ErrNoID = errors.New("contact has no id")
	// ErrTooLong: a message, protocol or payload is over its limit.
	ErrTooLong = errors.New("message is too long")
	// ErrReset: the peer ended the stream at once.
	ErrReset = errors.New("stream was reset by the peer")
	// ErrPathLost: the peer stopped answering in the middle of a stream.
	ErrPathLost = errors.New("path to the peer was lost")
)

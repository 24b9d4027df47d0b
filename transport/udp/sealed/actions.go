package sealed

import (
	"net/netip"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// Actions is what an Endpoint wants done, in order. The caller owns it: it
// passes one to every method, carries out what was appended, and calls Reset
// before using it again. The zero value is ready.
type Actions struct {
	// Sends are packets for the socket.
	Sends []Send
	// Results are calls of this node that have ended.
	Results []Result
	// Requests are calls of other nodes that wait for Answer.
	Requests []Request
	// Refused are peers that got no session because of their certificate.
	Refused []Refusal

	buf []byte // what Sends.Data point into
}

// Reset empties a for its next use. The packets handed out in Sends are
// overwritten by it; everything else that was handed out stays valid.
func (a *Actions) Reset() {
	clear(a.Results)
	clear(a.Requests)
	clear(a.Refused)
	a.Sends, a.Results, a.Requests, a.Refused = a.Sends[:0], a.Results[:0], a.Requests[:0], a.Refused[:0]
	a.buf = a.buf[:0]
}

// Send is one packet to put on the wire. A failure to send is the same as loss.
type Send struct {
	To netip.AddrPort
	// Data is at most 1200 bytes, valid until the Actions are Reset.
	Data []byte
}

// CallID names a call of this node from Call until its Result.
type CallID uint64

// Result is the end of a call.
type Result struct {
	ID CallID
	// Answer is set if Err is nil. Its Data belongs to the receiver.
	Answer transport.Answer
	// Err is ErrNoAnswer, ErrUntrusted, ErrPeerMismatch or ErrClosed of package
	// transport, ErrSelf or ErrBusy, or says why the own key could not be used.
	Err error
}

// Request is a call of a peer.
type Request struct {
	// Ticket goes to Answer or Decline, once.
	Ticket Ticket
	// Peer is the verified sender.
	Peer *identity.Peer
	// From is the address it came from.
	From netip.AddrPort
	// Data belongs to the receiver.
	Data []byte
	// Early reports that the request rode a first message: the address is not
	// proven and the message may be a replay, so it must change nothing.
	Early bool
	// MaxAnswer is the longest answer that Answer takes, in bytes.
	MaxAnswer int
}

// Ticket is the right to answer one request. It lapses 10 s after the request
// came.
type Ticket struct {
	key    requestKey
	serial uint64
}

// requestKey names a request for as long as its sender may repeat it. The
// number is chosen by the peer, so it means something only beside its id.
type requestKey struct {
	peer   identity.ID
	number uint64
}

// Refusal is a peer whose certificate was not accepted. The caller should limit
// the rate at which it logs these: the other side decides how often it tries.
type Refusal struct {
	Addr netip.AddrPort
	// ID is proven: the peer holds its private key.
	ID  identity.ID
	Err error
}

// send appends a packet that build writes behind what it is given.
func (a *Actions) send(to netip.AddrPort, build func(dst []byte) []byte) {
	start := len(a.buf)
	a.buf = build(a.buf)
	a.Sends = append(a.Sends, Send{To: to, Data: a.buf[start:len(a.buf):len(a.buf)]})
}

// sendCopy appends a packet that is complete already.
func (a *Actions) sendCopy(to netip.AddrPort, packet []byte) {
	start := len(a.buf)
	a.buf = append(a.buf, packet...)
	a.Sends = append(a.Sends, Send{To: to, Data: a.buf[start:len(a.buf):len(a.buf)]})
}

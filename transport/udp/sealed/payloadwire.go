package sealed

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/crypto/cryptobyte"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// What is inside the Noise messages: spec 3.3.

// credentialKind says how a node shows who certified it.
type credentialKind byte

const (
	// credentialLabel is for an open mesh: a name that nobody certified.
	credentialLabel credentialKind = 0
	// credentialChain is the certificate itself, with its chain.
	credentialChain credentialKind = 1
	// credentialHash names a chain that does not fit, to be fetched.
	credentialHash credentialKind = 2
)

// credential is a node's claim, to be checked against the id that the handshake
// proved.
//
//	0  kind  1
//	label:  1 length n (0 … 30) · n bytes a-z 0-9
//	chain:  1 kind · 2 length n (1 … 16384) · n bytes DER, leaf first
//	hash:   1 kind · 32 SHA-256 of the chain · 2 its length (1 … 16384)
type credential struct {
	kind  credentialKind
	label string
	chain []byte
	hash  [32]byte
	size  int // of the chain that hash names
}

const hashCredentialSize = 1 + 32 + 2

func appendCredential(dst []byte, c credential) []byte {
	dst = append(dst, byte(c.kind))
	switch c.kind {
	case credentialLabel:
		dst = append(append(dst, byte(len(c.label))), c.label...)
	case credentialChain:
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(c.chain)))
		dst = append(dst, c.chain...)
	case credentialHash:
		dst = append(dst, c.hash[:]...)
		dst = binary.BigEndian.AppendUint16(dst, uint16(c.size))
	}
	return dst
}

func readCredential(s *cryptobyte.String) (c credential, ok bool) {
	var kind uint8
	if !s.ReadUint8(&kind) {
		return c, false
	}
	c.kind = credentialKind(kind)
	var part cryptobyte.String
	switch c.kind {
	case credentialLabel:
		ok = s.ReadUint8LengthPrefixed(&part) && isLabel(part)
		c.label = string(part)
	case credentialChain:
		ok = s.ReadUint16LengthPrefixed(&part) && isChainSize(len(part))
		c.chain = part
	case credentialHash:
		var size uint16
		ok = s.CopyBytes(c.hash[:]) && s.ReadUint16(&size) && isChainSize(int(size))
		c.size = int(size)
	}
	return c, ok
}

func isLabel(b []byte) bool {
	for _, x := range b {
		if (x < 'a' || x > 'z') && (x < '0' || x > '9') {
			return false
		}
	}
	return len(b) <= identity.MaxLabel
}

func isChainSize(n int) bool { return n > 0 && n <= identity.MaxChainBytes }

// opening is the payload of an INIT, filled with zeros to initPayload bytes.
//
//	 0  id       32  initiator's Ed25519 public key
//	32  credential
//	 …  early     1  1 if a request follows, else 0
//	 …  number    8  of the request
//	 …  length    2  (0 … 512)
//	 …  request
//	 …  zero
type opening struct {
	id         identity.ID
	credential credential
	early      bool
	number     uint64
	request    []byte
}

// appendOpening reports false if the opening is too long; dst is then garbage.
func appendOpening(dst []byte, o opening) ([]byte, bool) {
	start := len(dst)
	dst = appendCredential(append(dst, o.id[:]...), o.credential)
	if !o.early {
		dst = append(dst, 0)
	} else {
		dst = binary.BigEndian.AppendUint64(append(dst, 1), o.number)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(o.request)))
		dst = append(dst, o.request...)
	}
	fill := initPayload - (len(dst) - start)
	if fill < 0 || len(o.request) > transport.MaxEarlyRequest {
		return dst, false
	}
	return append(dst, make([]byte, fill)...), true
}

func decodeOpening(b []byte) (o opening, err error) {
	s := cryptobyte.String(b)
	var early uint8
	if len(b) != initPayload || !s.CopyBytes(o.id[:]) {
		return o, errMalformed
	}
	var ok bool
	if o.credential, ok = readCredential(&s); !ok || !s.ReadUint8(&early) || early > 1 {
		return o, errMalformed
	}
	if o.early = early == 1; o.early {
		var request cryptobyte.String
		if !s.ReadUint64(&o.number) || !s.ReadUint16LengthPrefixed(&request) || len(request) > transport.MaxEarlyRequest {
			return o, errMalformed
		}
		o.request = request
	}
	if !allZero(s) {
		return o, errMalformed
	}
	return o, nil
}

// reply is the payload of a RESP.
//
//	0  credential
//	…  flags     1  bit 0: an answer follows; bit 1: send your chain; else 0
//	…  observed  where the INIT came from
//	…  answer    the rest, at most 1100 bytes
type reply struct {
	credential credential
	answered   bool
	wantChain  bool
	observed   netip.AddrPort
	answer     []byte
}

const (
	flagAnswered  = 1
	flagWantChain = 2
)

// appendReply reports false if the reply is too long; dst is then garbage.
func appendReply(dst []byte, r reply) ([]byte, bool) {
	start := len(dst)
	var flags byte
	if r.answered {
		flags |= flagAnswered
	}
	if r.wantChain {
		flags |= flagWantChain
	}
	dst = append(appendCredential(dst, r.credential), flags)
	dst = append(appendAddr(dst, r.observed), r.answer...)
	return dst, len(dst)-start <= respPayload && len(r.answer) <= transport.MaxAnswer
}

func decodeReply(b []byte) (r reply, err error) {
	s := cryptobyte.String(b)
	var flags uint8
	var ok bool
	if r.credential, ok = readCredential(&s); !ok || !s.ReadUint8(&flags) || flags > flagAnswered|flagWantChain {
		return r, errMalformed
	}
	r.answered, r.wantChain = flags&flagAnswered != 0, flags&flagWantChain != 0
	if r.observed, ok = readAddr(&s); !ok {
		return r, errMalformed
	}
	if len(s) > transport.MaxAnswer || (len(s) > 0 && !r.answered) {
		return r, errMalformed
	}
	r.answer = s
	return r, nil
}

// Addresses.
//
//	0  family  1  4 or 6
//	1  IP      4 or 16; an IPv4-mapped IPv6 address is malformed
//	…  port    2
func appendAddr(dst []byte, a netip.AddrPort) []byte {
	if a.Addr().Is4() {
		ip := a.Addr().As4()
		dst = append(append(dst, 4), ip[:]...)
	} else {
		ip := a.Addr().As16()
		dst = append(append(dst, 6), ip[:]...)
	}
	return binary.BigEndian.AppendUint16(dst, a.Port())
}

// addrSize is what appendAddr appends.
func addrSize(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return 1 + 4 + 2
	}
	return 1 + 16 + 2
}

func readAddr(s *cryptobyte.String) (netip.AddrPort, bool) {
	var family uint8
	var port uint16
	var ip netip.Addr
	if !s.ReadUint8(&family) {
		return netip.AddrPort{}, false
	}
	switch family {
	case 4:
		var b [4]byte
		if !s.CopyBytes(b[:]) {
			return netip.AddrPort{}, false
		}
		ip = netip.AddrFrom4(b)
	case 6:
		var b [16]byte
		if !s.CopyBytes(b[:]) {
			return netip.AddrPort{}, false
		}
		ip = netip.AddrFrom16(b)
	}
	if !ip.IsValid() || ip.Is4In6() || !s.ReadUint16(&port) {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip, port), true
}

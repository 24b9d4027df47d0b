package dht

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// reader takes fields off the front of b. The first field that is not there
// makes it fail, and all later ones are zero.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || n < 0 || n > len(r.b) {
		r.failed = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// clone is take for fields that outlive the datagram. An empty one is nil.
func (r *reader) clone(n int) []byte {
	b := r.take(n)
	if len(b) == 0 {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

func (r *reader) uint8() uint8 {
	b := r.take(1)
	if r.failed {
		return 0
	}
	return b[0]
}

func (r *reader) uint16() uint16 {
	b := r.take(2)
	if r.failed {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

func (r *reader) uint32() uint32 {
	b := r.take(4)
	if r.failed {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func (r *reader) uint64() uint64 {
	b := r.take(8)
	if r.failed {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func (r *reader) id() (id [32]byte) {
	copy(id[:], r.take(len(id)))
	return id
}

// unix reads a time in whole seconds; zero is the zero Time.
func (r *reader) unix() time.Time {
	s := r.uint64()
	if s == 0 {
		return time.Time{}
	}
	if s >= maxUnix {
		r.failed = true
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// end reports whether every field was there and nothing is left.
func (r *reader) end(what string) error {
	if r.failed {
		return fmt.Errorf("%s: %w: truncated or out of range", what, ErrMalformed)
	}
	if len(r.b) > 0 {
		return fmt.Errorf("%s: %w: %d bytes too many", what, ErrMalformed, len(r.b))
	}
	return nil
}

// A contact is a node's id and its address. An address has a family, 4 or 6, or
// is the single byte 0 where none is known (leases only):
//
//	 0    32       33       37/49
//	+----+--------+--------+------+
//	| id | family | ip     | port |
//	| 32 | 1      | 4 / 16 | 2    |
//	+----+--------+--------+------+
func appendContact(dst []byte, c Contact) []byte {
	return appendAddr(append(dst, c.ID[:]...), c.Addr)
}

func contactSize(c Contact) int { return len(c.ID) + addrSize(c.Addr) }

func appendAddr(dst []byte, a netip.AddrPort) []byte {
	switch {
	case !a.IsValid():
		return append(dst, 0)
	case a.Addr().Is4():
		dst = append(dst, 4)
	default:
		dst = append(dst, 6)
	}
	dst = append(dst, a.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(dst, a.Port())
}

func addrSize(a netip.AddrPort) int {
	switch {
	case !a.IsValid():
		return 1
	case a.Addr().Is4():
		return 7
	}
	return 19
}

// addr reads an address; the single byte 0 is the zero AddrPort.
func (r *reader) addr() netip.AddrPort {
	var ip netip.Addr
	switch r.uint8() {
	case 0:
		return netip.AddrPort{}
	case 4:
		ip, _ = netip.AddrFromSlice(r.take(4))
	case 6:
		ip, _ = netip.AddrFromSlice(r.take(16))
	}
	a := netip.AddrPortFrom(ip, r.uint16())
	if !r.failed && !sendable(a) {
		r.failed = true
	}
	if r.failed {
		return netip.AddrPort{}
	}
	return a
}

// sendable reports whether a can be told to others: one host, a port, and
// nothing that only this machine understands, such as a zone.
func sendable(a netip.AddrPort) bool {
	ip := a.Addr()
	return a.IsValid() && a.Port() != 0 && !ip.Is4In6() && ip.Zone() == "" &&
		!ip.IsUnspecified() && !ip.IsMulticast() && !reserved.Contains(ip)
}

// reserved is what no host has: class E with the limited broadcast address
// (RFC 1112 section 4, RFC 919).
var reserved = netip.MustParsePrefix("240.0.0.0/4")

// plainAddr is a with an IPv4 address in IPv6 clothes undressed.
func plainAddr(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

package dht

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/staex-mcc/mcc/identity"
)

// WireVersion is the version of the DHT's messages; others are refused.
const WireVersion = 1

// Kind is what a query asks for; its answer has the same kind with the top bit
// set on the wire (spec 6.1).
type Kind uint8

// Kinds of queries.
const (
	// KindPing asks for a sign of life.
	KindPing Kind = 1
	// KindFind asks for what is known near or under a key.
	KindFind Kind = 2
	// KindPutRecord asks to keep a record.
	KindPutRecord Kind = 3
	// KindPutLease asks to keep a lease or to withdraw one.
	KindPutLease Kind = 4
)

// answerBit marks an answer among the kinds.
const answerBit = 0x80

// Wants says what a find query is after; several may be combined.
type Wants uint8

// Things to find.
const (
	// WantContacts asks for the nodes nearest to the target.
	WantContacts Wants = 1 << iota
	// WantRecord asks for the record whose position is the target.
	WantRecord
	// WantLeases asks for the leases under the target.
	WantLeases
	allWants = WantContacts | WantRecord | WantLeases
)

// Query is one question to a node. Which fields count depends on Kind.
type Query struct {
	Kind Kind
	// Flags has no bits defined in version 1; unknown ones are ignored.
	Flags uint8
	// Target, Wants and After belong to KindFind. After is the provider of the
	// last lease of the page before; zero is the first page.
	Target Key
	Wants  Wants
	After  identity.ID
	// Record belongs to KindPutRecord.
	Record *Record
	// Lease belongs to KindPutLease.
	Lease *Lease
}

// Idempotent reports whether the query may ride the first message to a
// stranger, since it changes nothing.
func (q *Query) Idempotent() bool { return q.Kind == KindPing || q.Kind == KindFind }

// Flags of an answer to KindFind.
const (
	// FlagMoreLeases: the page was full; ask again with After.
	FlagMoreLeases uint8 = 1 << iota
	// FlagRecordAside: there is a record that did not fit beside the contacts;
	// ask for the record alone.
	FlagRecordAside
)

// Status is the outcome of a put.
type Status uint8

// Outcomes of a put.
const (
	// StatusStored: it is kept, durably if it is a record.
	StatusStored Status = 0
	// StatusOutdated: a newer version is in force; the answer carries it.
	StatusOutdated Status = 1
	// StatusFull: a bound of the holder is reached.
	StatusFull Status = 2
	// StatusExpired: it is past its expiry, or lasts too long.
	StatusExpired Status = 3
	maxStatus            = StatusExpired
)

// Answer is what a node says to a query.
type Answer struct {
	Kind  Kind
	Flags uint8
	// Contacts and Leases answer KindFind. Leases are in order of provider and
	// include withdrawals.
	Contacts []Contact
	Leases   []FoundLease
	// Record answers KindFind, or is what is in force under StatusOutdated.
	Record *Record
	// Status answers the puts.
	Status Status
	// Lease is what is in force under StatusOutdated.
	Lease *Lease
}

// A query on the wire (spec 6.1):
//
//	 0         1      2       3
//	+---------+------+-------+----------------------------------------+
//	| version | kind | flags | PING: nothing                          |
//	|         |      |       | FIND: target 32 | wants 1 | after 32   |
//	|         |      |       | PUT-RECORD: record to the end          |
//	|         |      |       | PUT-LEASE: lease to the end            |
//	+---------+------+-------+----------------------------------------+
const headerSize = 3

// appendQuery appends the encoding of q.
func appendQuery(dst []byte, q *Query) []byte {
	dst = append(dst, WireVersion, byte(q.Kind), q.Flags)
	switch q.Kind {
	case KindFind:
		dst = append(dst, q.Target[:]...)
		dst = append(dst, byte(q.Wants))
		dst = append(dst, q.After[:]...)
	case KindPutRecord:
		dst = appendRecord(dst, *q.Record)
	case KindPutLease:
		dst = appendLease(dst, *q.Lease)
	}
	return dst
}

// decodeQuery reads a query that fills b. Signatures are not checked.
func decodeQuery(b []byte) (*Query, error) {
	kind, flags, body, err := decodeHeader(b)
	if err != nil {
		return nil, err
	}
	q := &Query{Kind: Kind(kind), Flags: flags}
	switch q.Kind {
	case KindPing:
		err = (&reader{b: body}).end("ping")
	case KindFind:
		err = q.decodeFind(body)
	case KindPutRecord:
		q.Record, err = decodeRecord(body)
	case KindPutLease:
		q.Lease, err = decodeLease(body)
	default:
		err = fmt.Errorf("query: %w: kind %d", ErrMalformed, kind)
	}
	if err != nil {
		return nil, err
	}
	return q, nil
}

func (q *Query) decodeFind(body []byte) error {
	in := reader{b: body}
	q.Target = in.id()
	q.Wants = Wants(in.uint8())
	q.After = in.id()
	if err := in.end("find"); err != nil {
		return err
	}
	if q.Wants == 0 || q.Wants&^allWants != 0 {
		return fmt.Errorf("find: %w: wants %#x", ErrMalformed, uint8(q.Wants))
	}
	return nil
}

func decodeHeader(b []byte) (kind, flags uint8, body []byte, err error) {
	if len(b) < headerSize {
		return 0, 0, nil, fmt.Errorf("message: %w: truncated", ErrMalformed)
	}
	if b[0] != WireVersion {
		return 0, 0, nil, fmt.Errorf("message: %w: version %d", ErrMalformed, b[0])
	}
	return b[1], b[2], b[headerSize:], nil
}

// An answer on the wire (spec 6.1). The kind is the query's with the top bit
// set. A length of zero says that the field is absent.
//
//	 0         1      2       3
//	+---------+------+-------+----------------------------------------------+
//	| version | kind | flags | PING: nothing                                |
//	|         |      |       | FIND: n 1 | n contacts | length 2 | record   |
//	|         |      |       |       | m 1 | m times: address | length 2 |   |
//	|         |      |       |                        lease without its key |
//	|         |      |       | PUT: status 1 | length 2 | what is in force  |
//	+---------+------+-------+----------------------------------------------+
const (
	findAnswerFixedSize = headerSize + 1 + 2 + 1
	putAnswerFixedSize  = headerSize + 1 + 2
)

// appendAnswer appends the encoding of a.
func appendAnswer(dst []byte, a *Answer) []byte {
	dst = append(dst, WireVersion, byte(a.Kind)|answerBit, a.Flags)
	switch a.Kind {
	case KindFind:
		dst = append(dst, byte(len(a.Contacts)))
		for _, c := range a.Contacts {
			dst = appendContact(dst, c)
		}
		dst = appendOptional(dst, a.Record, appendRecord)
		dst = append(dst, byte(len(a.Leases)))
		for _, l := range a.Leases {
			dst = appendAddr(dst, l.Addr)
			dst = appendOptional(dst, &l.Lease, appendBareLease)
		}
	case KindPutRecord:
		dst = appendOptional(append(dst, byte(a.Status)), a.Record, appendRecord)
	case KindPutLease:
		dst = appendOptional(append(dst, byte(a.Status)), a.Lease, appendLease)
	}
	return dst
}

// appendOptional appends a 2-byte length and the encoding of v, or the length
// zero if there is none.
func appendOptional[T any](dst []byte, v *T, encode func([]byte, T) []byte) []byte {
	at := len(dst)
	dst = append(dst, 0, 0)
	if v != nil {
		dst = encode(dst, *v)
		binary.BigEndian.PutUint16(dst[at:], uint16(len(dst)-at-2))
	}
	return dst
}

// decodeAnswer reads an answer to q that fills b. Signatures are not checked,
// nor whether the contents suit the question.
func decodeAnswer(b []byte, q *Query) (*Answer, error) {
	kind, flags, body, err := decodeHeader(b)
	if err != nil {
		return nil, err
	}
	if kind != byte(q.Kind)|answerBit {
		return nil, fmt.Errorf("answer: %w: kind %d to a query of kind %d", ErrMalformed, kind, q.Kind)
	}
	a := &Answer{Kind: q.Kind, Flags: flags}
	in := &reader{b: body}
	switch q.Kind {
	case KindFind:
		err = a.decodeFound(in, q.Target)
	case KindPutRecord, KindPutLease:
		err = a.decodePut(in)
	}
	if err == nil {
		err = in.end("answer")
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Answer) decodeFound(in *reader, target Key) error {
	n := int(in.uint8())
	if n > bucketSize {
		return fmt.Errorf("answer: %w: %d contacts, at most %d", ErrMalformed, n, bucketSize)
	}
	if n > 0 {
		a.Contacts = make([]Contact, 0, n)
	}
	for range n {
		c := Contact{ID: in.id(), Addr: in.addr()}
		if in.failed || c.ID.IsZero() || !c.Addr.IsValid() {
			return fmt.Errorf("answer: %w: bad contact", ErrMalformed)
		}
		a.Contacts = append(a.Contacts, c)
	}
	var err error
	if b := in.take(int(in.uint16())); len(b) > 0 {
		if a.Record, err = decodeRecord(b); err != nil {
			return err
		}
	}
	for range int(in.uint8()) {
		addr := in.addr()
		l, err := decodeBareLease(target, in.take(int(in.uint16())))
		if err != nil {
			return err
		}
		if n := len(a.Leases); n > 0 && a.Leases[n-1].Provider.Compare(l.Provider) >= 0 {
			return fmt.Errorf("answer: %w: leases out of order", ErrMalformed)
		}
		a.Leases = append(a.Leases, FoundLease{Lease: *l, Addr: addr})
	}
	return nil
}

func (a *Answer) decodePut(in *reader) (err error) {
	a.Status = Status(in.uint8())
	b := in.take(int(in.uint16()))
	switch {
	case a.Status > maxStatus:
		return fmt.Errorf("answer: %w: status %d", ErrMalformed, a.Status)
	case len(b) == 0:
	case a.Status != StatusOutdated:
		return fmt.Errorf("answer: %w: status %d with a value", ErrMalformed, a.Status)
	case a.Kind == KindPutRecord:
		a.Record, err = decodeRecord(b)
	default:
		a.Lease, err = decodeLease(b)
	}
	return err
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

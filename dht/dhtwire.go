package dht

import (
	"encoding/binary"
	"fmt"

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
	// KindPut asks to keep a record or value, or with its head whether the
	// whole is wanted.
	KindPut Kind = 3
	// KindPutLease asks to keep a lease or to withdraw one.
	KindPutLease Kind = 4
	// KindGet asks for the whole record or value at a key.
	KindGet Kind = 5
)

// answerBit marks an answer among the kinds.
const answerBit = 0x80

// Wants says what a find query is after; several may be combined.
type Wants uint8

// Things to find.
const (
	// WantContacts asks for the nodes nearest to the target.
	WantContacts Wants = 1 << iota
	// WantItem asks for the record or value whose position is the target, or
	// its head where the whole is too long.
	WantItem
	// WantLeases asks for the leases under the target.
	WantLeases
	allWants = WantContacts | WantItem | WantLeases
)

// Query is one question to a node. Which fields count depends on Kind.
type Query struct {
	Kind Kind
	// Flags has no bits defined in version 1; unknown ones are ignored.
	Flags uint8
	// Target belongs to KindFind and KindGet, Wants and After to KindFind. After is the provider of the
	// last lease of the page before; zero is the first page.
	Target Key
	Wants  Wants
	After  identity.ID
	// Item belongs to KindPut.
	Item *Item
	// Lease belongs to KindPutLease.
	Lease *Lease
}

// Idempotent reports whether the query may ride the first message to a
// stranger, since it changes nothing.
func (q *Query) Idempotent() bool {
	return q.Kind == KindPing || q.Kind == KindFind || q.Kind == KindGet
}

// FlagMoreLeases in an answer to KindFind: the page was full; ask again with
// After.
const FlagMoreLeases uint8 = 1

// Status is the outcome of a put.
type Status uint8

// Outcomes of a put.
const (
	// StatusStored: it is kept, durably if it is no lease.
	StatusStored Status = 0
	// StatusOutdated: a newer version is in force; the answer carries it.
	StatusOutdated Status = 1
	// StatusFull: a bound of the holder is reached.
	StatusFull Status = 2
	// StatusExpired: it is past its expiry, or lasts too long.
	StatusExpired Status = 3
	// StatusWanted: to keep it, the whole is needed and not only its head.
	StatusWanted Status = 4
	maxStatus           = StatusWanted
)

// Answer is what a node says to a query.
type Answer struct {
	Kind  Kind
	Flags uint8
	// Contacts and Leases answer KindFind. Leases are in order of provider and
	// include withdrawals.
	Contacts []Contact
	Leases   []FoundLease
	// Item answers KindFind and KindGet, or is what is in force under
	// StatusOutdated. Only in an answer to KindGet it is sure to be whole.
	Item *Item
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
//	|         |      |       | PUT: item to the end                   |
//	|         |      |       | PUT-LEASE: lease to the end            |
//	|         |      |       | GET: target 32                         |
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
	case KindPut:
		dst = appendItem(dst, q.Item)
	case KindPutLease:
		dst = appendLease(dst, *q.Lease)
	case KindGet:
		dst = append(dst, q.Target[:]...)
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
	case KindPut:
		q.Item, err = decodeItem(body)
	case KindPutLease:
		q.Lease, err = decodeLease(body)
	case KindGet:
		in := reader{b: body}
		q.Target = in.id()
		err = in.end("get")
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
//	|         |      |       | FIND: n 1 | n contacts | length 2 | item     |
//	|         |      |       |       | m 1 | m times: address | length 2 |   |
//	|         |      |       |                        lease without its key |
//	|         |      |       | PUT: status 1 | what is in force, to the end |
//	|         |      |       | GET: item to the end                         |
//	+---------+------+-------+----------------------------------------------+
const (
	findAnswerFixedSize = headerSize + 1 + 2 + 1
	putAnswerFixedSize  = headerSize + 1
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
		dst = appendSized(dst, func(dst []byte) []byte { return appendItem(dst, a.Item) })
		dst = append(dst, byte(len(a.Leases)))
		for _, l := range a.Leases {
			dst = appendAddr(dst, l.Addr)
			dst = appendSized(dst, func(dst []byte) []byte { return appendBareLease(dst, l.Lease) })
		}
	case KindPut:
		dst = appendItem(append(dst, byte(a.Status)), a.Item)
	case KindPutLease:
		dst = append(dst, byte(a.Status))
		if a.Lease != nil {
			dst = appendLease(dst, *a.Lease)
		}
	case KindGet:
		dst = appendItem(dst, a.Item)
	}
	return dst
}

// appendSized appends a 2-byte length and what encode appends, which is short.
func appendSized(dst []byte, encode func([]byte) []byte) []byte {
	at := len(dst)
	dst = encode(append(dst, 0, 0))
	binary.BigEndian.PutUint16(dst[at:], uint16(len(dst)-at-2))
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
	case KindPut, KindPutLease:
		err = a.decodePut(in)
	case KindGet:
		a.Item, err = decodeRest(in, decodeItem)
		if err == nil && a.Item != nil && !a.Item.Whole() {
			err = fmt.Errorf("answer: %w: a head where the whole was asked for", ErrMalformed)
		}
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
		if a.Item, err = decodeItem(b); err != nil {
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
	switch {
	case a.Status > maxStatus:
		return fmt.Errorf("answer: %w: status %d", ErrMalformed, a.Status)
	case len(in.b) > 0 && a.Status != StatusOutdated:
		return fmt.Errorf("answer: %w: status %d with something behind it", ErrMalformed, a.Status)
	case a.Kind == KindPut:
		a.Item, err = decodeRest(in, decodeItem)
	default:
		a.Lease, err = decodeRest(in, decodeLease)
	}
	return err
}

// decodeRest decodes all that is left, nil if nothing is.
func decodeRest[T any](in *reader, decode func([]byte) (*T, error)) (*T, error) {
	if len(in.b) == 0 {
		return nil, nil
	}
	return decode(in.take(len(in.b)))
}

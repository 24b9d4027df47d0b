// Package dht is the contract for finding nodes, services and values without a
// server, and MCC's modified Kademlia that fulfils it.
//
// The position of a node is the SHA-256 of its id; a key is found at the nodes
// whose position is nearest by XOR (Maymounkov and Mazières, 2002). The package
// knows no sockets: a node hands it a [Sender] and feeds what others ask to
// Handle. The protocol itself is [Engine], a pure state machine that dht/sim
// drives by the thousand; [Kademlia] is one goroutine around it.
package dht

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/store"
)

// Sizes in bytes.
const (
	// MaxValue is the longest value of a record, and the longest immutable value.
	MaxValue = 64 << 10
	// MaxRecord is the longest encoded lease, and the longest encoded record or
	// value that travels whole in a datagram; larger ones go over a stream.
	MaxRecord = 1000
	// MaxName is the longest name of a record.
	MaxName = 200
	// MaxCall bounds the request and the answer of a Message without Stream,
	// MaxMessage those of one with it.
	MaxCall    = 1100
	MaxMessage = 72 << 10
)

// Key is a position in the DHT.
type Key [32]byte

// KeyOf is the position of a node.
func KeyOf(id identity.ID) Key { return sha256.Sum256(id[:]) }

func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Contact is where a node was last known. A zero ID asks for whoever is there.
type Contact struct {
	ID   identity.ID
	Addr netip.AddrPort
}

// Record is a signed mutable value. Its position depends on Owner and Name
// (see RecordKey), its signature covers every field (of Value the length and
// the SHA-256), so holders can withhold a record but not change it.
type Record struct {
	Owner identity.ID
	Name  string
	// Seq orders versions: a higher one replaces a lower one everywhere; of two
	// with the same Seq the one whose value has the larger SHA-256 wins.
	Seq     uint64
	Expires time.Time // whole seconds
	Value   []byte    // at most MaxValue bytes
	Sig     []byte
}

// Lease is a provider's short-lived signed entry under a key: "I serve this".
// Many providers may hold a lease under one key, one each.
type Lease struct {
	Key      Key
	Provider identity.ID
	// Seq orders versions of one provider's lease; later wins.
	Seq uint64
	// Expires ends the lease; a Lease whose Expires is zero is a withdrawal.
	Expires time.Time // whole seconds
	// Body is what the provider says about itself, opaque to the DHT.
	Body []byte
	Sig  []byte
}

// FoundLease is a lease as a lookup returned it.
type FoundLease struct {
	Lease
	// Addr is where a holder saw the provider: a hint, not signed. It may be
	// invalid (zero).
	Addr netip.AddrPort
}

// DHT is one node's part of the distributed table.
//
// All methods are safe for concurrent use; those with a context block until
// done, ctx ends, or the DHT closes (ErrClosed).
type DHT interface {
	Router
	Records
	Leases
	// Handle executes a peer's request and returns the answer, at most
	// req.MaxAnswer bytes. It is quick, never waits for the network, and
	// fails with ErrMalformed, ErrDenied or ErrBusy; such a request gets no
	// answer.
	Handle(ctx context.Context, req Request) (answer []byte, err error)
	// Close says goodbye to nobody, stops all work and waits; it is
	// idempotent. The Store is left open.
	Close() error
}

// Router finds nodes.
type Router interface {
	// Join asks the seeds, fills the routing table by looking for the node
	// itself, and returns nil when at least one seed answered and the lookup
	// is done. It may be called again.
	Join(ctx context.Context, seeds ...Contact) error
	// FindPeer returns where a node is, or ErrNotFound.
	FindPeer(ctx context.Context, id identity.ID) (Contact, error)
	// Contacts are the verified entries of the routing table, nearest first.
	Contacts() []Contact
}

// Records keeps signed mutable records and immutable values at the nodes nearest
// to their key.
type Records interface {
	// PutRecord stores a signed record here and at the nearest nodes, and
	// returns how many others acknowledged it. The record is durable here when
	// it returns nil, and is republished while this node owns it. A record
	// older than the one in force is ErrOutdated.
	PutRecord(ctx context.Context, r Record) (acks int, err error)
	// GetRecord returns the newest valid record that several holders know, or
	// ErrNotFound.
	GetRecord(ctx context.Context, owner identity.ID, name string) (Record, error)
	// OwnRecord returns this node's own record as it is stored here, without
	// asking anybody, or ErrNotFound. It is kept for OwnGrace past its expiry,
	// so that a node that was away can prolong it.
	OwnRecord(ctx context.Context, name string) (Record, error)
	// DropRecord forgets this node's own record, durably: it is no longer
	// republished and lapses at its holders. One that is not there is
	// ErrNotFound.
	DropRecord(ctx context.Context, name string) error
	// PutValue stores an immutable value here and at the nearest nodes, and
	// returns its key and how many others acknowledged it. It is durable here
	// when PutValue returns nil, and republished until DropValue. A value over
	// MaxValue is ErrMalformed. Putting it again is the same as once.
	PutValue(ctx context.Context, value []byte) (key Key, acks int, err error)
	// GetValue returns the immutable value under key, whose hash it has, or
	// ErrNotFound.
	GetValue(ctx context.Context, key Key) ([]byte, error)
	// DropValue forgets an immutable value that this node put, durably: it is
	// no longer republished and lapses at its holders. One that this node did
	// not put is ErrNotFound.
	DropValue(ctx context.Context, key Key) error
}

// Leases keeps short-lived entries of many providers under one key.
type Leases interface {
	// PutLease places a signed lease, or its withdrawal, here and at the
	// nearest nodes and returns how many others acknowledged it. Renewing is
	// the caller's duty.
	PutLease(ctx context.Context, l Lease) (acks int, err error)
	// FindLeases returns the living leases under key, at most one a provider,
	// sorted by provider; none is an empty slice and no error.
	FindLeases(ctx context.Context, key Key) ([]FoundLease, error)
}

// Request is what a peer asks of this node.
type Request struct {
	Peer *identity.Peer
	// From is the address it came from.
	From netip.AddrPort
	Data []byte
	// Early requests must change nothing: their sender's address is unproven.
	Early bool
	// MaxAnswer bounds the answer in bytes; it is MaxMessage where the request
	// came over a stream.
	MaxAnswer int
}

// Message is one request of the DHT to a node.
type Message struct {
	Data []byte
	// Idempotent requests may be executed twice, and ride the first message to
	// a stranger.
	Idempotent bool
	// Stream says that the request or its answer may exceed MaxCall bytes, so
	// it goes over a stream; both then have at most MaxMessage bytes.
	Stream bool
}

// Sender carries one request to a node and returns its answer. It is the only
// way the DHT touches the network. Send bounds its own time and returns soon
// after ctx ends; m.Data is not used after it returned.
type Sender interface {
	Send(ctx context.Context, to Contact, m Message) (Reply, error)
}

// Reply is a node's answer.
type Reply struct {
	// From is who answered; its ID is proven.
	From Contact
	// Peer is what the node verified about From. Without one that may "route"
	// the answer counts, but its sender gets no seat in the routing table.
	Peer *identity.Peer
	Data []byte
	RTT  time.Duration
	// Observed is this node's own address as the other saw it.
	Observed netip.AddrPort
}

// Factory makes the DHT of one node; the node owns and closes it.
type Factory func(Env) (DHT, error)

// Env is what a node gives its DHT.
type Env struct {
	// Identity is the node's own; required.
	Identity identity.Identity
	// Sender reaches other nodes; required.
	Sender Sender
	// Store keeps records and contacts across restarts, under the prefix
	// "dht/"; required.
	Store store.Store
	// Alpha is the number of parallel requests of a lookup, 1 to 64; zero is 3.
	Alpha int
	// Logger gets state changes; nil is silent.
	Logger *zap.Logger
}

// Conditions of every DHT, for errors.Is.
var (
	// ErrNotFound: no node knows it.
	ErrNotFound = errors.New("not found")
	// ErrClosed: the DHT has been closed.
	ErrClosed = errors.New("dht is closed")
	// ErrMalformed: a message, record or lease breaks the format or its
	// signature is wrong.
	ErrMalformed = errors.New("malformed message")
	// ErrOutdated: a newer version is in force.
	ErrOutdated = errors.New("a newer version exists")
	// ErrDenied: the peer's certificate does not permit it.
	ErrDenied = errors.New("not permitted")
	// ErrBusy: a bound is reached.
	ErrBusy = errors.New("too much at once")
	// ErrNoPeers: the routing table is empty, or no seed answered.
	ErrNoPeers = errors.New("no peer answered")
)

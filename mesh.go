package mcc

import (
	"context"
	"io"
	"iter"
	"net"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// Mesh is what a program does with the mesh. *Node is one: the node embedded in
// the program. Code that takes a Mesh, or one of the small interfaces it is made
// of, does not care where the node runs.
type Mesh interface {
	Services
	Channels
	Records
	Blobs
	DIDs
}

// Services offers services by name and reaches those of others.
type Services interface {
	// Register announces a service whose Address this node can reach. A name
	// that is registered here already is ErrExists; a malformed one ErrInvalid;
	// ErrDenied says that this node's certificate lacks register:<name>. It
	// returns when the lease has been offered to the mesh; reaching nobody is
	// no error, since renewals follow.
	Register(ctx context.Context, s Service) error
	// Unregister withdraws a service of this node, or is ErrNotFound. Open
	// connections go on.
	Unregister(ctx context.Context, name string) error
	// Providers returns who offers the service now, the best first: nobody is
	// an empty slice. The name may carry a consortium, as in files.acme.
	Providers(ctx context.Context, name string) ([]Provider, error)
	// Watch yields what changes among the providers, starting with an Added
	// for each that is there, until ctx ends or the loop does. The last pair
	// carries the error that ended it, if any.
	Watch(ctx context.Context, name string) iter.Seq2[Change, error]
	// DialContext connects to a provider of the service named by address:
	// "files", "files.mcc" or "files.mcc:80" (the port is ignored), trying the
	// next one when a dial fails. The network is "tcp". It fits
	// http.Transport.DialContext. Nobody to dial is ErrNoProvider.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Channels are encrypted streams between two nodes, by identity and protocol.
type Channels interface {
	// DialNode opens a channel to a node, named by id, did:key, did:mcc or label, whose
	// program listens on protocol. A label that several nodes bear is
	// ErrAmbiguous and lists them; nobody listening is ErrNotFound.
	DialNode(ctx context.Context, node, protocol string) (net.Conn, error)
	// Listen accepts channels for protocol, 1 to 200 bytes. A protocol that is
	// taken is ErrExists. Closing the listener leaves its channels open.
	Listen(ctx context.Context, protocol string) (net.Listener, error)
}

// Records keeps small values at the nodes nearest to their position in the DHT.
type Records interface {
	// PutRecord signs value as the next version of this node's record and
	// returns it once it is durable here and has been offered to the nearest
	// nodes; reaching none of them is no error, since the node offers it again.
	// A value over MaxValue is ErrTooLarge, another name than CheckRecordName
	// admits ErrInvalid. ErrConflict says that the record is not in the state
	// that the options ask for, or that another program puts versions with the
	// same identity.
	PutRecord(ctx context.Context, name string, value []byte, o RecordOptions) (Record, error)
	// GetRecord returns the newest version that several holders know of a
	// node's record. The owner is an id, did:key, did:mcc or label.
	GetRecord(ctx context.Context, owner, name string) (Record, error)
	// DropRecord stops keeping this node's record alive: it is gone here and
	// lapses elsewhere within 48 h.
	DropRecord(ctx context.Context, name string) error
	// PutValue stores value under the BLAKE3 hash of its content. The node
	// offers it again until DropValue. The same value again is no error.
	PutValue(ctx context.Context, value []byte) (Hash, error)
	// GetValue returns a value, verified against its hash.
	GetValue(ctx context.Context, id Hash) ([]byte, error)
	// DropValue stops keeping a value of this node alive.
	DropValue(ctx context.Context, id Hash) error
}

// Blobs keeps contents of any size under the hash of their bytes. A node that
// has a BLOB announces itself as a seeder; others fetch it from several seeders
// at once and verify every part.
type Blobs interface {
	// PutBlob stores what r yields until io.EOF and returns once it is durable
	// here and the mesh has been told, which it waits for at most 2 s. An error
	// of r leaves nothing behind.
	PutBlob(ctx context.Context, r io.Reader, o BlobOptions) (BlobInfo, error)
	// OpenBlob returns a reader of a BLOB that is here or at a seeder. It
	// waits until the size is proven; the content is fetched while it is read,
	// and only as fast. ctx bounds the opening and, unless it is local, all
	// reading. Nobody having it is ErrNotFound. Nobody delivering it is
	// ErrUnreachable, after 10 s, or up to 2 min while seeders are left to try.
	// The caller closes the Blob.
	OpenBlob(ctx context.Context, id Hash) (Blob, error)
	// StatBlob describes a BLOB that is here or at a seeder.
	StatBlob(ctx context.Context, id Hash) (BlobInfo, error)
	// DeleteBlob removes the copy of this node, which stops announcing it, or
	// is ErrNotFound. Open readers go on.
	DeleteBlob(ctx context.Context, id Hash) error
	// ListBlobs yields the BLOBs of this node in order of id. An error ends it.
	ListBlobs(ctx context.Context) iter.Seq2[BlobInfo, error]
	// Seeders returns the nodes that say they have the whole BLOB, this one
	// among them; nobody is an empty slice.
	Seeders(ctx context.Context, id Hash) ([]Seeder, error)
}

// DIDs resolves decentralized identifiers and keeps documents of did:mcc.
type DIDs interface {
	// PutDID stores a document (W3C DID Core, JSON, at most MaxValue bytes) as
	// the next version of did, which must be this node's own did:mcc: of
	// another one ErrDenied. A document that is not valid is ErrInvalid, a
	// deactivated DID ErrDeactivated.
	PutDID(ctx context.Context, did string, document []byte) (DIDDocument, error)
	// ResolveDID returns the document of a did:mcc from the mesh, or makes that
	// of a did:key. ErrInvalid is a malformed DID, ErrUnsupported another
	// method, ErrDeactivated one that was given up.
	ResolveDID(ctx context.Context, did string) (DIDDocument, error)
	// DeactivateDID gives the node's own did:mcc up for good.
	DeactivateDID(ctx context.Context, did string) error
}

// Service is something this node offers by name.
type Service struct {
	// Name is a DNS label: a-z, 0-9 and inner "-", at most 63 bytes.
	Name string
	// Address is where the service listens, as this node sees it:
	// tcp://host:port, unix:path, http://host:port or https://host:port. Of an
	// http or https service MCC speaks the protocol itself and adds the
	// caller's identity as headers. ListenService ignores it.
	Address string
	// Tags, at most 16 distinct ones of 63 bytes, let callers choose.
	Tags []string
	// Meta, at most 16 entries and 400 bytes in all, is shown to callers. Tags
	// and Meta together have at most about 800 bytes: they travel in a datagram.
	Meta map[string]string
	// Weight is for the weighted policy, 1 to 1000; zero is 1.
	Weight int
	// Health says how to check the service; nil is no check.
	Health *HealthCheck
	// Allow lists who may call, "label:web*", "id:z6Mk…", "consortium:acme";
	// empty is everybody whose certificate has call:<name>.
	Allow []string
	// Persist keeps the registration across restarts of a node with a
	// DataFolder.
	Persist bool
}

// HealthCheck is how a provider finds out that its service works.
type HealthCheck struct {
	// Type is "tcp" or "http".
	Type string
	// Path is asked for by an http check; empty is "/".
	Path string
	// Interval between checks; zero is 10 s.
	Interval time.Duration
	// Timeout of one check; zero is 2 s.
	Timeout time.Duration
}

// Provider is a node that offers a service.
type Provider struct {
	Node       identity.ID
	Label      string
	Consortium string
	Tags       []string
	Meta       map[string]string
	Weight     int
	// Healthy is what the provider last said of itself.
	Healthy bool
	// RTT is the last measured round trip; zero if none was.
	RTT time.Duration
	// Expires is when the entry lapses unless it is renewed.
	Expires time.Time
}

// ChangeKind is what happened to a provider.
type ChangeKind string

// The kinds of changes.
const (
	Added   ChangeKind = "added"
	Updated ChangeKind = "updated"
	Removed ChangeKind = "removed"
)

// Change is one step of a Watch.
type Change struct {
	Kind     ChangeKind
	Provider Provider
}

// Listener is a local port that leads to a service.
type Listener struct {
	// ID names the listener on this node; it is set when the listener is added.
	ID string
	// Service is the name to dial, with or without a consortium.
	Service string
	// Address to listen on: tcp://host:port or unix:path. Port 0 is any; the
	// address of an added listener says which.
	Address string
	// Policy chooses among providers: "nearest" (the default), "random",
	// "round-robin", "weighted" or "sticky".
	Policy string
	// From limits the providers to these, "id:z6Mk…"; empty is all.
	From []string
	// Persist keeps the listener across restarts of a node with a DataFolder.
	Persist bool
}

// PeerInfo is an authenticated peer of this node.
type PeerInfo struct {
	ID         identity.ID
	Label      string
	Consortium string
	// Address is host:port.
	Address string
	// Path is "tcp", "quic", "punched" or "relayed".
	Path string
	// RTT is zero if none was measured.
	RTT time.Duration
	// State is "active" if the peer was heard of in the last minute, else
	// "idle".
	State string
}

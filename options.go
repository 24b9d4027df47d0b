package mcc

import (
	"crypto/x509"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/store"
	"github.com/staex-mcc/mcc/transport"
)

// Options configure a Node. The zero value works: a node on a free loopback
// port with a fresh identity, which forgets everything when closed and logs
// nothing. New does not change or keep the slices.
type Options struct {
	// Listen is the UDP address, host:port. Empty is 127.0.0.1:0; port 0 is any
	// free one. A loopback address together with a remote Boot cannot work and
	// is refused. Ignored if Transport is set.
	Listen string
	// ListenTCP is the address of the TCP carrier of streams, which this version
	// does not have yet: the field has no effect.
	ListenTCP string
	// DataFolder keeps identity, records, BLOBs and persisted registrations across
	// restarts, and is locked while the node runs. It is made if missing. Empty
	// keeps nothing: BLOBs then stand in a folder under os.TempDir that Close
	// removes.
	DataFolder string
	// Label is the human-readable name of a fresh identity. Everything but
	// ASCII letters and digits is removed, upper case lowered; what is left
	// must have 1 to 30 bytes. Empty is a random word. An identity that exists
	// already keeps its label.
	Label string
	// Boot are nodes to join through: host:port, or z6Mk…@host:port to pin the
	// node's key. Host names are resolved on each try; tries go on for ever.
	// Empty starts a mesh of one that others may join.
	Boot []string
	// TrustCAs are the root certificates of the CAs whose nodes may take part.
	// Empty is an open mesh: anybody may.
	TrustCAs []*x509.Certificate
	// Identity is who the node is. Nil is the one kept in DataFolder, made on
	// the first start, or a fresh one without DataFolder. Required with
	// TrustCAs, since a CA must have certified it.
	Identity identity.Identity
	// Transport makes the transport; nil is transport/udp on Listen.
	Transport transport.Factory
	// DHT makes the DHT; nil is dht.New with Alpha.
	DHT dht.Factory
	// Store keeps what must last. Nil is store/bolt in DataFolder, or
	// store/memory without one. A Store given here is left open by Close.
	Store store.Store
	// Alpha is the lookup concurrency, 1 to 64; zero is 3.
	Alpha int
	// ForgetBlobs deletes a BLOB fetched from others when its last reader closes,
	// and never announces it. False keeps it and announces this node as a
	// seeder. BLOBs put here are kept in either case.
	ForgetBlobs bool
	// WaitForService is how long a dial waits for a first provider; zero does
	// not wait. A node that is still joining waits for that in any case.
	WaitForService time.Duration
	// DrainTimeout is how long Close waits for open forwarded streams; zero
	// does not wait.
	DrainTimeout time.Duration
	// Logger gets what happens; nil is silent. Components log under their own
	// names (dht, transport, forward).
	Logger *zap.Logger
}

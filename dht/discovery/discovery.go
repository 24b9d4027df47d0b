// Package discovery finds services, nodes by label and the seeders of BLOBs on
// top of the leases of a DHT.
//
// A node that offers a service holds a lease under the service's [Key]: a signed
// entry of two minutes that says how it offers it. A [Registry] keeps a node's
// own leases alive and looks up those of others. Who may offer what is checked
// where the service is called, against the provider's certificate; what a lease
// says is the provider's own claim. [Seeds] do the same for the BLOBs a node
// holds, thousands of them, with long leases and at a steady pace.
package discovery

import (
	"cmp"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

// Times of a lease.
const (
	// RenewEvery is the time between renewals: two may fail before a lease of
	// dht.LeaseLife lapses. All of a node's leases are renewed on the same tick.
	RenewEvery = dht.LeaseLife / 3
	// DefaultPoll is how often a Watch looks.
	DefaultPoll = 2 * time.Second
	// attemptTimeout bounds one try to place or find leases in the background.
	attemptTimeout = 10 * time.Second
)

// Limits of an entry. All of it must also fit a lease of dht.MaxRecord bytes,
// which leaves about 800 for tags and meta together.
const (
	MaxTags   = 16
	MaxTag    = 63  // bytes of one tag
	MaxMeta   = 16  // entries
	MaxMetaKV = 400 // bytes of all keys and values
	MaxWeight = 1000
	// MaxEntries is how many leases one node holds, that of its label included.
	MaxEntries = 1000
)

// Entry is a service that this node offers.
type Entry struct {
	// Name is the service's, see [ValidateName].
	Name string
	// Tags are distinct printable words, in any order.
	Tags []string
	// Meta has printable keys, not empty, and printable values.
	Meta map[string]string
	// Weight is 1 to MaxWeight; zero is 1.
	Weight int
	// Unhealthy reports that the service does not work just now. It is
	// announced all the same.
	Unhealthy bool
}

func (e Entry) clone() Entry {
	e.Tags = slices.Clone(e.Tags)
	e.Meta = maps.Clone(e.Meta)
	return e
}

// Validate returns what Register would refuse about e on any node, as an
// ErrInvalid. What is left is the size of the whole lease, which depends on the
// node's label and consortium.
func (e Entry) Validate() error {
	if err := ValidateName(e.Name); err != nil {
		return err
	}
	return body{tags: e.Tags, meta: e.Meta, weight: cmp.Or(e.Weight, 1)}.check()
}

// Provider is a node that offers a service, as its lease says. It belongs to
// whoever received it.
type Provider struct {
	// ID is proven by the signature; the rest is the provider's claim.
	ID         identity.ID
	Label      string
	Consortium string
	Tags       []string
	Meta       map[string]string
	Weight     int
	Healthy    bool
	// Expires is when the lease lapses unless it is renewed, by the provider's
	// clock.
	Expires time.Time
	// Addr is where another node saw the provider: a hint, zero if nobody did.
	Addr netip.AddrPort
}

// ChangeKind is what happened to a provider.
type ChangeKind string

// The kinds of changes.
const (
	Added   ChangeKind = "added"
	Updated ChangeKind = "updated"
	Removed ChangeKind = "removed"
)

// Change is one step of a Watch. The Provider of a Removed is the last one
// seen.
type Change struct {
	Kind     ChangeKind
	Provider Provider
}

// Stats count since New; they only grow.
type Stats struct {
	// Placed are leases and withdrawals the DHT took, renewals included;
	// Unacknowledged those of them that no other node acknowledged; Failed the
	// tries that ended with an error.
	Placed, Unacknowledged, Failed uint64
	// Dropped are leases of others that could not be decoded, or that say
	// something else than the key they lie under.
	Dropped uint64
}

// Conditions of this package, for errors.Is.
var (
	// ErrInvalid: a name or entry breaks a rule.
	ErrInvalid = errors.New("invalid")
	// ErrExists: the name is registered on this node already.
	ErrExists = errors.New("already registered")
	// ErrNotFound: the name is not registered on this node.
	ErrNotFound = errors.New("not registered")
	// ErrFull: MaxEntries are registered, or MaxSeeds announced.
	ErrFull = errors.New("no room for more")
	// ErrClosed: the Registry or Seeds have been closed.
	ErrClosed = errors.New("discovery is closed")
)

package dht

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/staex-mcc/mcc/identity"
)

// Item is what stands at a position: a signed record or an immutable value. With
// its Value it is whole, without it is a head, which can be verified alone and
// always fits a datagram. Items are never changed once made.
type Item struct {
	// Key is the position: of a record RecordKey, of a value ValueKey.
	Key Key
	// Owner, Name, Seq and Sig are a record's, as in Record; of an immutable
	// value they are zero.
	Owner identity.ID
	Name  string
	Seq   uint64
	Sig   []byte
	// Expires is not signed where the value is immutable.
	Expires time.Time
	// Size is the length of the value, and Hash the SHA-256 of a record's; an
	// immutable value's is Key.
	Size  int
	Hash  Key
	Value []byte
}

// Kept is an item as the store has it.
type Kept struct {
	Item *Item
	// Own says that this node put it: it is republished and counts for nobody.
	Own bool
	// Payer is whose quota it counts towards: the owner of a record, the
	// bringer of an immutable value.
	Payer identity.ID
	// Bringer is who brought a record that is another's, and it counts towards
	// that quota too: owners cost nothing, peers do. Zero for other items.
	Bringer identity.ID

	taken time.Time // when this version was first taken here
}

// broughtBy is a peer's item as a holder keeps it.
func broughtBy(it *Item, peer identity.ID) Kept {
	if it.Immutable() || it.Owner == peer {
		return Kept{Item: it, Payer: peer}
	}
	return Kept{Item: it, Payer: it.Owner, Bringer: peer}
}

// payers are those whose quotas it counts towards.
func (k Kept) payers() []identity.ID {
	switch {
	case k.Own:
		return nil
	case k.Bringer.IsZero():
		return []identity.ID{k.Payer}
	}
	return []identity.ID{k.Payer, k.Bringer}
}

// RecordItem is r as an item; both share Value and Sig.
func RecordItem(r Record) *Item {
	return &Item{
		Key: r.Key(), Owner: r.Owner, Name: r.Name, Seq: r.Seq, Sig: r.Sig, Expires: r.Expires,
		Size: len(r.Value), Hash: sha256.Sum256(r.Value), Value: r.Value,
	}
}

// ValueItem is an immutable value as an item; both share the bytes.
func ValueItem(value []byte, expires time.Time) *Item {
	key := ValueKey(value)
	return &Item{Key: key, Hash: key, Expires: wholeSeconds(expires), Size: len(value), Value: value}
}

// Immutable reports whether it is an immutable value and no record.
func (it *Item) Immutable() bool { return it.Owner.IsZero() }

// Whole reports whether the value is there; an empty one always is.
func (it *Item) Whole() bool { return len(it.Value) == it.Size }

// Record is a whole item as a record; both share Value and Sig.
func (it *Item) Record() Record {
	return Record{Owner: it.Owner, Name: it.Name, Seq: it.Seq, Expires: it.Expires, Value: it.Value, Sig: it.Sig}
}

// small reports whether the whole item travels in a datagram and is kept in
// memory.
func (it *Item) small() bool { return headSize(it)+it.Size <= MaxRecord }

// kept is the item as it is kept in memory: the value of a large one is in the
// store only.
func (it *Item) kept() *Item {
	if it.small() {
		return it
	}
	return it.with(nil)
}

// with is the item with a value, or with nil its head.
func (it *Item) with(value []byte) *Item {
	other := *it
	other.Value = value
	return &other
}

// expired allows for clocks that differ.
func (it *Item) expired(now time.Time) bool { return now.After(it.Expires.Add(ClockTolerance)) }

// signed is what the signature of a record covers: not the value, but its
// length and hash, so that a head can be verified alone.
func (it *Item) signed() []byte { return appendSigned([]byte(recordSignTag), it) }

// verify reports with ErrMalformed that the item breaks a rule of the format or
// that the owner did not sign it. An immutable value has been checked against
// its key by whoever decoded it.
func (it *Item) verify() error {
	if err := it.check(); err != nil {
		return err
	}
	if !it.Immutable() && !identity.Verify(it.Owner, it.signed(), it.Sig) {
		return fmt.Errorf("record %q: %w: wrong signature", it.Name, ErrMalformed)
	}
	return nil
}

// check holds the rules that the encoding alone does not enforce.
func (it *Item) check() error {
	switch {
	case len(it.Name) > MaxName:
		return fmt.Errorf("record: %w: name of %d bytes, at most %d", ErrMalformed, len(it.Name), MaxName)
	case it.Size > MaxValue:
		return fmt.Errorf("value: %w: %d bytes, at most %d", ErrMalformed, it.Size, MaxValue)
	case !validTime(it.Expires):
		return fmt.Errorf("record or value: %w: it expires at no valid time", ErrMalformed)
	}
	return nil
}

// compareItems orders versions at one position: by sequence, then by the
// SHA-256 of the value, then by expiry, so that the same value can be prolonged
// without a new sequence.
func compareItems(a, b *Item) int {
	if a.Seq != b.Seq {
		return compareBool(a.Seq > b.Seq)
	}
	if c := a.Hash.Compare(b.Hash); c != 0 {
		return c
	}
	return a.Expires.Compare(b.Expires)
}

// sameVersion reports whether both say the same and only their expiry may
// differ: an offer of what is held is no conflict.
func sameVersion(a, b *Item) bool {
	return a.Immutable() == b.Immutable() && sameContents(a, b) && a.Size == b.Size
}

// sameContents is sameVersion where the size may be a lie, as in the head of an
// immutable value.
func sameContents(a, b *Item) bool { return a.Seq == b.Seq && a.Hash == b.Hash }

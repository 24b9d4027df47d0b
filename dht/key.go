package dht

import (
	"bytes"
	"crypto/sha256"
	"math/bits"

	"lukechampine.com/blake3"

	"github.com/staex-mcc/mcc/identity"
)

// KeyBits is the length of a position.
const KeyBits = 256

// recordKeyTag keeps the positions of records apart from those of nodes and
// services, which are hashes too (spec 6.2).
const recordKeyTag = "mcc record position 1\x00"

// RecordKey is the position of an owner's record: SHA-256 of a tag, the owner's
// id and the name (spec 6.2).
func RecordKey(owner identity.ID, name string) Key {
	b := make([]byte, 0, len(recordKeyTag)+len(owner)+len(name))
	b = append(b, recordKeyTag...)
	b = append(b, owner[:]...)
	return sha256.Sum256(append(b, name...))
}

// ValueKey is the position and the name of an immutable value: its BLAKE3 hash
// (spec 6.2).
func ValueKey(value []byte) Key { return blake3.Sum256(value) }

// Distance is the XOR metric of Kademlia: the smaller as a big-endian number,
// the nearer.
func (k Key) Distance(other Key) Key {
	var d Key
	for i := range k {
		d[i] = k[i] ^ other[i]
	}
	return d
}

// CommonPrefix is how many leading bits k and other share, KeyBits if they are
// equal.
func (k Key) CommonPrefix(other Key) int {
	for i := range k {
		if x := k[i] ^ other[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return KeyBits
}

// Compare orders keys by their bytes.
func (k Key) Compare(other Key) int { return bytes.Compare(k[:], other[:]) }

// Bit is the i-th bit of k, 0 being the most significant.
func (k Key) Bit(i int) byte { return k[i/8] >> (7 - i%8) & 1 }

// compareDistance orders a and b by their distance to target.
func compareDistance(target, a, b Key) int {
	for i := range target {
		x, y := a[i]^target[i], b[i]^target[i]
		if x != y {
			return int(x) - int(y)
		}
	}
	return 0
}

// node is a contact with its position, which costs a hash to compute.
type node struct {
	Contact
	key Key
}

func newNode(c Contact) node { return node{Contact: c, key: KeyOf(c.ID)} }

// compareNodes orders by distance to target, then by id, so that every list of
// nodes has exactly one order.
func compareNodes(target Key, a, b node) int {
	if c := compareDistance(target, a.key, b.key); c != 0 {
		return c
	}
	return a.ID.Compare(b.ID)
}

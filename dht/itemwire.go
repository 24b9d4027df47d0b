package dht

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/staex-mcc/mcc/identity"
)

// An item on the wire and in the store (spec 6.2): a head, and behind it the
// value if the form says that it is whole. Numbers are big-endian, lengths in
// bytes.
//
// A record, of which the owner signs a tag and all between form and signature:
//
//	 0      1       33    41        49     53       85  86     86+n  150+n
//	+------+-------+-----+---------+------+--------+---+------+-----+-------+
//	| form | owner | seq | expires | size | SHA-256| n | name | sig | value |
//	| 1    | 32    | 8   | 8, Unix | 4    | 32     | 1 | n    | 64  | size  |
//	+------+-------+-----+---------+------+--------+---+------+-----+-------+
//
// An immutable value, whose key is its BLAKE3 hash:
//
//	 0      1     33        41     45
//	+------+-----+---------+------+-------+
//	| form | key | expires | size | value |
//	| 1    | 32  | 8, Unix | 4    | size  |
//	+------+-----+---------+------+-------+
//
// The form is 1 for a whole record, 2 for its head, 3 for a whole value, 4 for
// its head. What has an empty value is always whole.
const (
	formRecord     = 1
	formRecordHead = 2
	formValue      = 3
	formValueHead  = 4

	sigSize         = 64
	recordFixedSize = 1 + 32 + 8 + 8 + 4 + 32 + 1 + sigSize
	valueFixedSize  = 1 + 32 + 8 + 4
)

// headSize is how long the encoding of an item without its value is.
func headSize(it *Item) int {
	if it.Immutable() {
		return valueFixedSize
	}
	return recordFixedSize + len(it.Name)
}

// itemSize is how long the encoding is, with the value that is there.
func itemSize(it *Item) int { return headSize(it) + len(it.Value) }

// appendItem appends the encoding of an item that check accepts, nothing for
// nil.
func appendItem(dst []byte, it *Item) []byte {
	if it == nil {
		return dst
	}
	form := byte(formRecord)
	if it.Immutable() {
		form = formValue
	}
	if !it.Whole() {
		form++
	}
	dst = append(dst, form)
	switch {
	case it.Immutable():
		dst = append(dst, it.Key[:]...)
		dst = binary.BigEndian.AppendUint64(dst, uint64(it.Expires.Unix()))
		dst = binary.BigEndian.AppendUint32(dst, uint32(it.Size))
	default:
		dst = appendSigned(dst, it)
		dst = append(dst, it.Sig...)
	}
	return append(dst, it.Value...)
}

// appendSigned appends the fields of a record that its owner signs.
func appendSigned(dst []byte, it *Item) []byte {
	dst = append(dst, it.Owner[:]...)
	dst = binary.BigEndian.AppendUint64(dst, it.Seq)
	dst = binary.BigEndian.AppendUint64(dst, uint64(it.Expires.Unix()))
	dst = binary.BigEndian.AppendUint32(dst, uint32(it.Size))
	dst = append(dst, it.Hash[:]...)
	dst = append(dst, byte(len(it.Name)))
	return append(dst, it.Name...)
}

// decodeItem reads an item that fills b, whole or a head. It shares nothing with
// b. The value has been checked against its hash, the signature has not.
func decodeItem(b []byte) (*Item, error) {
	in := reader{b: b}
	it := &Item{}
	form := in.uint8()
	switch form {
	case formRecord, formRecordHead:
		it.decodeRecord(&in)
	case formValue, formValueHead:
		it.Key = in.id()
		it.Hash = it.Key
		it.Expires = in.unix()
		it.Size = int(in.uint32())
	default:
		return nil, fmt.Errorf("item: %w: form %d", ErrMalformed, form)
	}
	if in.failed {
		return nil, fmt.Errorf("item: %w: truncated or out of range", ErrMalformed)
	}
	if it.Immutable() != (form >= formValue) {
		return nil, fmt.Errorf("record: %w: no owner", ErrMalformed)
	}
	if err := it.check(); err != nil {
		return nil, err
	}
	if form == formRecordHead || form == formValueHead {
		return it, it.endHead(&in)
	}
	return it, it.decodeValue(&in)
}

func (it *Item) decodeRecord(in *reader) {
	it.Owner = identity.ID(in.id())
	it.Seq = in.uint64()
	it.Expires = in.unix()
	it.Size = int(in.uint32())
	it.Hash = in.id()
	it.Name = string(in.take(int(in.uint8())))
	it.Sig = in.clone(sigSize)
	it.Key = RecordKey(it.Owner, it.Name)
}

func (it *Item) endHead(in *reader) error {
	if it.Size == 0 {
		return fmt.Errorf("item: %w: a head of nothing", ErrMalformed)
	}
	return in.end("head")
}

// decodeValue takes the value behind the head, which is as the head says.
func (it *Item) decodeValue(in *reader) error {
	if len(in.b) != it.Size {
		return fmt.Errorf("item: %w: a value of %d bytes, %d are announced", ErrMalformed, len(in.b), it.Size)
	}
	it.Value = in.clone(it.Size)
	if it.Immutable() && ValueKey(it.Value) != it.Key || !it.Immutable() && Key(sha256.Sum256(it.Value)) != it.Hash {
		return fmt.Errorf("item: %w: the value does not have its hash", ErrMalformed)
	}
	return nil
}

// An entry of the store is an item with what the holder notes about it:
//
//	 0       1       33        33 or 65
//	+-------+-------+---------+------+
//	| flags | payer | bringer | item |
//	| 1     | 32    | 0 or 32 |      |
//	+-------+-------+---------+------+
//
// The flags are 0, 1 for an own item, or 2 for one with a bringer, who is
// neither zero nor the payer.
const (
	keptOwn     = 1
	keptBrought = 2
)

// appendKept appends the encoding of a kept item, which is whole.
func appendKept(dst []byte, k Kept) []byte {
	switch {
	case k.Own:
		dst = append(append(dst, keptOwn), k.Payer[:]...)
	case !k.Bringer.IsZero():
		dst = append(append(dst, keptBrought), k.Payer[:]...)
		dst = append(dst, k.Bringer[:]...)
	default:
		dst = append(append(dst, 0), k.Payer[:]...)
	}
	return appendItem(dst, k.Item)
}

// decodeKept reads an entry that fills b. A head alone is no entry.
func decodeKept(b []byte) (Kept, error) {
	in := reader{b: b}
	flags := in.uint8()
	k := Kept{Own: flags == keptOwn, Payer: identity.ID(in.id())}
	if flags == keptBrought {
		k.Bringer = identity.ID(in.id())
	}
	if in.failed || flags > keptBrought || flags == keptBrought && (k.Bringer.IsZero() || k.Bringer == k.Payer) {
		return Kept{}, fmt.Errorf("stored item: %w: bad start", ErrMalformed)
	}
	it, err := decodeItem(in.b)
	if err == nil && !it.Whole() {
		err = fmt.Errorf("stored item: %w: no value", ErrMalformed)
	}
	if err != nil {
		return Kept{}, err
	}
	k.Item = it
	return k, nil
}

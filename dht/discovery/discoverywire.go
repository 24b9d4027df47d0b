package discovery

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

// The body of a lease (spec 7); numbers are big-endian, lengths in bytes.
//
//	+---------+---------+--------+-----------+----------------+
//	| version | flags   | weight | label     | consortium     |
//	| 1 = 1   | 1       | 2      | 1 + n     | 1 + n          |
//	+---------+---------+--------+-----------+----------------+
//	| number of tags    | each tag                            |
//	| 1                 | 1 + n                               |
//	+-------------------+-------------------------------------+
//	| number of meta    | each key        | its value         |
//	| 1                 | 1 + n           | 2 + n             |
//	+-------------------+-----------------+-------------------+
//
// Flags has bit 0 for healthy, the others are 0. Tags stand in the provider's
// order, each once; meta in the order of its keys, each once.
const (
	bodyVersion = 1
	flagHealthy = 1 << 0
	// leaseOverhead is what a lease has around its body (spec 6.3).
	leaseOverhead = 146
	// maxBody is the longest body in bytes.
	maxBody = dht.MaxRecord - leaseOverhead
)

// body is what a provider says about itself.
type body struct {
	label, consortium string
	tags              []string
	meta              map[string]string
	weight            int
	healthy           bool
}

// encode returns the one encoding of b, or ErrInvalid.
func (b body) encode() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	var flags byte
	if b.healthy {
		flags = flagHealthy
	}
	out := []byte{bodyVersion, flags}
	out = binary.BigEndian.AppendUint16(out, uint16(b.weight))
	out = appendShort(out, b.label)
	out = appendShort(out, b.consortium)
	out = append(out, byte(len(b.tags)))
	for _, tag := range b.tags {
		out = appendShort(out, tag)
	}
	out = append(out, byte(len(b.meta)))
	for _, key := range slices.Sorted(maps.Keys(b.meta)) {
		out = appendShort(out, key)
		out = binary.BigEndian.AppendUint16(out, uint16(len(b.meta[key])))
		out = append(out, b.meta[key]...)
	}
	if len(out) > maxBody {
		return nil, fmt.Errorf("tags and meta: %w: %d bytes too many for a lease", ErrInvalid, len(out)-maxBody)
	}
	return out, nil
}

// appendShort appends a text of at most 255 bytes.
func appendShort(dst []byte, s string) []byte {
	return append(append(dst, byte(len(s))), s...)
}

// check holds the rules for what is sent and for what arrives.
func (b body) check() error {
	if b.weight < 1 || b.weight > MaxWeight {
		return fmt.Errorf("weight %d: %w: it must be 1 to %d", b.weight, ErrInvalid, MaxWeight)
	}
	if b.label != "" {
		if normal, err := identity.NormalizeLabel(b.label); err != nil || normal != b.label {
			return fmt.Errorf("label %.40q: %w", b.label, ErrInvalid)
		}
	}
	if err := checkConsortium(b.consortium); err != nil {
		return err
	}
	if err := checkTags(b.tags); err != nil {
		return err
	}
	return checkMeta(b.meta)
}

func checkTags(tags []string) error {
	if len(tags) > MaxTags {
		return fmt.Errorf("%d tags: %w: at most %d", len(tags), ErrInvalid, MaxTags)
	}
	for i, tag := range tags {
		if tag == "" || len(tag) > MaxTag || !isPrintable(tag) {
			return fmt.Errorf("tag %.64q: %w: it must be 1 to %d bytes of printable text", tag, ErrInvalid, MaxTag)
		}
		if slices.Contains(tags[:i], tag) {
			return fmt.Errorf("tag %q: %w: it is there twice", tag, ErrInvalid)
		}
	}
	return nil
}

func checkMeta(meta map[string]string) error {
	if len(meta) > MaxMeta {
		return fmt.Errorf("%d entries of meta: %w: at most %d", len(meta), ErrInvalid, MaxMeta)
	}
	size := 0
	// In order, so that the same fault always gives the same message.
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		if key == "" || len(key) > 255 || !isPrintable(key) || !isPrintable(meta[key]) {
			return fmt.Errorf("meta %.64q: %w: keys, not empty and up to 255 bytes, and values must be printable text", key, ErrInvalid)
		}
		size += len(key) + len(meta[key])
	}
	if size > MaxMetaKV {
		return fmt.Errorf("meta: %w: %d bytes, at most %d", ErrInvalid, size, MaxMetaKV)
	}
	return nil
}

// decodeBody is the inverse of encode; anything else is ErrInvalid. The result
// shares nothing with data.
func decodeBody(data []byte) (body, error) {
	if len(data) > maxBody {
		return body{}, fmt.Errorf("lease body: %w: %d bytes, at most %d", ErrInvalid, len(data), maxBody)
	}
	in := cryptobyte.String(data)
	var version, flags uint8
	var weight uint16
	var b body
	ok := in.ReadUint8(&version) && version == bodyVersion &&
		in.ReadUint8(&flags) && flags&^flagHealthy == 0 &&
		in.ReadUint16(&weight) &&
		readShort(&in, &b.label) && readShort(&in, &b.consortium) &&
		readTags(&in, &b.tags) && readMeta(&in, &b.meta) && in.Empty()
	if !ok {
		return body{}, fmt.Errorf("lease body: %w: malformed", ErrInvalid)
	}
	b.weight = int(weight)
	b.healthy = flags&flagHealthy != 0
	if err := b.check(); err != nil {
		return body{}, fmt.Errorf("lease body: %w", err)
	}
	return b, nil
}

func readShort(in *cryptobyte.String, out *string) bool {
	var text cryptobyte.String
	ok := in.ReadUint8LengthPrefixed(&text)
	*out = string(text)
	return ok
}

func readTags(in *cryptobyte.String, tags *[]string) bool {
	var n uint8
	if !in.ReadUint8(&n) || n > MaxTags {
		return false
	}
	for range n {
		var tag string
		if !readShort(in, &tag) {
			return false
		}
		*tags = append(*tags, tag)
	}
	return true
}

func readMeta(in *cryptobyte.String, meta *map[string]string) bool {
	var n uint8
	if !in.ReadUint8(&n) || n > MaxMeta {
		return false
	}
	last := "" // no key is empty, so the first is greater
	for range n {
		var key string
		var value cryptobyte.String
		if !readShort(in, &key) || key <= last || !in.ReadUint16LengthPrefixed(&value) {
			return false
		}
		if *meta == nil {
			*meta = make(map[string]string, n)
		}
		(*meta)[key] = string(value)
		last = key
	}
	return true
}

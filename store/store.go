// Package store is the contract for durable bytes under short keys.
//
// The node keeps records, registrations and contacts in one Store; each user of
// it works under a prefix of its own. store/memory forgets at Close, store/bolt
// survives kill -9. An implementation proves itself with store/storetest.
package store

import (
	"errors"
	"fmt"
	"iter"
)

// Limits of every implementation.
const (
	// MaxKey is the longest key in bytes.
	MaxKey = 256
	// MaxValue is the longest value in bytes: a 64 KiB record and its envelope.
	MaxValue = 80 << 10
)

// Store maps keys to values.
//
// It is safe for concurrent use. Slices passed in are copied and may be reused;
// slices handed out belong to the caller. Whoever opened a Store closes it.
type Store interface {
	// Get returns the value under key, or ErrNotFound. The value of an entry
	// written without one is empty.
	Get(key []byte) (value []byte, err error)
	// Put writes value under key, replacing what stood there. When it returns
	// nil, a durable store has the write on disk: it survives kill -9. Any
	// other error than ErrTooLarge and ErrClosed leaves open whether the write
	// took place. A key that is empty or over MaxKey, or a value over MaxValue,
	// is ErrTooLarge.
	Put(key, value []byte) error
	// Delete removes key durably; a key that is not there is no error.
	Delete(key []byte) error
	// Scan yields the entries whose key starts with prefix, once each and in
	// key order; an empty prefix is all. An entry that nobody touches during
	// the iteration is always among them; one that is added, replaced or
	// deleted meanwhile shows as it was before or after. The Store may be used,
	// written to and closed included, inside the loop. The first error ends the
	// sequence.
	Scan(prefix []byte) iter.Seq2[Entry, error]
	// Close waits for running calls, flushes and releases everything; it is
	// idempotent. Later calls return ErrClosed.
	Close() error
}

// Entry is one key and its value; both belong to whoever received it.
type Entry struct{ Key, Value []byte }

// CheckSize returns ErrTooLarge, with the reason, for what Put must refuse.
func CheckSize(key, value []byte) error {
	switch {
	case len(key) == 0:
		return fmt.Errorf("empty key: %w", ErrTooLarge)
	case len(key) > MaxKey:
		return fmt.Errorf("key of %d bytes, at most %d: %w", len(key), MaxKey, ErrTooLarge)
	case len(value) > MaxValue:
		return fmt.Errorf("value of %d bytes, at most %d: %w", len(value), MaxValue, ErrTooLarge)
	}
	return nil
}

// Conditions of every store, for errors.Is.
var (
	// ErrNotFound: nothing stands under the key.
	ErrNotFound = errors.New("not found")
	// ErrTooLarge: the key is empty or longer than MaxKey, or the value longer
	// than MaxValue.
	ErrTooLarge = errors.New("key or value has a wrong size")
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("store is closed")
	// ErrInUse: another process holds the files.
	ErrInUse = errors.New("in use by another process")
	// ErrDamaged: the files are not as the store wrote them.
	ErrDamaged = errors.New("damaged")
)

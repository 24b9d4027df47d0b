// Package bolt is the durable store.Store of a node, one bbolt file.
//
// Reads run in the caller's goroutine; all writes go through one goroutine that
// commits whatever has queued up while the previous commit waited for the disk
// (group commit), so a hundred callers cost a few fsyncs and a single one waits
// for nobody.
package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/staex-mcc/mcc/store"
)

// Bounds of one transaction.
const (
	// maxBatch is how many writes share a commit; more callers wait their turn.
	maxBatch = 256
	// scanEntries and scanBytes bound one page of a Scan; the last entry may
	// exceed scanBytes.
	scanEntries = 256
	scanBytes   = 256 << 10
)

// defaultLockTimeout is long enough for a node that is just stopping, and short
// enough to be no mystery.
const defaultLockTimeout = 500 * time.Millisecond

// bucket holds every entry of the store.
var bucket = []byte("mcc")

// Options tune a Store. The zero value is right for a node.
type Options struct {
	// LockTimeout is how long Open waits for another process to release the
	// file; zero is 500 ms.
	LockTimeout time.Duration
}

// Stats count since Open; they only grow.
type Stats struct {
	// Writes are the Put and Delete calls that were committed, Commits the
	// transactions that took; a commit waits for the disk twice.
	Writes, Commits uint64
}

// Store is a bbolt file in use. See Open.
type Store struct {
	path    string
	db      *bbolt.DB
	writes  chan *write
	closing chan struct{}
	stop    sync.Once
	// done is closed by run when the file is; closeErr is set before.
	done     chan struct{}
	closeErr error

	writeCount, commitCount atomic.Uint64
}

var _ store.Store = (*Store)(nil)

// write is one Put or Delete on its way through run, which answers done exactly
// once.
type write struct {
	key, value []byte
	remove     bool
	done       chan error
}

// Get implements store.Store.
func (s *Store) Get(key []byte) (value []byte, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		foundKey, found := tx.Bucket(bucket).Cursor().Seek(key)
		if len(key) == 0 || !bytes.Equal(foundKey, key) {
			return fmt.Errorf("key %q: %w", key, store.ErrNotFound)
		}
		if err := s.checkEntry(foundKey, found); err != nil {
			return err
		}
		value = append([]byte{}, found...)
		return nil
	})
	return value, err
}

// Put implements store.Store. It waits for the disk.
func (s *Store) Put(key, value []byte) error {
	if err := store.CheckSize(key, value); err != nil {
		return err
	}
	return s.enqueue(&write{key: key, value: value, done: make(chan error, 1)})
}

// Delete implements store.Store. It waits for the disk.
func (s *Store) Delete(key []byte) error {
	// What Put refuses cannot be there, and bbolt does not take an empty key.
	if store.CheckSize(key, nil) != nil {
		if s.isClosed() {
			return store.ErrClosed
		}
		return nil
	}
	return s.enqueue(&write{key: key, remove: true, done: make(chan error, 1)})
}

// enqueue hands w to run and waits for the commit. The channel has no buffer, so
// whatever run took gets an answer and the rest sees closing.
func (s *Store) enqueue(w *write) error {
	select {
	case s.writes <- w:
		return <-w.done
	case <-s.closing:
		return store.ErrClosed
	}
}

// Scan implements store.Store. It reads up to 256 entries or 256 KiB in one
// transaction and holds none while the loop body runs: an open read transaction
// would keep bbolt from reusing pages, and deadlock with a write of the same
// goroutine that grows the file.
func (s *Store) Scan(prefix []byte) iter.Seq2[store.Entry, error] {
	prefix = bytes.Clone(prefix)
	return func(yield func(store.Entry, error) bool) {
		for next, more := prefix, true; more; more = next != nil {
			var page []store.Entry
			var err error
			page, next, err = s.scanPage(prefix, next)
			if err != nil {
				yield(store.Entry{}, err)
				return
			}
			for _, e := range page {
				if s.isClosed() {
					yield(store.Entry{}, store.ErrClosed)
					return
				}
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// scanPage returns entries under prefix from the key from on, and where the
// next page starts; nil ends the scan.
func (s *Store) scanPage(prefix, from []byte) (page []store.Entry, next []byte, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		size := 0
		c := tx.Bucket(bucket).Cursor()
		for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
			if err := s.checkEntry(k, v); err != nil {
				return err
			}
			if len(page) == scanEntries || size >= scanBytes {
				next = bytes.Clone(k)
				return nil
			}
			page = append(page, store.Entry{Key: bytes.Clone(k), Value: append([]byte{}, v...)})
			size += len(k) + len(v)
		}
		return nil
	})
	return page, next, err
}

// checkEntry keeps a damaged length from becoming a huge allocation.
func (s *Store) checkEntry(key, value []byte) error {
	if err := store.CheckSize(key, value); err != nil {
		return fmt.Errorf("store %s: %w: %v", s.path, store.ErrDamaged, err)
	}
	return nil
}

// view runs read in a read transaction.
func (s *Store) view(read func(*bbolt.Tx) error) error {
	if s.isClosed() {
		return store.ErrClosed
	}
	err := guard(s.path, func() error { return s.db.View(read) })
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// Stats returns the counters.
func (s *Store) Stats() Stats {
	return Stats{Writes: s.writeCount.Load(), Commits: s.commitCount.Load()}
}

// Close implements store.Store. It waits for the commit under way.
func (s *Store) Close() error {
	s.stop.Do(func() { close(s.closing) })
	<-s.done
	return s.closeErr
}

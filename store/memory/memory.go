// Package memory is a store.Store that forgets everything at Close: the store
// of tests, and of a node without a data folder.
package memory

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/staex-mcc/mcc/store"
)

// Store keeps entries in a map. The zero Store is not usable; see New.
//
// A Scan walks all keys of the store to find those it wants, and holds no lock
// while the loop body runs.
type Store struct {
	mu sync.RWMutex
	// entries is nil once the store is closed. Values are never written to
	// after they went in, so a Scan may read them without the lock.
	entries map[string][]byte
}

var _ store.Store = (*Store)(nil)

// New returns an empty store. Memory is bounded only by what is put in.
func New() *Store {
	return &Store{entries: make(map[string][]byte)}
}

// Get implements store.Store.
func (s *Store) Get(key []byte) ([]byte, error) {
	s.mu.RLock()
	value, found := s.entries[string(key)]
	closed := s.entries == nil
	s.mu.RUnlock()
	switch {
	case closed:
		return nil, store.ErrClosed
	case !found:
		return nil, fmt.Errorf("key %q: %w", key, store.ErrNotFound)
	}
	return bytes.Clone(value), nil
}

// Put implements store.Store.
func (s *Store) Put(key, value []byte) error {
	if err := store.CheckSize(key, value); err != nil {
		return err
	}
	value = append([]byte{}, value...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		return store.ErrClosed
	}
	s.entries[string(key)] = value
	return nil
}

// Delete implements store.Store.
func (s *Store) Delete(key []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		return store.ErrClosed
	}
	delete(s.entries, string(key))
	return nil
}

// Scan implements store.Store. It yields the entries as they stood when the
// iteration began.
func (s *Store) Scan(prefix []byte) iter.Seq2[store.Entry, error] {
	start := string(prefix)
	return func(yield func(store.Entry, error) bool) {
		found, err := s.snapshot(start)
		if err != nil {
			yield(store.Entry{}, err)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(found)) {
			if s.isClosed() {
				yield(store.Entry{}, store.ErrClosed)
				return
			}
			if !yield(store.Entry{Key: []byte(key), Value: bytes.Clone(found[key])}, nil) {
				return
			}
		}
	}
}

// snapshot returns the entries under prefix, sharing their values.
func (s *Store) snapshot(prefix string) (map[string][]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.entries == nil {
		return nil, store.ErrClosed
	}
	found := make(map[string][]byte)
	for key, value := range s.entries {
		if strings.HasPrefix(key, prefix) {
			found[key] = value
		}
	}
	return found, nil
}

func (s *Store) isClosed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.entries == nil
}

// Close implements store.Store; it never fails.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = nil
	return nil
}

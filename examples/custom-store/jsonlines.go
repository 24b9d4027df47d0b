package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/staex-mcc/mcc/store"
)

// lines is a store.Store in one file, to which every write appends a line. It
// holds everything in memory and never shrinks the file: good for a few
// thousand entries. One process at a time may have the file.
type lines struct {
	mu      sync.RWMutex
	file    *os.File // nil once closed
	size    int64    // of the lines that are whole
	entries map[string][]byte
}

// line is one write; a nil value deletes.
type line struct {
	Key   []byte  `json:"k"`
	Value *[]byte `json:"v,omitempty"`
}

// openLines opens the store in the file at path, which is made if missing. The
// end of a write that a crash cut short is dropped; it was never acknowledged.
func openLines(path string) (*lines, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &lines{file: f, entries: map[string][]byte{}}
	if err := errors.Join(s.load(), syncFolder(filepath.Dir(path))); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), f.Close())
	}
	return s, nil
}

// syncFolder makes the name of a new file last, as Windows does by itself.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func (s *lines) load() error {
	for r := bufio.NewReader(s.file); ; {
		text, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return s.file.Truncate(s.size)
		}
		if err != nil {
			return err
		}
		var l line
		if json.Unmarshal(text, &l) != nil || len(l.Key) == 0 {
			return fmt.Errorf("line at byte %d: %w", s.size, store.ErrDamaged)
		}
		s.apply(l)
		s.size += int64(len(text))
	}
}

func (s *lines) apply(l line) {
	if l.Value == nil {
		delete(s.entries, string(l.Key))
		return
	}
	s.entries[string(l.Key)] = bytes.Clone(*l.Value)
}

// undo cuts off what a failed write left behind. A store that cannot is closed:
// with the next write the piece would look like damage.
func (s *lines) undo(err error) error {
	if cut := s.file.Truncate(s.size); cut != nil {
		err = errors.Join(err, cut, s.file.Close())
		s.file = nil
	}
	return err
}

// write appends l durably.
func (s *lines) write(l line) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return store.ErrClosed
	}
	if _, there := s.entries[string(l.Key)]; l.Value == nil && !there {
		return nil
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if _, err := s.file.WriteAt(text, s.size); err != nil {
		return s.undo(err)
	}
	if err := s.file.Sync(); err != nil {
		return s.undo(err)
	}
	s.size += int64(len(text))
	s.apply(l)
	return nil
}

func (s *lines) Put(key, value []byte) error {
	if err := store.CheckSize(key, value); err != nil {
		return err
	}
	if value == nil {
		value = []byte{} // null would delete
	}
	return s.write(line{Key: key, Value: &value})
}

func (s *lines) Delete(key []byte) error { return s.write(line{Key: key}) }

func (s *lines) Get(key []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	value, ok := s.entries[string(key)]
	switch {
	case s.file == nil:
		return nil, store.ErrClosed
	case !ok:
		return nil, store.ErrNotFound
	}
	return bytes.Clone(value), nil
}

// Scan takes the keys at its beginning and each value when it is due, so no
// lock is held while the loop runs.
func (s *lines) Scan(prefix []byte) iter.Seq2[store.Entry, error] {
	from := string(prefix) // the caller may reuse the slice
	return func(yield func(store.Entry, error) bool) {
		keys, err := s.keys(from)
		for _, key := range keys {
			var value []byte
			value, err = s.Get([]byte(key))
			if errors.Is(err, store.ErrNotFound) {
				err = nil
				continue // deleted meanwhile
			}
			if err != nil || !yield(store.Entry{Key: []byte(key), Value: value}, nil) {
				break
			}
		}
		if err != nil {
			yield(store.Entry{}, err)
		}
	}
}

func (s *lines) keys(prefix string) ([]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.file == nil {
		return nil, store.ErrClosed
	}
	var keys []string
	for key := range s.entries {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func (s *lines) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file = nil
	return file.Close()
}

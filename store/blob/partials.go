package blob

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	dataSuffix  = ".part"
	stateSuffix = ".state"
)

// PartialInfo is what is known of a fetch that was begun and not completed.
type PartialInfo struct {
	ID   ID
	Size int64     // bytes; proven only if the last group is here
	Have int64     // verified bytes that are here
	Used time.Time // when it was last saved; now if it is open
}

func (s *Store) partials() string { return filepath.Join(s.dir, "partial") }

func (s *Store) partial(id ID, suffix string) string {
	return filepath.Join(s.partials(), id.String()+suffix)
}

// Partials lists the fetches begun and not completed, open ones too, sorted by
// id. It does not touch the disk. The slice belongs to the caller.
func (s *Store) Partials() []PartialInfo {
	now := time.Now()
	s.mu.Lock()
	all := make([]PartialInfo, 0, len(s.resting)+len(s.fetching))
	for _, p := range s.resting {
		all = append(all, p)
	}
	for _, f := range s.fetching {
		all = append(all, PartialInfo{ID: f.id, Size: f.size, Have: f.bytesHere(), Used: now})
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b PartialInfo) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return all
}

// SweepPartials removes the partials that nobody has open and nobody has used for
// longer than that; 0 is all of them. It returns how many, and the first error.
func (s *Store) SweepPartials(olderThan time.Duration) (removed int, err error) {
	limit := time.Now().Add(-olderThan)
	for _, p := range s.Partials() {
		ok, err := s.sweepPartial(p.ID, limit)
		if err != nil {
			return removed, fmt.Errorf("sweep partials: %w", err)
		}
		if ok {
			removed++
		}
	}
	return removed, nil
}

func (s *Store) sweepPartial(id ID, limit time.Time) (bool, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	s.folder(id).Lock()
	defer s.folder(id).Unlock()
	s.mu.Lock()
	p, ok := s.resting[id]
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return false, ErrClosed
	}
	if !ok || p.Used.After(limit) {
		return false, nil
	}
	return true, s.removePartial(id)
}

// removePartial removes the files, and what is known of a partial that nobody has
// open. The caller holds the folder's lock. The state goes first: what it claims
// must be there as long as it is.
func (s *Store) removePartial(id ID) error {
	s.mu.Lock()
	delete(s.resting, id)
	s.mu.Unlock()
	for _, suffix := range []string{stateSuffix, dataSuffix, treeSuffix} {
		if err := s.disk.remove(s.partial(id, suffix)); err != nil {
			return err
		}
	}
	return nil
}

// scanPartials lists what earlier runs were fetching, and sweeps what no state
// tells about: such a fetch had not saved anything yet.
func (s *Store) scanPartials() error {
	files, err := os.ReadDir(s.partials())
	if err != nil {
		return err
	}
	for _, file := range files {
		name := file.Name()
		id, err := ParseID(strings.TrimSuffix(name, filepath.Ext(name)))
		if err != nil || s.partial(id, filepath.Ext(name)) != filepath.Join(s.partials(), name) {
			continue
		}
		if _, known := s.resting[id]; known {
			continue
		}
		st, err := s.readState(id)
		if err != nil && !lost(err) {
			return err
		}
		if err != nil {
			if err := s.sweep(filepath.Join(s.partials(), name)); err != nil {
				return err
			}
			continue
		}
		have, _ := st.have.bytes(st.size)
		s.resting[id] = PartialInfo{ID: id, Size: st.size, Have: have, Used: st.used}
	}
	return nil
}

// readState reads a state file and checks that the files it tells about are long
// enough for what it claims.
func (s *Store) readState(id ID) (state, error) {
	b, err := readSmall(s.partial(id, stateSuffix), stateLen(MaxSize))
	if err != nil {
		return state{}, err
	}
	st, err := decodeState(b)
	if err != nil {
		return state{}, err
	}
	if st.id != id {
		return state{}, fmt.Errorf("%w: it is that of %s", errState, st.id)
	}
	return st, s.checkClaims(st)
}

func (s *Store) checkClaims(st state) error {
	data, err := os.Stat(s.partial(st.id, dataSuffix))
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.partial(st.id, treeSuffix)); err != nil {
		return err
	}
	end := min(st.size, int64(st.have.top())*GroupSize)
	if data.Size() < end {
		return fmt.Errorf("%w: %d bytes of content, at least %d claimed", errState, data.Size(), end)
	}
	return nil
}

// lost says of an error of readState that there is nothing to resume, unlike a
// disk that fails.
func lost(err error) bool { return errors.Is(err, errState) || errors.Is(err, fs.ErrNotExist) }

// readSmall reads a file of at most that many bytes.
func readSmall(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	return b, errors.Join(err, f.Close())
}

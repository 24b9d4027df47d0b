// Package blob keeps BLOBs: files named by the BLAKE3 hash of their content, each
// beside its BLAKE3 tree over groups of 16 KiB, so that any range is verified as
// it is read, sent or received.
//
// A Store is a folder. Put takes a BLOB from a stream, Get reads it; WriteSlice
// and ReadSlice carry ranges of it between nodes with the proof that they belong
// to it (docs/spec.md, slices); a Partial collects them until it is whole.
//
//	ab/abcd….blob   the content, whole, of the BLOB abcd…
//	ab/abcd….tree   who it is (a header) and its tree, 64 bytes a group
//	partial/        what is being fetched: content, tree, and which groups count
//	tmp/            files without a name yet; Open and Close empty it
//	lock            empty; locked by who has the Store open
//
// A file gets its name under ab/ when all of it is on disk, so no partial file
// ever stands there, and what Put or Complete acknowledged survives a power cut.
package blob

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Info is what is known of a BLOB that is here, whole.
type Info struct {
	ID   ID
	Size int64 // bytes
	// Name is what it was called by whoever put it, as CleanName left it; it may
	// be empty, and other BLOBs may have the same.
	Name  string
	Added time.Time
}

// Options of a Store; the zero value is ready for use.
type Options struct {
	// Logger tells of damage found and of leftovers; nil is silent.
	Logger *zap.Logger
}

// Stats counts what a Store holds now, and what it has met since Open.
type Stats struct {
	Blobs        int   // whole ones
	Bytes        int64 // of their content; the trees take 0.4 % more
	Damaged      int   // of Blobs, and of files that are none: known to be damaged
	Partials     int   // fetches begun and not completed, open ones too
	PartialBytes int64 // verified bytes in them
	Swept        int   // files of an earlier run that Open removed
}

// Store is a folder of BLOBs. It is safe for concurrent use, by one process at a
// time: a second one would sweep the first one's files, so Open locks the folder.
// All that is not on disk is an index of about 200 bytes a BLOB.
type Store struct {
	dir     string
	log     *zap.Logger
	disk    disk
	scratch sync.Pool // of *local
	lock    *os.File  // nil before the folder is locked
	closing atomic.Bool

	// Commits hold gate for reading, Close for writing.
	gate sync.RWMutex
	// One commit at a time in each folder, and one opening, completing or
	// closing of a partial whose id belongs there. Unlike mu these are held
	// while the disk works.
	folders [256]sync.Mutex

	mu       sync.Mutex // of what is below
	closed   bool
	blobs    map[ID]entry
	fetching map[ID]*fetch       // open partials
	resting  map[ID]PartialInfo  // partials that nobody has open
	drafts   map[*draft]struct{} // of Puts under way, one each
	swept    int
}

// entry is a BLOB in the index.
type entry struct {
	Info
	state condition
}

// condition says how far the files of a BLOB can be used.
type condition uint8

const (
	sound  condition = iota // nothing wrong is known
	flawed                  // some group or node is wrong; the others are served
	broken                  // header or length is wrong; nothing can be read
)

func (s *Store) path(id ID, suffix string) string {
	name := id.String()
	return filepath.Join(s.dir, name[:2], name+suffix)
}

func (s *Store) tmp() string { return filepath.Join(s.dir, "tmp") }

// folder is the lock of the folder that id belongs to.
func (s *Store) folder(id ID) *sync.Mutex { return &s.folders[id[0]] }

// find returns ErrNotFound and ErrClosed; entries of any condition are found.
func (s *Store) find(id ID) (entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return entry{}, ErrClosed
	}
	e, ok := s.blobs[id]
	if !ok {
		return entry{}, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	return e, nil
}

// holds says whether the BLOB is here, whole and with nothing known wrong.
func (s *Store) holds(id ID) (Info, bool) {
	e, err := s.find(id)
	return e.Info, err == nil && e.state == sound
}

// nameOf is what a BLOB that is here, damaged or not, is called, else the other
// name.
func (s *Store) nameOf(id ID, other string) string {
	e, _ := s.find(id)
	return cmp.Or(e.Name, other)
}

// Stat tells of a BLOB without touching the disk. ErrNotFound if it is not here,
// ErrDamaged if its files cannot be read at all.
func (s *Store) Stat(id ID) (Info, error) {
	e, err := s.find(id)
	if err == nil && e.state == broken {
		err = fmt.Errorf("%s: %w", id, ErrDamaged)
	}
	if err != nil {
		return Info{}, err
	}
	return e.Info, nil
}

// List returns all BLOBs that can be read, sorted by id. It does not touch the
// disk. The slice belongs to the caller.
func (s *Store) List() []Info {
	s.mu.Lock()
	all := make([]Info, 0, len(s.blobs))
	for _, e := range s.blobs {
		if e.state != broken {
			all = append(all, e.Info)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b Info) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return all
}

// Stats counts; it does not touch the disk.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Swept: s.swept, Partials: len(s.resting) + len(s.fetching)}
	for _, e := range s.blobs {
		if e.state != broken {
			st.Blobs++
			st.Bytes += e.Size
		}
		if e.state != sound {
			st.Damaged++
		}
	}
	for _, p := range s.resting {
		st.PartialBytes += p.Have
	}
	for _, f := range s.fetching {
		st.PartialBytes += f.bytesHere()
	}
	return st
}

// suspect notes that reading id met damage: Put and Partial take the BLOB as
// missing from now on and replace it.
func (s *Store) suspect(id ID, c condition, err error) {
	s.mu.Lock()
	e, ok := s.blobs[id]
	news := ok && e.state < c
	if news {
		e.state = c
		s.blobs[id] = e
	}
	s.mu.Unlock()
	if news {
		s.log.Error("blob is damaged", zap.Stringer("blob", id), zap.Error(err))
	}
}

// Delete removes a BLOB, damaged or not. Open readers of it go on, except on
// Windows, where it fails as long as there are any. ErrNotFound if it is not here.
func (s *Store) Delete(id ID) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	s.folder(id).Lock()
	defer s.folder(id).Unlock()
	if _, err := s.find(id); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	// Without the content the tree is a leftover that Open sweeps.
	if err := s.disk.remove(s.path(id, blobSuffix)); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	s.mu.Lock()
	delete(s.blobs, id)
	s.mu.Unlock()
	err := s.disk.remove(s.path(id, treeSuffix))
	if err := cmp.Or(err, s.disk.syncDir(filepath.Dir(s.path(id, "")))); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	return nil
}

// Close waits for commits under way, keeps all partials for the next run and
// ends them; it is idempotent. Open Blobs go on until they are closed. A Put
// under way fails with ErrClosed: Close waits for what its disk is doing and
// removes its files, but not for its reader, which may be silent for ever.
func (s *Store) Close() error {
	s.closing.Store(true) // whoever reads at length lets go
	s.gate.Lock()
	defer s.gate.Unlock()
	s.mu.Lock()
	s.closed = true
	open := slices.Collect(maps.Values(s.fetching))
	drafts := slices.Collect(maps.Keys(s.drafts))
	s.mu.Unlock()
	for _, d := range drafts {
		d.drop()
	}
	var errs []error
	for _, f := range open {
		errs = append(errs, f.shut())
	}
	return errors.Join(append(errs, s.unlock())...)
}

// now is the time as a header gives it back: no zone, no monotonic clock.
func now() time.Time { return time.Unix(0, time.Now().UnixNano()).UTC() }

// exists says whether a file is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

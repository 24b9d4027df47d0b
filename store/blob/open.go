package blob

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"go.uber.org/zap"
)

const (
	blobSuffix = ".blob"
	treeSuffix = ".tree"
	lockName   = "lock"
)

// Open opens the Store in the folder dir and makes it (mode 0700) with the
// folders above if missing. It removes what an earlier run had no time to give
// its name, except partials, and reads the index: two short reads a BLOB. A
// damaged file does not stop it: that BLOB is ErrDamaged until it is put, fetched
// or deleted. Files it does not know stay untouched. The caller closes the Store.
//
// ErrInUse: another Store, of this process or another, has the folder open. It is
// noticed where flock(2) is to be had; elsewhere, as on Windows, the caller sees
// to it. The lock ends with the process, however that ends.
func Open(dir string, o Options) (*Store, error) {
	return open(dir, o, disk{})
}

func open(dir string, o Options, d disk) (*Store, error) {
	s := &Store{
		dir:      dir,
		log:      o.Logger,
		disk:     d,
		scratch:  sync.Pool{New: func() any { return new(local) }},
		blobs:    map[ID]entry{},
		fetching: map[ID]*fetch{},
		resting:  map[ID]PartialInfo{},
		drafts:   map[*draft]struct{}{},
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	for _, step := range []func() error{s.makeFolders, s.lockFolder, s.sweepTemporary, s.scan, s.scanPartials} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("open blob store: %w", errors.Join(err, s.unlock()))
		}
	}
	if s.swept > 0 {
		s.log.Info("removed what an earlier run left unfinished", zap.Int("n", s.swept))
	}
	return s, nil
}

func (s *Store) makeFolders() error {
	for _, dir := range []string{s.tmp(), s.partials()} {
		if err := s.disk.mkdir(dir); err != nil {
			return err
		}
	}
	return nil
}

// lockFolder comes ahead of all that a second Store in the folder would spoil.
func (s *Store) lockFolder() error {
	f, err := s.disk.open(filepath.Join(s.dir, lockName))
	if err != nil {
		return err
	}
	s.lock = f
	if err := lockFile(f); err != nil {
		return fmt.Errorf("lock %s: %w", s.dir, err)
	}
	return nil
}

// unlock is idempotent. The file stays: who removes it could remove the one that
// another process has just locked.
func (s *Store) unlock() error {
	if s.lock == nil {
		return nil
	}
	if err := s.lock.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

func (s *Store) sweepTemporary() error {
	files, err := os.ReadDir(s.tmp())
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := s.sweep(filepath.Join(s.tmp(), f.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) sweep(path string) error {
	s.swept++
	return s.disk.remove(path)
}

// scan reads the index from the folders 00 to ff.
func (s *Store) scan() error {
	for i := range len(s.folders) {
		dir := filepath.Join(s.dir, fmt.Sprintf("%02x", i))
		if !exists(dir) {
			continue
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := s.scanFile(filepath.Join(dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) scanFile(path string) error {
	suffix := filepath.Ext(path)
	id, err := ParseID(strings.TrimSuffix(filepath.Base(path), suffix))
	if err != nil || s.path(id, suffix) != path {
		return nil // nobody's business here
	}
	switch suffix {
	case treeSuffix:
		if !exists(s.path(id, blobSuffix)) {
			return s.settleTree(id)
		}
	case blobSuffix:
		s.index(id)
	}
	return nil
}

// settleTree deals with a tree that stands alone: a commit or a Delete was cut
// off. One that came from a partial goes back to it.
func (s *Store) settleTree(id ID) error {
	if exists(s.partial(id, dataSuffix)) && !exists(s.partial(id, treeSuffix)) {
		return s.disk.rename(s.path(id, treeSuffix), s.partial(id, treeSuffix))
	}
	return s.sweep(s.path(id, treeSuffix))
}

func (s *Store) index(id ID) {
	e := entry{Info: Info{ID: id}}
	info, err := s.inspect(id)
	if err != nil {
		e.state = broken
		s.log.Error("blob is damaged", zap.Stringer("blob", id), zap.Error(err))
	} else {
		e.Info = info
	}
	s.blobs[id] = e
}

// inspect reads the header of a BLOB's tree and compares the lengths with it.
func (s *Store) inspect(id ID) (Info, error) {
	tree, err := os.Open(s.path(id, treeSuffix))
	if err != nil {
		return Info{}, err
	}
	defer func() { _ = tree.Close() }()
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(tree, header); err != nil {
		return Info{}, err
	}
	info, _, err := decodeHeader(header)
	if err != nil {
		return Info{}, err
	}
	if info.ID != id {
		return Info{}, fmt.Errorf("the tree is that of %s", info.ID)
	}
	if err := checkLength(s.path(id, blobSuffix), info.Size); err != nil {
		return Info{}, err
	}
	return info, checkLength(tree.Name(), treeSize(info.Size))
}

func checkLength(path string, want int64) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st.Size() != want {
		return fmt.Errorf("%s has %d bytes of %d", filepath.Base(path), st.Size(), want)
	}
	return nil
}

package blob

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// commit gives a whole BLOB its name. data and tree are the paths of its files,
// which are synced; they may still be there afterwards. If the BLOB is here
// already, that one stays, and is called info.Name if it had no name.
func (s *Store) commit(info Info, data, tree string) (Info, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	s.folder(info.ID).Lock()
	defer s.folder(info.ID).Unlock()
	return s.commitLocked(info, data, tree)
}

// commitLocked is commit for who holds gate and the folder's lock.
func (s *Store) commitLocked(info Info, data, tree string) (Info, error) {
	if _, err := s.find(info.ID); errors.Is(err, ErrClosed) {
		return Info{}, err
	}
	if old, ok := s.holds(info.ID); ok {
		return s.nameLocked(old, info.Name)
	}
	if err := s.place(info.ID, data, tree); err != nil {
		return Info{}, err
	}
	s.put(info)
	return info, nil
}

func (s *Store) put(info Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[info.ID] = entry{Info: info}
}

// place moves the files. The content comes last: it is what makes the BLOB
// exist, and must not be durable before its tree. After an error they are back
// where they were.
func (s *Store) place(id ID, data, tree string) error {
	dir := filepath.Dir(s.path(id, ""))
	if err := s.disk.mkdir(dir); err != nil {
		return err
	}
	if err := s.move(tree, s.path(id, treeSuffix)); err != nil {
		return err
	}
	if err := s.move(data, s.path(id, blobSuffix)); err != nil {
		_ = s.disk.rename(s.path(id, treeSuffix), tree)
		return err
	}
	return nil
}

// move renames durably, or not at all.
func (s *Store) move(from, to string) error {
	if err := s.disk.rename(from, to); err != nil {
		return err
	}
	if err := s.disk.syncDir(filepath.Dir(to)); err != nil {
		_ = s.disk.rename(to, from)
		return err
	}
	return nil
}

// nameLocked gives a BLOB a name unless it has one. The tree is written anew with
// it, for a header changed in place could tear.
func (s *Store) nameLocked(info Info, name string) (Info, error) {
	if info.Name != "" || name == "" {
		return info, nil
	}
	info.Name = name
	f, err := s.disk.temp(s.tmp(), "name-*")
	if err != nil {
		return Info{}, err
	}
	defer func() { _ = s.disk.remove(f.Name()) }()
	err = s.copyTree(f, info)
	if err = errors.Join(err, f.Close()); err != nil {
		return Info{}, err
	}
	if err := s.disk.rename(f.Name(), s.path(info.ID, treeSuffix)); err != nil {
		return Info{}, err
	}
	if err := s.disk.syncDir(filepath.Dir(s.path(info.ID, ""))); err != nil {
		return Info{}, err
	}
	s.put(info)
	return info, nil
}

// copyTree writes to f the tree of the BLOB under a new header.
func (s *Store) copyTree(f *os.File, info Info) error {
	old, err := os.Open(s.path(info.ID, treeSuffix))
	if err != nil {
		return err
	}
	defer func() { _ = old.Close() }()
	if err := s.disk.writeAt(f, appendHeader(nil, info), 0); err != nil {
		return err
	}
	buf := make([]byte, min(treeSize(info.Size), leafRun*pairSize))
	for off := int64(headerSize); ; {
		n, err := old.ReadAt(buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("copy tree: %w", err)
		}
		if n == 0 {
			return s.disk.sync(f)
		}
		if err := s.disk.writeAt(f, buf[:n], off); err != nil {
			return err
		}
		off += int64(n)
	}
}

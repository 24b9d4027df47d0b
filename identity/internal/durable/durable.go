// Package durable writes sets of small files that must not be lost: keys and
// what belongs to them. A file is whole and on the disk, or absent.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// File is one file to write.
type File struct {
	// Name is a plain name inside the folder.
	Name string
	Data []byte
	// Mode is the permission bits, such as 0600.
	Mode fs.FileMode
}

// Write puts files into dir, in their order, all or none of them; dir and its
// parents are made with mode 0700. Each file is written beside its place,
// synced and then moved there, and the folder is synced last.
//
// Without force no existing file is replaced, even one that appears meanwhile:
// the error is fs.ErrExist and names it. With force what was there is put back
// if a later file fails. Only a crash can leave a beginning of the set.
func Write(dir string, force bool, files ...File) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	for _, f := range files {
		if err := checkFree(filepath.Join(dir, f.Name), force); err != nil {
			return err
		}
	}
	s := set{dir: dir, force: force}
	defer s.cleanUp()
	for _, f := range files {
		if err := s.stage(f); err != nil {
			return err
		}
	}
	if err := s.place(); err != nil {
		s.rollBack()
		return err
	}
	return nil
}

// makeDir is MkdirAll that also makes the new folder itself durable.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil // if it is no folder, the first file says so
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(filepath.Clean(dir)))
}

// checkFree finds obstacles before anything is written.
func checkFree(path string, force bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s: is a directory", path)
	case !force:
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	return nil
}

// set is one Write on its way.
type set struct {
	dir   string
	force bool
	files []staged
}

// staged is a file written beside its place. Placed says that it stands there
// now, and kept is where its predecessor waits, if it had one.
type staged struct {
	temporary, final, kept string
	placed                 bool
}

func (s *set) stage(f File) error {
	out, err := os.CreateTemp(s.dir, "."+f.Name+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	s.files = append(s.files, staged{temporary: out.Name(), final: filepath.Join(s.dir, f.Name)})
	_, err = out.Write(f.Data)
	if err == nil && runtime.GOOS != "windows" {
		err = out.Chmod(f.Mode)
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// place moves every file to its name. The folder is synced after each, so that
// a crash leaves a beginning of the set and never its end.
func (s *set) place() error {
	for i := range s.files {
		f := &s.files[i]
		if err := s.move(f); err != nil {
			return err
		}
		f.placed = true
		if err := syncDir(s.dir); err != nil {
			return err
		}
	}
	return nil
}

func (s *set) move(f *staged) error {
	if s.force {
		if err := f.keepOld(); err != nil {
			return err
		}
		return os.Rename(f.temporary, f.final)
	}
	// A link, unlike a rename, fails if somebody else was faster.
	err := os.Link(f.temporary, f.final)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s: %w", f.final, fs.ErrExist)
	}
	// File systems without links (FAT): check again and rename.
	if err := checkFree(f.final, false); err != nil {
		return err
	}
	return os.Rename(f.temporary, f.final)
}

// keepOld gives the predecessor a second name while it is being replaced.
func (f *staged) keepOld() error {
	if _, err := os.Lstat(f.final); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	kept := f.temporary + ".old"
	if err := os.Link(f.final, kept); err != nil {
		if err := os.Rename(f.final, kept); err != nil {
			return err
		}
	}
	f.kept = kept
	return nil
}

// rollBack restores what was there. Its own failures leave kept files behind,
// which cleanUp then spares.
func (s *set) rollBack() {
	for i := range s.files {
		f := &s.files[i]
		switch {
		case f.kept != "":
			if err := os.Rename(f.kept, f.final); err != nil {
				f.kept = "" // do not delete the only copy
			}
		case f.placed:
			os.Remove(f.final)
		}
	}
	syncDir(s.dir)
}

func (s *set) cleanUp() {
	for _, f := range s.files {
		os.Remove(f.temporary)
		if f.kept != "" {
			os.Remove(f.kept)
		}
	}
}

// syncDir makes new names in dir durable. Windows cannot and need not.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// CheckPrivate refuses a key file that group or others can read, and says what
// to do. Windows has no such bits.
func CheckPrivate(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s: mode %04o lets other users at the private key; run: chmod 600 %s", path, mode, path)
	}
	return nil
}

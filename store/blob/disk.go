package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// disk is every change to the file system that this package makes, in one place:
// a test can watch the order, let one fail, or let none happen after a moment.
type disk struct {
	// before is called ahead of each change, which an error prevents. nil is
	// none.
	before func(op, path string) error
}

func (d disk) do(op, path string, change func() error) error {
	if d.before != nil {
		if err := d.before(op, path); err != nil {
			return &fs.PathError{Op: op, Path: path, Err: err}
		}
	}
	return change()
}

// temp makes a file of a new name in dir, for its owner alone.
func (d disk) temp(dir, pattern string) (f *os.File, err error) {
	err = d.do("create", filepath.Join(dir, pattern), func() error {
		f, err = os.CreateTemp(dir, pattern)
		return err
	})
	return f, err
}

// open makes the file if it is missing.
func (d disk) open(path string) (f *os.File, err error) {
	err = d.do("open", path, func() error {
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		return err
	})
	return f, err
}

func (d disk) writeAt(f *os.File, b []byte, off int64) error {
	return d.do("write", f.Name(), func() error {
		_, err := f.WriteAt(b, off)
		return err
	})
}

func (d disk) truncate(f *os.File, size int64) error {
	return d.do("truncate", f.Name(), func() error { return f.Truncate(size) })
}

func (d disk) sync(f *os.File) error {
	return d.do("sync", f.Name(), f.Sync)
}

func (d disk) rename(from, to string) error {
	return d.do("rename", to, func() error { return os.Rename(from, to) })
}

// remove does not mind if there is nothing.
func (d disk) remove(path string) error {
	return d.do("remove", path, func() error {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// mkdir makes dir with the folders above it, and syncs where each is entered: a
// power cut cannot lose a folder with acknowledged files in it.
func (d disk) mkdir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := d.mkdir(parent); err != nil {
			return err
		}
	}
	err := d.do("mkdir", dir, func() error { return os.Mkdir(dir, 0o700) })
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.syncDir(parent)
}

// syncDir makes the names in dir durable. Windows has no such call.
func (d disk) syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return d.do("sync", dir, func() error {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("sync folder %s: %w", dir, err)
		}
		return nil
	})
}

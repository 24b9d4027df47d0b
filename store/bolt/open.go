package bolt

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/staex-mcc/mcc/store"
)

// Open opens the store in the file at path, and makes it (mode 0600) and the
// folders above it (0700) if missing. A file that another process holds is
// store.ErrInUse, one that is truncated or no store is store.ErrDamaged; neither
// is changed. The caller closes the Store.
func Open(path string, opts Options) (*Store, error) {
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	_, statErr := os.Stat(path)
	db, err := openFile(path, opts)
	if err != nil {
		return nil, err
	}
	if err := prepare(db, path, errors.Is(statErr, fs.ErrNotExist)); err != nil {
		// Closing could touch the same damage; the first error says more.
		_ = guard(path, db.Close)
		return nil, err
	}
	s := &Store{
		path:    path,
		db:      db,
		writes:  make(chan *write),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
	go s.run()
	return s, nil
}

// openFile has bbolt lock and map the file. A bbolt that panics in the middle
// has no handle to close, so the lock is released here; the mapping stays until
// the process ends.
func openFile(path string, opts Options) (db *bbolt.DB, err error) {
	var file *os.File
	boltOpts := &bbolt.Options{
		Timeout:      cmp.Or(opts.LockTimeout, defaultLockTimeout),
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			file = f
			return f, err
		},
	}
	err = guard(path, func() error {
		db, err = bbolt.Open(path, 0o600, boltOpts)
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("open store %s: %w: stop the other node or choose another data folder", path, store.ErrInUse)
	case errors.Is(err, store.ErrDamaged):
		unlock(file)
		_ = file.Close()
		return nil, err
	case errors.As(err, new(syscall.Errno)):
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	// What is left is bbolt's complaint about the content.
	return nil, damaged(path, err)
}

// prepare checks the file that db has locked, and makes the bucket.
func prepare(db *bbolt.DB, path string, fresh bool) error {
	var need int64
	var ready bool
	err := guard(path, func() error {
		return db.View(func(tx *bbolt.Tx) error {
			need = tx.Size()
			ready = tx.Bucket(bucket) != nil
			return nil
		})
	})
	if err != nil {
		return err
	}
	// bbolt maps what its header promises and only notices a missing end when
	// it reads there.
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if info.Size() < need {
		return damaged(path, fmt.Errorf("it has %d bytes of %d", info.Size(), need))
	}
	if !ready {
		if err := makeBucket(db, path); err != nil {
			return err
		}
	}
	if fresh {
		return syncFolder(filepath.Dir(path))
	}
	return nil
}

func makeBucket(db *bbolt.DB, path string) error {
	return guard(path, func() error {
		return db.Update(func(tx *bbolt.Tx) error {
			if _, err := tx.CreateBucket(bucket); err != nil {
				return fmt.Errorf("open store %s: %w", path, err)
			}
			return nil
		})
	})
}

// guard calls do, which may only be bbolt's code and short reads of what it
// maps. On a damaged file bbolt panics, or reads where the mapping has no file
// behind it, which the runtime reports as a fault; both become ErrDamaged. Its
// transactions roll back on a panic.
func guard(path string, do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damaged(path, fmt.Errorf("%v", r))
		}
	}()
	return do()
}

func damaged(path string, reason error) error {
	return fmt.Errorf("store %s: %w (%v): restore it from a backup, or move it away to start empty",
		path, store.ErrDamaged, reason)
}

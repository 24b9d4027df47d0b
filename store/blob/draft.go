package blob

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
)

// draft is a BLOB that is being written. Put owns it; Close takes it away from a
// Put whose reader may be silent for long.
type draft struct {
	s    *Store
	size int64
	only value // the root if there is but one group

	disk       sync.Mutex // of what is below; held while the disk works
	data, tree *os.File   // nil if they could not be made
	leaves     leaves
	dropped    bool
}

func (s *Store) newDraft() (*draft, error) {
	d := &draft{s: s, leaves: leaves{disk: s.disk, dir: s.tmp()}}
	// Known before it has files: a Close finds them all.
	s.mu.Lock()
	s.drafts[d] = struct{}{}
	s.mu.Unlock()
	if err := d.work(d.create); err != nil {
		d.drop()
		return nil, err
	}
	return d, nil
}

// work does something with the files unless the Store is closed.
func (d *draft) work(f func() error) error {
	d.disk.Lock()
	defer d.disk.Unlock()
	if d.dropped || d.s.isClosed() {
		return ErrClosed
	}
	return f()
}

func (d *draft) create() (err error) {
	if d.data, err = d.s.disk.temp(d.s.tmp(), "put-*"+blobSuffix); err != nil {
		return err
	}
	d.tree, err = d.s.disk.temp(d.s.tmp(), "put-*"+treeSuffix)
	return err
}

// write takes all of r and leaves both files whole and synced.
func (d *draft) write(ctx context.Context, r io.Reader, name string) (Info, error) {
	if err := d.fill(ctx, r); err != nil {
		return Info{}, err
	}
	var info Info
	err := d.work(func() (err error) {
		info, err = d.finish(name)
		return err
	})
	return info, err
}

// finish writes the tree under its header, and syncs.
func (d *draft) finish(name string) (Info, error) {
	root, err := d.root()
	if err != nil {
		return Info{}, err
	}
	id := idOf(root)
	info := Info{ID: id, Size: d.size, Name: d.s.nameOf(id, name), Added: now()}
	if err := d.s.disk.writeAt(d.tree, appendHeader(nil, info), 0); err != nil {
		return Info{}, err
	}
	if err := d.s.disk.sync(d.tree); err != nil {
		return Info{}, err
	}
	return info, d.s.disk.sync(d.data)
}

// fill reads one window while the one before is hashed and written.
func (d *draft) fill(ctx context.Context, r io.Reader) (err error) {
	var work sync.WaitGroup
	var workErr error
	defer func() {
		work.Wait()
		if !errors.Is(err, ErrClosed) { // which both would say
			err = errors.Join(err, workErr)
		}
	}()
	for w, next := newWindow(), newWindow(); ; w, next = next, w {
		last, err := d.read(ctx, r, w)
		if err != nil {
			return err
		}
		work.Wait()
		if workErr != nil {
			return nil
		}
		work.Go(func() { workErr = d.work(func() error { return d.keep(w) }) })
		if last {
			return nil
		}
	}
}

// read fills w with what comes next.
func (d *draft) read(ctx context.Context, r io.Reader, w *window) (last bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if d.s.isClosed() {
		return false, ErrClosed
	}
	if last, err = w.fill(r); err != nil {
		return false, err
	}
	w.start = d.size
	d.size += int64(w.n)
	return last, checkSize(d.size)
}

// keep hashes and writes a window.
func (d *draft) keep(w *window) error {
	if w.start == 0 && w.n <= GroupSize {
		d.only = w.group(0).hash(w.n, 0, true)
	}
	if err := d.leaves.add(w.hashes()); err != nil {
		return err
	}
	return d.s.disk.writeAt(d.data, w.buf[:w.n], w.start)
}

// root writes the tree and returns its root.
func (d *draft) root() (value, error) {
	if d.size <= GroupSize {
		return d.only, nil
	}
	return d.leaves.plant(d.tree, whole(d.size))
}

// close closes the files; the names stay.
func (d *draft) close() error {
	d.disk.Lock()
	defer d.disk.Unlock()
	if d.dropped {
		return nil
	}
	return errors.Join(d.data.Close(), d.tree.Close())
}

// drop waits for the work under way and removes what commit has not moved. What
// the disk refuses to remove is swept by the next Open. It is idempotent.
func (d *draft) drop() {
	d.disk.Lock()
	defer d.disk.Unlock()
	if d.dropped {
		return
	}
	d.dropped = true
	d.leaves.drop()
	for _, f := range []*os.File{d.data, d.tree} {
		if f != nil {
			_ = f.Close()
			_ = d.s.disk.remove(f.Name())
		}
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	delete(d.s.drafts, d)
}

package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Put stores what r yields until io.EOF and returns once it is durable. Any other
// error of r, io.ErrUnexpectedEOF included, is handed on and leaves nothing
// behind, as does an end of ctx, which is looked at between reads. The same
// content again returns the BLOB that is here, under its old name unless that is
// empty. name is cleaned by CleanName. A full disk is the system's error
// (syscall.ENOSPC), more than MaxSize is ErrTooLarge. Put blocks as r does and
// needs about 1 MiB of memory whatever the size.
func (s *Store) Put(ctx context.Context, r io.Reader, name string) (Info, error) {
	info, err := s.putDraft(ctx, r, CleanName(name))
	if err != nil {
		return Info{}, fmt.Errorf("put blob: %w", err)
	}
	return info, nil
}

func (s *Store) putDraft(ctx context.Context, r io.Reader, name string) (Info, error) {
	d, err := s.newDraft()
	if err != nil {
		return Info{}, err
	}
	defer d.drop()
	info, err := d.write(ctx, r, name)
	if err = errors.Join(err, d.close()); err != nil {
		return Info{}, err
	}
	return s.commit(info, d.data.Name(), d.tree.Name())
}

// draft is a BLOB that is being written.
type draft struct {
	s          *Store
	data, tree *os.File
	leaves     leaves
	size       int64
	only       value // the root if there is but one group
}

func (s *Store) newDraft() (*draft, error) {
	if s.isClosed() {
		return nil, ErrClosed
	}
	data, err := s.disk.temp(s.tmp(), "put-*"+blobSuffix)
	if err != nil {
		return nil, err
	}
	tree, err := s.disk.temp(s.tmp(), "put-*"+treeSuffix)
	if err != nil {
		_ = data.Close()
		_ = s.disk.remove(data.Name())
		return nil, err
	}
	return &draft{s: s, data: data, tree: tree, leaves: leaves{disk: s.disk, dir: s.tmp()}}, nil
}

// write takes all of r and leaves both files whole and synced.
func (d *draft) write(ctx context.Context, r io.Reader, name string) (Info, error) {
	if err := d.fill(ctx, r); err != nil {
		return Info{}, err
	}
	root, err := d.root()
	if err != nil {
		return Info{}, err
	}
	info := Info{ID: idOf(root), Size: d.size, Name: name, Added: now()}
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
		err = errors.Join(err, workErr)
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
		work.Go(func() { workErr = d.keep(w) })
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
func (d *draft) close() error { return errors.Join(d.data.Close(), d.tree.Close()) }

// drop removes what commit has not moved. What the disk refuses to remove is
// swept by the next Open.
func (d *draft) drop() {
	d.leaves.drop()
	_ = d.s.disk.remove(d.data.Name())
	_ = d.s.disk.remove(d.tree.Name())
}

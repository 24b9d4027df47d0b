package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Put stores what r yields until io.EOF and returns once it is durable. Any other
// error of r, io.ErrUnexpectedEOF included, is handed on and leaves nothing
// behind, as does an end of ctx, which is looked at between reads, and Close,
// which is ErrClosed as soon as r lets go. name is cleaned by CleanName. A full
// disk is the system's error (syscall.ENOSPC), more than MaxSize is ErrTooLarge.
// Put blocks as r does and needs about 1 MiB of memory whatever the size.
//
// The same content again returns the BLOB that is here, under its old name unless
// that is empty. It is read through before that, and replaced if it is damaged.
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
	if err := s.recheck(ctx, info.ID); err != nil {
		return Info{}, err
	}
	return s.commit(info, d.data.Name(), d.tree.Name())
}

// recheck reads a BLOB that is held, before a fresh copy is thrown away for it:
// nobody may have read it for years. What is wrong with it is noted, and has
// commit replace it. Only an end of ctx or of the Store is an error.
func (s *Store) recheck(ctx context.Context, id ID) error {
	if _, ok := s.holds(id); !ok {
		return nil
	}
	_, err := s.inspect(id) // what the next Open will ask for
	if err == nil {
		err = s.verify(ctx, id, untilClose{s: s})
	}
	switch {
	case err == nil, errors.Is(err, ErrDamaged), errors.Is(err, ErrNotFound):
		return nil
	case errors.Is(err, ErrClosed):
		return ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	}
	// The disk does not give it back: the fresh copy is the better one.
	s.suspect(id, flawed, err)
	return nil
}

// untilClose is the sink that ends a walk when the Store closes.
type untilClose struct {
	nowhere
	s *Store
}

func (u untilClose) Group(uint64, []byte) error {
	if u.s.closing.Load() {
		return ErrClosed
	}
	return nil
}

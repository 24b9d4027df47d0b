package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// readAhead is how many nodes are read at once. They are in pre-order, so the
// way down to the left lies in one piece.
const readAhead = 64

// local is the source that reads the files of one BLOB, and the room for it.
// Wrong or missing bytes are ErrDamaged.
type local struct {
	data, tree io.ReaderAt
	nodes      uint64 // of the whole tree
	ahead      [readAhead * pairSize]byte
	from       uint64 // number of the first node in ahead
	n          uint64 // how many are there
	room       group
}

// verified walks the groups [first, end) of files that claim to be id.
func (s *Store) verified(ctx context.Context, id ID, size int64, f files, first, end uint64, to Sink) error {
	l := s.scratch.Get().(*local)
	defer s.scratch.Put(l)
	l.data, l.tree, l.nodes, l.n = f.data, f.tree, Groups(size)-1, 0
	w := walk{
		ctx:   ctx,
		from:  l,
		to:    to,
		size:  size,
		first: first,
		end:   end,
		room:  &l.room,
		wrong: func(s span) error { return &damage{s} },
	}
	err := w.run(id)
	if errors.Is(err, os.ErrClosed) {
		return ErrClosed
	}
	return err
}

// files are the open files of a BLOB or partial.
type files struct{ data, tree *os.File }

func openPair(data, tree string, open func(string) (*os.File, error)) (f files, err error) {
	if f.data, err = open(data); err != nil {
		return files{}, err
	}
	if f.tree, err = open(tree); err != nil {
		_ = f.data.Close()
		return files{}, err
	}
	return f, nil
}

func (f files) close() error { return errors.Join(f.data.Close(), f.tree.Close()) }

// damage says where files are wrong.
type damage struct{ span }

func (d *damage) Error() string { return fmt.Sprintf("%s: %v", d.span, ErrDamaged) }
func (d *damage) Unwrap() error { return ErrDamaged }

func (l *local) group(index uint64, into []byte) error {
	n, err := l.data.ReadAt(into, int64(index)*GroupSize)
	if n == len(into) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return &damage{span{first: index, n: 1}}
	}
	return fmt.Errorf("group %d: %w", index, err)
}

func (l *local) node(pos uint64, into *pair) error {
	if pos < l.from || pos >= l.from+l.n {
		if err := l.read(pos); err != nil {
			return err
		}
	}
	*into = pair(l.ahead[(pos-l.from)*pairSize:])
	return nil
}

func (l *local) read(pos uint64) error {
	want := min(readAhead, l.nodes-pos)
	n, err := l.tree.ReadAt(l.ahead[:want*pairSize], nodeOffset(pos))
	l.from, l.n = pos, uint64(n/pairSize)
	if l.n > 0 {
		return nil
	}
	if errors.Is(err, io.EOF) {
		// As wrong as zeros would be; the walk finds the groups it concerns.
		clear(l.ahead[:pairSize])
		l.n = 1
		return nil
	}
	return fmt.Errorf("node %d: %w", pos, err)
}

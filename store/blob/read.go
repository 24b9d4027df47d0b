package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Blob is an open BLOB. What it reads is verified each time: bytes that are not
// the BLOB's are ErrDamaged and never handed out. It is safe for concurrent use.
type Blob struct {
	s     *Store
	info  Info
	files files
}

// Get opens a BLOB for reading; the caller closes it. ErrNotFound if it is not
// here, ErrDamaged if its files are torn so that nothing can be read.
func (s *Store) Get(id ID) (*Blob, error) {
	info, err := s.Stat(id)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	f, err := s.openFiles(info)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	return &Blob{s, info, f}, nil
}

func (s *Store) openFiles(info Info) (f files, err error) {
	// A BLOB that is deleted or replaced at this moment must not look damaged.
	s.folder(info.ID).Lock()
	defer s.folder(info.ID).Unlock()
	if _, err := s.find(info.ID); err != nil {
		return files{}, err
	}
	f, err = openPair(s.path(info.ID, blobSuffix), s.path(info.ID, treeSuffix), os.Open)
	if err != nil {
		return files{}, s.torn(info.ID, err)
	}
	return f, nil
}

// torn makes ErrDamaged of a file that is gone, and keeps other errors.
func (s *Store) torn(id ID, err error) error {
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	err = fmt.Errorf("%w: %w", ErrDamaged, err)
	s.suspect(id, broken, err)
	return err
}

// Info tells of the BLOB; Name is that of the moment it was opened.
func (b *Blob) Info() Info { return b.info }

// Close releases the files. Calls under way and later ones return ErrClosed.
func (b *Blob) Close() error {
	if err := b.files.close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// ReadAt is that of io.ReaderAt. Each call verifies from the root down and reads
// whole groups: ask for many bytes at once. p[n:] stays as it was.
func (b *Blob) ReadAt(p []byte, off int64) (n int, err error) {
	return readAt(p, off, b.info.Size, func(first, end uint64, to Sink) error {
		return b.walk(context.Background(), first, end, to)
	})
}

// WriteSlice writes to w the groups [first, first+n) with their proof, as
// docs/spec.md says under slices: exactly SliceSize bytes. In the order of the
// tree come, for each node with one of the groups below it, the chaining values
// of its children, and for each group its bytes. The size is not among them.
// Nothing is written that does not verify here: the BLOB's damage is ErrDamaged
// at the sender, after what came before it. ErrRange if the BLOB has no such
// groups. It blocks as w does; ctx is looked at before each group.
func (b *Blob) WriteSlice(ctx context.Context, w io.Writer, first, n uint64) error {
	if err := checkSlice(b.info.Size, first, n); err != nil {
		return fmt.Errorf("write slice: %w", err)
	}
	out := newSliceWriter(w, SliceSize(b.info.Size, first, n))
	if err := b.walk(ctx, first, first+n, out); err != nil {
		return fmt.Errorf("write slice of %s: %w", b.info.ID, err)
	}
	return out.w.Flush()
}

// walk verifies and notes damage.
func (b *Blob) walk(ctx context.Context, first, end uint64, to Sink) error {
	err := b.s.verified(ctx, b.info.ID, b.info.Size, b.files, first, end, to)
	if errors.Is(err, ErrDamaged) {
		b.s.suspect(b.info.ID, flawed, err)
	}
	return err
}

// Verify reads all of a BLOB. ErrDamaged says which group, or node of the tree,
// is the first that is wrong. ErrNotFound if the BLOB is not here.
func (s *Store) Verify(ctx context.Context, id ID) error { return s.verify(ctx, id, nowhere{}) }

func (s *Store) verify(ctx context.Context, id ID, to Sink) error {
	b, err := s.Get(id)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if err := b.walk(ctx, 0, Groups(b.info.Size), to); err != nil {
		return fmt.Errorf("verify %s: %w", id, err)
	}
	return nil
}

// nowhere is the sink of who only wants to know.
type nowhere struct{}

func (nowhere) Node(uint64, *[64]byte) error { return nil }
func (nowhere) Group(uint64, []byte) error   { return nil }

// readAt is io.ReaderAt over verified groups of a BLOB of that size.
func readAt(p []byte, off, size int64, walk func(first, end uint64, to Sink) error) (n int, err error) {
	switch {
	case off < 0:
		return 0, fmt.Errorf("read at %d: %w", off, ErrRange)
	case off >= size:
		return 0, io.EOF
	}
	short := int64(len(p)) > size-off
	p = p[:min(int64(len(p)), size-off)]
	if len(p) > 0 {
		c := &clip{p: p, off: off}
		first, end := uint64(off/GroupSize), uint64((off+int64(len(p))-1)/GroupSize+1)
		err, n = walk(first, end, c), c.n
	}
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

// clip is the sink that keeps what a reader asked for.
type clip struct {
	p   []byte
	off int64
	n   int
}

func (*clip) Node(uint64, *[64]byte) error { return nil }

func (c *clip) Group(index uint64, data []byte) error {
	skip := c.off + int64(c.n) - int64(index)*GroupSize
	c.n += copy(c.p[c.n:], data[skip:])
	return nil
}

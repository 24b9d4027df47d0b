package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/staex-mcc/mcc/store/blob"
)

// readWindow is how much Read reads at once: bytes are verified by groups, so
// small reads would cost a group each.
const readWindow = 64 << 10

// Reader reads a BLOB, here or on its way here. Every byte it returns is
// verified. Read and Seek are for one goroutine at a time; ReadAt, Size, Info
// and Close are for any.
//
// A fetch asks for what lies up to 32 MiB ahead of the last read. Until the
// first read nothing is asked for.
type Reader struct {
	s     *Swarm
	local *blob.Blob // nil when it is fetched
	f     *fetch     // nil when it is local
	info  Info
	ctx   context.Context // Open's, which bounds the reads too

	cursor *want // under the fetch's lock
	pos    int64
	buf    []byte // of Read, nil until it is needed
	start  int64  // where buf belongs

	once   sync.Once
	closed chan struct{}
	err    error // of Close
}

func newReader(ctx context.Context, s *Swarm, local *blob.Blob, f *fetch) *Reader {
	r := &Reader{s: s, local: local, f: f, ctx: ctx, closed: make(chan struct{})}
	if f == nil {
		r.info = localInfo(local.Info())
		return r
	}
	r.info = Info{ID: f.id, Size: f.state.provenSize()}
	r.cursor = f.state.addCursor()
	return r
}

// Info is what was known of the BLOB when it was opened.
func (r *Reader) Info() Info { return r.info }

// Size is the BLOB's size in bytes, proven.
func (r *Reader) Size() int64 { return r.info.Size }

// Read implements io.Reader. It blocks until the next bytes are here and may
// return fewer than asked for.
func (r *Reader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if err := r.alive(); err != nil {
		return 0, r.failed(err)
	}
	if len(b) >= readWindow {
		n, err := r.some(b, r.pos)
		r.pos += int64(n)
		return n, err
	}
	if r.pos < r.start || r.pos >= r.start+int64(len(r.buf)) {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, r.buf[r.pos-r.start:])
	r.pos += int64(n)
	return n, nil
}

// fill reads what is here of the window that starts with the group of pos.
func (r *Reader) fill() error {
	start := r.pos / blob.GroupSize * blob.GroupSize
	if r.buf == nil {
		r.buf = make([]byte, min(readWindow, max(r.info.Size, 1)))
	}
	n, err := r.some(r.buf[:cap(r.buf)], start)
	r.buf, r.start = r.buf[:n], start
	if r.pos < start+int64(n) {
		return nil
	}
	if err == nil {
		err = io.EOF // a position after the end, in the last group
	}
	return err
}

// Seek implements io.Seeker. It fetches nothing.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.info.Size
	default:
		return 0, fmt.Errorf("seek in blob: whence %d", whence)
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek in blob: offset %d is before the start", offset)
	}
	r.pos = offset
	return offset, nil
}

// ReadAt implements io.ReaderAt. It blocks until all of b is here.
func (r *Reader) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read blob: offset %d is before the start", off)
	}
	n := 0
	for n < len(b) {
		m, err := r.some(b[n:], off+int64(n))
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Close ends the reads under way. The last reader of a fetch ends it; what has
// arrived stays for the next one, unless the swarm forgets. Later calls return
// what the first did.
func (r *Reader) Close() error {
	r.once.Do(func() {
		close(r.closed)
		if r.f != nil {
			r.f.state.dropCursor(r.cursor)
			r.f.release()
		} else {
			r.err = r.local.Close()
		}
		r.s.giveReader()
	})
	return r.err
}

// some reads at least a byte, as many as are here.
func (r *Reader) some(b []byte, off int64) (int, error) {
	if err := r.alive(); err != nil {
		return 0, r.failed(err)
	}
	if off >= r.info.Size {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), r.info.Size-off)]
	n, err := r.read(b, off)
	if n > 0 || err == nil {
		return n, nil // the next call meets the error again
	}
	return 0, r.failed(err)
}

func (r *Reader) failed(err error) error { return fmt.Errorf("read blob %s: %w", r.info.ID, err) }

func (r *Reader) read(b []byte, off int64) (int, error) {
	if r.local != nil {
		return r.local.ReadAt(b, off)
	}
	if r.f.state.move(r.cursor, uint64(off)/unitSize) {
		r.f.poke()
	}
	for {
		n, err := r.f.readAt(b, off)
		if n > 0 || !errors.Is(err, blob.ErrMissing) {
			return n, err
		}
		if err := r.await(uint64(off) / blob.GroupSize); err != nil {
			return 0, err
		}
	}
}

// await waits until a group is here.
func (r *Reader) await(group uint64) error {
	w := r.f.state.waitFor(group, time.Now())
	if w == nil {
		return nil
	}
	defer r.f.state.dropWait(w)
	r.f.poke()
	select {
	case <-w.ready:
		return nil
	case <-r.f.over:
		return r.f.state.failure()
	case <-r.closed:
		return ErrClosed
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

func (r *Reader) alive() error {
	select {
	case <-r.closed:
		return ErrClosed
	case <-r.s.ctx.Done():
		return ErrClosed
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	default:
		return nil
	}
}

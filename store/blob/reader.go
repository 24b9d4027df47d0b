package blob

import (
	"errors"
	"fmt"
	"io"
)

// Reader reads a Blob from front to back through a buffer of 256 KiB, which it
// fills in one verified piece. It is for one goroutine.
type Reader struct {
	b     *Blob
	pos   int64
	buf   []byte // nil until the first Read
	start int64  // where buf belongs
}

// NewReader returns a Reader at the start. Closing the Blob ends it.
func (b *Blob) NewReader() *Reader { return &Reader{b: b} }

// Read is that of io.Reader; ErrDamaged comes after the last good byte.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.pos >= r.b.info.Size {
		return 0, io.EOF
	}
	if r.pos < r.start || r.pos >= r.start+int64(len(r.buf)) {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buf[r.pos-r.start:])
	r.pos += int64(n)
	return n, nil
}

// fill reads the window that starts with the group of pos. The error of a window
// that is good up to pos waits until that point is reached.
func (r *Reader) fill() error {
	start := r.pos / GroupSize * GroupSize
	size := min(windowSize, r.b.info.Size-start)
	if int64(cap(r.buf)) < size {
		r.buf = make([]byte, size)
	}
	n, err := r.b.ReadAt(r.buf[:size], start)
	r.buf, r.start = r.buf[:n], start
	if r.pos < start+int64(n) {
		return nil
	}
	return err
}

// Seek is that of io.Seeker. A place after the end is allowed and reads as EOF,
// one before the start is ErrRange.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.b.info.Size
	default:
		return 0, errors.New("seek: unknown whence")
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek to %d: %w", offset, ErrRange)
	}
	r.pos = offset
	return offset, nil
}

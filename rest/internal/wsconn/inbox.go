package wsconn

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

const (
	// inboxSize is how many unread bytes stop the receiving; with the chunk
	// under way the bound of 256 KiB holds.
	inboxSize = 256<<10 - chunk
	// keepSize is the largest buffer that an empty inbox or outbox keeps.
	keepSize = 64 << 10
)

// chunks are for reading a message; a quiet connection holds none.
var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// inbox holds what was received and not read.
type inbox struct {
	gate
	buf     []byte
	from    int // buf[from:] is unread
	half    bool
	ended   error // why nothing more comes
	stalled bool  // the receiving waits for a reader
	stalls  uint64
}

func newInbox() *inbox {
	b := new(inbox)
	b.init()
	return b
}

// read waits for bytes, the end, the deadline or Close.
func (b *inbox) read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case b.closed:
			return 0, net.ErrClosed
		case b.over:
			return 0, os.ErrDeadlineExceeded
		case errors.Is(b.ended, syscall.ECONNRESET):
			return 0, b.ended // at once, as TCP does
		case len(p) == 0:
			return 0, nil
		case b.unread() > 0:
			return b.take(p), nil
		case b.half:
			return 0, io.EOF
		case b.ended != nil:
			return 0, b.ended
		}
		b.changed.Wait()
	}
}

func (b *inbox) unread() int { return len(b.buf) - b.from }

// take moves bytes out; the caller holds mu.
func (b *inbox) take(p []byte) int {
	n := copy(p, b.buf[b.from:])
	b.from += n
	if b.from == len(b.buf) {
		b.buf, b.from = b.buf[:0], 0
		if cap(b.buf) > keepSize {
			b.buf = nil
		}
	}
	b.changed.Broadcast()
	return n
}

// fill takes in one message and returns its length.
func (b *inbox) fill(message io.Reader) (total int, err error) {
	piece := chunks.Get().(*[chunk]byte)
	defer chunks.Put(piece)
	for {
		n, err := message.Read(piece[:])
		total += n
		if n > 0 {
			if err := b.put(piece[:n]); err != nil {
				return total, err
			}
		}
		if err == io.EOF { // the message's; a wrapped one is that of the connection
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// put adds bytes, and waits while too many are unread. After Close it drops
// them, so that the closing handshake gets through.
func (b *inbox) put(p []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.half {
		return errAfter
	}
	if !b.closed && b.unread()+len(p) > inboxSize {
		b.stalled, b.stalls = true, b.stalls+1
		for !b.closed && b.unread()+len(p) > inboxSize {
			b.changed.Wait()
		}
		b.stalled = false
	}
	if b.closed {
		return nil
	}
	if b.from > 0 && len(b.buf)+len(p) > cap(b.buf) {
		b.buf, b.from = b.buf[:copy(b.buf, b.buf[b.from:])], 0
	}
	b.buf = append(b.buf, p...)
	b.changed.Broadcast()
	return nil
}

// halfClose is the end of the other side's direction.
func (b *inbox) halfClose() { b.update(func() { b.half = true }) }

// end says why nothing more comes; the first reason holds.
func (b *inbox) end(err error) {
	b.update(func() {
		if b.ended == nil {
			b.ended = err
		}
		if errors.Is(b.ended, syscall.ECONNRESET) {
			b.buf, b.from = nil, 0
		}
	})
}

// close ends reading and drops what is unread.
func (b *inbox) close() {
	b.update(func() {
		b.closed = true
		b.buf, b.from = nil, 0
		b.stopTimer()
	})
}

// pauses counts how often the receiving had to wait; waiting reports that it
// does now, so that an answer may be there and not seen.
func (b *inbox) pauses() (count uint64, waiting bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stalls, b.stalled
}

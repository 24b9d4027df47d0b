package forward

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A direction starts with the small buffer and takes the large one while it
	// has more to carry, so that thousands of quiet connections stay cheap.
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
	// lingerTime is how long data for an end that is gone is still taken from
	// the sender, so that it gets to read the answer it was sent before.
	lingerTime = time.Second
	// drainTime bounds how long the last words of such an end are waited for.
	drainTime = 30 * time.Second
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// Transfer is what a [Join] carried, in bytes.
type Transfer struct {
	// Sent went from the first connection to the second, Received back.
	Sent, Received uint64
}

// Join copies between a and b in both directions until both have ended, and
// then closes both. It owns the two from the start and blocks all the while.
//
// When one direction ends, the end is passed on with CloseWrite and the other
// goes on; a connection without CloseWrite is closed instead. A read that fails
// resets both ends: with Reset() where there is one, and on TCP with an RST.
// The error is what ended it first, nil when both directions came to their end.
func Join(a, b net.Conn) (Transfer, error) { return joiner{}.join(a, b) }

// JoinIdle is [Join] that resets both ends after nothing moved for between idle
// and twice idle; os.ErrDeadlineExceeded says so. Zero idle is no limit.
func JoinIdle(a, b net.Conn, idle time.Duration) (Transfer, error) {
	return joiner{idle: idle}.join(a, b)
}

// joiner has the options of a join.
type joiner struct {
	idle time.Duration
	// pace resets both ends when a write to one makes no progress.
	pace pace
	// sent and received, if set, are added to as bytes move.
	sent, received *atomic.Uint64
}

func (j joiner) join(a, b net.Conn) (Transfer, error) {
	var cause firstError
	a, b = j.pace.watch(a), j.pace.watch(b)
	out := lane{from: a, to: b, total: j.sent, cause: &cause}
	back := lane{from: b, to: a, total: j.received, cause: &cause}
	if j.idle > 0 {
		w := &idleWatch{lanes: [2]*lane{&out, &back}, limit: j.idle}
		w.start()
		defer w.stop()
	}
	done := make(chan struct{})
	go back.carryBack(done)
	out.carry()
	<-done
	a.Close()
	b.Close()
	return Transfer{Sent: out.moved.Load(), Received: back.moved.Load()}, cause.get()
}

// lane is one direction of a join.
type lane struct {
	from, to net.Conn
	moved    atomic.Uint64
	total    *atomic.Uint64
	cause    *firstError
}

// carryBack is the goroutine of the second direction.
func (l *lane) carryBack(done chan<- struct{}) {
	defer close(done)
	l.carry()
}

func (l *lane) carry() {
	readErr, writeErr := l.copy()
	switch {
	case errors.Is(writeErr, errStalled):
		l.cause.set(writeErr)
		reset(l.to)
		reset(l.from)
	case writeErr != nil:
		// The receiver is gone, yet what it said last may still be under way
		// in the other direction. That one ends by itself, its source being
		// gone; until then the sender must not be stuck or see a reset.
		l.cause.set(writeErr)
		_ = l.to.SetReadDeadline(time.Now().Add(drainTime))
		_ = l.from.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.Copy(io.Discard, l.from)
	case readErr != nil:
		l.cause.set(readErr)
		reset(l.to)
		reset(l.from)
	default:
		// If this fails the receiver is gone, which the other direction sees.
		_ = closeWrite(l.to)
	}
}

// copy ends with two nils at the end of from.
func (l *lane) copy() (readErr, writeErr error) {
	var b buffer
	defer b.release()
	for {
		buf := b.take()
		n, err := l.from.Read(buf)
		if n > 0 {
			w, werr := l.to.Write(buf[:n])
			l.count(w)
			if werr != nil {
				return nil, werr
			}
			b.fit(n)
		}
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return err, nil
		}
	}
}

func (l *lane) count(n int) {
	l.moved.Add(uint64(n))
	if l.total != nil {
		l.total.Add(uint64(n))
	}
}

// buffer is a pooled buffer that follows the size of what is read.
type buffer struct {
	small *[smallBuffer]byte
	large *[largeBuffer]byte
	grown bool
}

func (b *buffer) take() []byte {
	if b.grown {
		if b.large == nil {
			b.large = largeBuffers.Get().(*[largeBuffer]byte)
		}
		return b.large[:]
	}
	if b.small == nil {
		b.small = smallBuffers.Get().(*[smallBuffer]byte)
	}
	return b.small[:]
}

// fit chooses the next size after a read of n bytes.
func (b *buffer) fit(n int) {
	if grown := n >= smallBuffer; grown != b.grown {
		b.release()
		b.grown = grown
	}
}

func (b *buffer) release() {
	if b.small != nil {
		smallBuffers.Put(b.small)
		b.small = nil
	}
	if b.large != nil {
		largeBuffers.Put(b.large)
		b.large = nil
	}
}

// firstError keeps the first of the errors set.
type firstError struct{ p atomic.Pointer[error] }

func (f *firstError) set(err error) { f.p.CompareAndSwap(nil, &err) }

func (f *firstError) get() error {
	if p := f.p.Load(); p != nil {
		return *p
	}
	return nil
}

// idleWatch ends a join in which nothing moves. It looks once per limit, which
// costs nothing per byte.
type idleWatch struct {
	lanes [2]*lane
	limit time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	last    uint64
	stopped bool
}

func (w *idleWatch) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.limit, w.look)
}

func (w *idleWatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}

func (w *idleWatch) look() {
	if w.moves() {
		return
	}
	w.lanes[0].cause.set(errIdle)
	reset(w.lanes[0].from)
	reset(w.lanes[0].to)
}

// moves reports whether to go on, and sets the timer again if so.
func (w *idleWatch) moves() bool {
	now := w.lanes[0].moved.Load() + w.lanes[1].moved.Load()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return true
	}
	if now == w.last {
		// The first look compares with nothing moved, so a limit passed.
		return false
	}
	w.last = now
	w.timer.Reset(w.limit)
	return true
}

var errIdle = idleError{}

type idleError struct{}

func (idleError) Error() string   { return "connection was idle too long" }
func (idleError) Is(t error) bool { return t == os.ErrDeadlineExceeded }

package swarm

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// wire is one end of a connection in memory with a rate, a delay, deadlines,
// half-close and reset. What is on its way is bounded by the channel.
type wire struct {
	in, out   chan parcel
	rest      []byte
	reset     chan struct{} // shared by both ends
	resetOnce *sync.Once
	closed    chan struct{} // this end
	gone      chan struct{} // the other end
	closeOnce sync.Once
	ended     chan struct{} // no more writes from this end
	endOnce   sync.Once
	eof       bool
	rate      int
	delay     time.Duration
	count     *atomic.Int64
	readBy    limit
	writeBy   limit
}

type parcel struct {
	data []byte
	at   time.Time
}

// newWires makes a connection to a seeder: its end is the second.
func newWires(f *far) (mine, theirs *wire) {
	up, down := make(chan parcel, 256), make(chan parcel, 256)
	reset, once := make(chan struct{}), new(sync.Once)
	end := func(in, out chan parcel, rate int, count *atomic.Int64) *wire {
		return &wire{
			in: in, out: out, reset: reset, resetOnce: once, rate: rate, delay: f.delay, count: count,
			closed: make(chan struct{}), ended: make(chan struct{}),
		}
	}
	mine, theirs = end(down, up, 0, &f.asked), end(up, down, f.rate, &f.sent)
	mine.gone, theirs.gone = theirs.closed, mine.closed
	return mine, theirs
}

func (w *wire) Read(b []byte) (int, error) {
	for len(w.rest) == 0 {
		if w.eof {
			return 0, io.EOF
		}
		select {
		case p, ok := <-w.in:
			if !ok {
				w.eof = true
				continue
			}
			if err := w.pause(time.Until(p.at), w.readBy.done()); err != nil {
				return 0, err
			}
			w.rest = p.data
		case <-w.readBy.done():
			return 0, os.ErrDeadlineExceeded
		case <-w.closed:
			return 0, net.ErrClosed
		case <-w.reset:
			return 0, syscall.ECONNRESET
		}
	}
	n := copy(b, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

func (w *wire) pause(d time.Duration, expired <-chan struct{}) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-expired:
		return os.ErrDeadlineExceeded
	case <-w.closed:
		return net.ErrClosed
	case <-w.reset:
		return syscall.ECONNRESET
	}
}

func (w *wire) Write(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		part := b[n:min(len(b), n+(16<<10))]
		if w.rate > 0 {
			took := time.Duration(len(part)) * time.Second / time.Duration(w.rate)
			if err := w.pause(took, w.writeBy.done()); err != nil {
				return n, err
			}
		}
		select {
		case <-w.ended:
			return n, net.ErrClosed
		default:
		}
		select {
		case w.out <- parcel{append([]byte(nil), part...), time.Now().Add(w.delay)}:
		case <-w.writeBy.done():
			return n, os.ErrDeadlineExceeded
		case <-w.closed:
			return n, net.ErrClosed
		case <-w.gone:
			return n, syscall.EPIPE
		case <-w.reset:
			return n, syscall.ECONNRESET
		}
		n += len(part)
		w.count.Add(int64(len(part)))
	}
	return n, nil
}

// CloseWrite and Write are for one goroutine.
func (w *wire) CloseWrite() error {
	w.endOnce.Do(func() {
		close(w.ended)
		close(w.out)
	})
	return nil
}

func (w *wire) Reset() { w.resetOnce.Do(func() { close(w.reset) }) }

func (w *wire) Close() error {
	w.closeOnce.Do(func() { close(w.closed) })
	return w.CloseWrite()
}

func (w *wire) LocalAddr() net.Addr                { return nil }
func (w *wire) RemoteAddr() net.Addr               { return nil }
func (w *wire) SetReadDeadline(t time.Time) error  { w.readBy.set(t); return nil }
func (w *wire) SetWriteDeadline(t time.Time) error { w.writeBy.set(t); return nil }
func (w *wire) SetDeadline(t time.Time) error {
	w.readBy.set(t)
	w.writeBy.set(t)
	return nil
}

// limit is a deadline that can be moved while somebody waits for it.
type limit struct {
	mu    sync.Mutex
	timer *time.Timer
	over  chan struct{}
}

func (l *limit) done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.channel()
}

func (l *limit) channel() chan struct{} {
	if l.over == nil {
		l.over = make(chan struct{})
	}
	return l.over
}

func (l *limit) set(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	select {
	case <-l.channel():
		l.over = nil
	default:
	}
	over := l.channel()
	if t.IsZero() {
		return
	}
	if d := time.Until(t); d > 0 {
		l.timer = time.AfterFunc(d, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.over == over {
				select {
				case <-over:
				default:
					close(over)
				}
			}
		})
		return
	}
	close(over)
}

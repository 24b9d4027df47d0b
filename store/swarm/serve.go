package swarm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/staex-mcc/mcc/store/blob"
)

const (
	maxPipelined = 64 // requests read ahead of their answers; further ones wait
	serveBuffer  = 64 << 10
	// idleServe is how long a stream may stay without a request, and stuckServe
	// how long a peer may take nothing of an answer.
	idleServe  = 2 * time.Minute
	stuckServe = 30 * time.Second
)

// Serve answers a peer's requests for the BLOB on a stream that was accepted,
// until the peer has ended it and has all its answers, and closes it. It blocks
// all the while. Everything sent is verified first: damaged data resets the
// stream. The caller bounds how many streams there are; Serve bounds what each
// costs: about 100 KiB, two goroutines, and 64 requests read ahead. A peer that
// asks for nothing for 2 minutes, or takes nothing for 30 s, is reset.
//
// The error is nil when the peer ended it, blob.ErrNotFound when the BLOB is not
// here, ErrMalformed, blob.ErrDamaged, ErrClosed, ctx's or the connection's.
func (s *Swarm) Serve(ctx context.Context, conn net.Conn, id blob.ID) error {
	defer conn.Close()
	if err := s.begin(); err != nil {
		reset(conn)
		return fmt.Errorf("serve blob %s: %w", id, err)
	}
	defer s.wg.Done()
	s.counters.serving.Add(1)
	defer s.counters.serving.Add(-1)
	if err := s.serve(ctx, conn, id); err != nil {
		reset(conn)
		return fmt.Errorf("serve blob %s: %w", id, err)
	}
	return nil
}

func (s *Swarm) serve(ctx context.Context, conn net.Conn, id blob.ID) error {
	b, err := s.store.Get(id)
	if err != nil {
		return err
	}
	defer b.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(ErrClosed) })()
	defer resetWith(ctx, conn)()

	size := b.Info().Size
	in := newInbox(ctx, conn, blob.Groups(size))
	go in.read()
	err = s.answer(ctx, conn, b, in)
	if err == nil {
		err = in.err
	}
	if err == nil {
		return closeWrite(conn)
	}
	// The inbox ends with the connection.
	cause := context.Cause(ctx)
	reset(conn)
	in.drain()
	if errors.Is(err, ErrMalformed) {
		s.counters.malformed.Add(1)
	}
	if cause != nil {
		return cause
	}
	return err
}

// answer sends the size and then the answers, as long as requests come.
func (s *Swarm) answer(ctx context.Context, conn net.Conn, b *blob.Blob, in *inbox) error {
	w := bufio.NewWriterSize(timedWriter{ctx, conn, stuckServe}, serveBuffer)
	size := b.Info().Size
	if _, err := w.Write(appendSize(nil, size)); err != nil {
		return err
	}
	for {
		part, more, err := in.next(w)
		if err != nil || !more {
			return err
		}
		if err := b.WriteSlice(ctx, w, part.first, part.n); err != nil {
			return err
		}
		s.counters.served.Add(1)
		s.counters.servedBytes.Add(uint64(dataOf(size, part)))
	}
}

// inbox reads requests ahead, so that a peer never has to wait with sending them
// while it receives.
type inbox struct {
	ctx    context.Context // of Serve
	conn   net.Conn
	groups uint64
	queue  chan slice
	err    error // set before queue is closed
	quit   chan struct{}
}

func newInbox(ctx context.Context, conn net.Conn, groups uint64) *inbox {
	return &inbox{ctx: ctx, conn: conn, groups: groups, queue: make(chan slice, maxPipelined), quit: make(chan struct{})}
}

// read is the inbox's goroutine.
func (in *inbox) read() {
	defer close(in.queue)
	for {
		part, err := in.request()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			in.err = err
			return
		}
		select {
		case in.queue <- part:
		case <-in.quit:
			return
		}
	}
}

func (in *inbox) request() (slice, error) {
	var b [requestLen]byte
	n, err := io.ReadFull(timedReader{ctx: in.ctx, conn: in.conn, limit: idleServe}, b[:])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return slice{}, fmt.Errorf("%w: %d bytes of %d", ErrMalformed, n, requestLen)
	}
	if err != nil {
		return slice{}, err
	}
	return decodeRequest(b, in.groups)
}

// next waits for a request, after sending what is still held back.
func (in *inbox) next(w *bufio.Writer) (part slice, more bool, err error) {
	select {
	case part, more = <-in.queue:
		if more {
			return part, true, nil
		}
	default:
	}
	if err := w.Flush(); err != nil {
		return slice{}, false, err
	}
	part, more = <-in.queue
	return part, more, nil
}

// drain waits for read to end, once the connection is closed.
func (in *inbox) drain() {
	close(in.quit)
	for range in.queue {
		continue
	}
}

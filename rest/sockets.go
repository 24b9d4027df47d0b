package rest

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/rest/internal/wsconn"
)

// maxSockets bounds the open WebSockets; further ones are 503.
const maxSockets = 1024

// sockets are the WebSockets that carry streams of the mesh, or tell of those
// that arrive.
type sockets struct {
	h      *Handler
	ctx    context.Context // ends with close, and with it everything here
	cancel context.CancelFunc
	// accepting ends with drain: nothing new is let in.
	accepting context.Context
	stop      context.CancelFunc

	mu      sync.Mutex
	open    int
	empty   chan struct{} // closed when the last has left; nil if nobody waits
	waiting map[string]*arrival

	full    atomic.Uint64 // requests and arrivals refused for a bound
	expired atomic.Uint64 // arrivals that nobody claimed
}

func newSockets(h *Handler) *sockets {
	s := &sockets{h: h, waiting: map[string]*arrival{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.accepting, s.stop = context.WithCancel(s.ctx)
	return s
}

// enter takes a seat, which the caller gives back with leave.
func (s *sockets) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accepting.Err() != nil {
		return mcc.ErrClosed
	}
	if s.open >= maxSockets {
		s.full.Add(1)
		return newProblem(http.StatusServiceUnavailable, "too-many", "too many WebSockets are open on this node")
	}
	s.open++
	return nil
}

func (s *sockets) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.open == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// opened counts the seats that are taken.
func (s *sockets) opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// arrivals counts the channels that wait to be claimed.
func (s *sockets) arrivals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// left is closed when nobody has a seat.
func (s *sockets) left() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	empty := s.empty
	switch {
	case s.open == 0:
		empty = make(chan struct{})
		close(empty)
	case empty == nil:
		empty = make(chan struct{})
		s.empty = empty
	}
	return empty
}

// drain takes no more, ends what waits for arrivals, and waits until the streams
// that are open have ended or ctx has; what is left is cut then, and ctx's error
// returned.
func (s *sockets) drain(ctx context.Context) error {
	s.stop()
	select {
	case <-s.left():
		return nil
	case <-ctx.Done():
		s.close()
		return ctx.Err()
	}
}

// close cuts all and waits for them.
func (s *sockets) close() {
	s.cancel()
	<-s.left()
}

// upgrade checks a request for a WebSocket and takes a seat. If it is false the
// request has been answered.
func (s *sockets) upgrade(w http.ResponseWriter, r *http.Request) bool {
	if err := wsconn.Check(r); err != nil {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		writeProblem(w, newProblem(http.StatusUpgradeRequired, "upgrade", err.Error()))
		return false
	}
	if err := s.enter(); err != nil {
		s.h.fail(w, err)
		return false
	}
	return true
}

// dialContext bounds the dialling for a request.
func (s *sockets) dialContext(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), operationTimeout)
	stop := context.AfterFunc(s.accepting, cancel)
	return ctx, func() { stop(); cancel() }
}

// bridge upgrades the request and copies between its WebSocket and stream, which
// it owns, until both have ended. The request's Origin has been looked at by the
// guard, which knows the CORS list, so the WebSocket library does not.
func (s *sockets) bridge(w http.ResponseWriter, r *http.Request, stream net.Conn) {
	ws, err := wsconn.Accept(w, r)
	if err != nil {
		s.h.log.Debug("upgrade failed", zap.String("addr", r.RemoteAddr), zap.Error(err))
		resetStream(stream)
		return
	}
	stop := context.AfterFunc(s.ctx, ws.Reset)
	defer stop()
	if _, err := forward.Join(ws, stream); err != nil {
		s.h.log.Debug("stream ended early", zap.String("addr", r.RemoteAddr), zap.Error(err))
	}
}

// resetStream ends a stream so that the other end sees a failure.
func resetStream(stream net.Conn) {
	if c, ok := stream.(interface{ Reset() }); ok {
		c.Reset()
		return
	}
	_ = stream.Close()
}

package udp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
	"github.com/staex-mcc/mcc/transport/simnet"
)

// stalled is a stream whose receiver does not read.
type stalled struct {
	from, to transport.Stream
	sent     int
}

// TestStalledStreams fills the window of a connection with streams that nobody
// reads, in one direction and then the other. A new stream must find a way, and
// what stalled must arrive once it is read.
func TestStalledStreams(t *testing.T) {
	for name, upload := range map[string]bool{"uploads": true, "downloads": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
				a, b := w.node("alice", "10.0.0.1:1"), w.node("bob", "10.0.0.2:1")
				stuck := w.stall(a, b, upload)
				for range 3 {
					start := time.Now()
					s, other := w.persistent(a, b)
					mustWrite(w, s, "ping")
					mustRead(w, other, "ping")
					mustWrite(w, other, "pong")
					mustRead(w, s, "pong")
					if took := time.Since(start); took > 2*time.Second {
						w.Errorf("a fresh stream took %v", took)
					}
				}
				if c, d := counter(w, a, "conns_clogged"), counter(w, a, "dials"); c != 1 || d != 2 {
					w.Errorf("%d connections clogged, %d dialed; want 1 and 2", c, d)
				}
				var wg sync.WaitGroup
				for _, s := range stuck {
					wg.Go(func() { s.drain(t) })
				}
				wg.Wait()
			})
		})
	}
}

// stall opens streams on one connection from a to b and sends on them, from a
// with upload, until nothing moves any more.
func (w *world) stall(a, b *Transport, upload bool) []*stalled {
	w.Helper()
	list := make([]*stalled, connWindow/streamFirst+2)
	for i := range list {
		near, far := connected(w, a, b)
		if list[i] = (&stalled{from: near, to: far}); !upload {
			list[i] = &stalled{from: far, to: near}
		}
	}
	var wg sync.WaitGroup
	for _, s := range list {
		wg.Go(func() {
			s.from.SetWriteDeadline(time.Now().Add(10 * time.Second))
			n, err := s.from.Write(make([]byte, streamFirst+64<<10))
			want(w, "write to nobody", err, os.ErrDeadlineExceeded)
			s.sent = n
			s.from.SetWriteDeadline(time.Time{})
		})
	}
	wg.Wait()
	return list
}

// persistent are the two ends of a stream from a to b, where b accepts until it
// works.
func (w *world) persistent(a, b *Transport) (dialed, other transport.Stream) {
	w.Helper()
	ch := make(chan transport.Stream, 1)
	go func() {
		for {
			o, err := b.Accept(limit(w))
			if err != nil {
				w.Errorf("accept: %v", err)
				close(ch)
				return
			}
			if s, err := o.Accept(); err == nil {
				ch <- s
				return
			}
		}
	}()
	s, err := a.Dial(limit(w), b.Local(), transport.Open{Protocol: "test"})
	if err != nil {
		w.Fatal(err)
	}
	if other = <-ch; other == nil {
		w.FailNow()
	}
	w.Cleanup(func() { s.Close(); other.Close() })
	return s, other
}

// drain reads what the stream sent, and an end written now.
func (s *stalled) drain(t *testing.T) {
	go func() {
		s.from.Write([]byte("the end"))
		s.from.CloseWrite()
	}()
	all, err := io.ReadAll(s.to)
	if err != nil || len(all) != s.sent+len("the end") || !bytes.HasSuffix(all, []byte("the end")) {
		t.Errorf("read %d bytes of %d, %v", len(all), s.sent, err)
	}
}

// TestShunnedConnection: it is left alone, tried again in time or when a stream
// on it ends, and counted once.
func TestShunnedConnection(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		a, b := w.node("alice", "10.0.0.1:1"), w.node("bob", "10.0.0.2:1")
		s, _ := connected(w, a, b)
		c := a.conns.newest(time.Now())[0].conn
		get := func() *conn {
			got, _ := a.conns.acquire(b.id, b.local, time.Now())
			if got != nil {
				a.conns.release(got, time.Now(), false)
			}
			return got
		}
		a.clog(c)
		a.clog(c)
		if n := counter(w, a, "conns_clogged"); n != 1 || get() != nil {
			w.Errorf("counted %d, or handed out", n)
		}
		time.Sleep(clogRetry)
		if get() != c {
			w.Error("never tried again")
		}
		a.clog(c)
		s.Close()
		if get() != c {
			w.Error("not tried after a stream had ended")
		}
	})
}

// TestBurst dials a peer a thousand times at once; it takes its time with each.
func TestBurst(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		a, b := w.node("alice", "10.0.0.1:1"), w.node("bob", "10.0.0.2:1")
		w.acceptSlowly(b, 100*time.Millisecond)
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				s, err := a.Dial(w.Context(), b.Local(), transport.Open{Protocol: "test"})
				if err != nil {
					w.Error(err)
					return
				}
				s.Close()
			})
		}
		wg.Wait()
		if n := counter(w, a, "dials_queued"); n != 1000-maxAsking {
			w.Errorf("%d dials waited, want %d", n, 1000-maxAsking)
		}
		if n := len(a.turns.peers); n != 0 {
			w.Errorf("%d queues are left", n)
		}
	})
}

// acceptSlowly accepts every offer to n a while after it came.
func (w *world) acceptSlowly(n *Transport, after time.Duration) {
	go func() {
		for {
			o, err := n.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				time.Sleep(after)
				if s, err := o.Accept(); err == nil {
					s.Close()
				}
			}()
		}
	}()
}

// TestTurns: who came first goes first, and who leaves the queue costs nobody
// a turn.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, id := newTurns(), identity.ID{1}
		for range maxAsking {
			if waited, err := turns.take(t.Context(), id); waited || err != nil {
				t.Fatalf("waited %v, %v", waited, err)
			}
		}
		if waited, err := turns.take(t.Context(), identity.ID{2}); waited || err != nil {
			t.Errorf("another peer: waited %v, %v", waited, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan int, 10)
		for i := range 5 {
			use := t.Context()
			if i == 1 {
				use = ctx
			}
			go func() {
				if _, err := turns.take(use, id); err == nil {
					served <- i
				}
			}()
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		for _, next := range []int{0, 2, 3, 4} {
			turns.give(id)
			if got := <-served; got != next {
				t.Errorf("%d got the turn of %d", got, next)
			}
		}
		for range maxAsking {
			turns.give(id)
		}
		turns.give(identity.ID{2})
		if len(turns.peers) != 0 {
			t.Errorf("left: %v", turns.peers)
		}
	})
}

// TestTurnHandedOverTooLate gives turns to those who leave at that moment.
func TestTurnHandedOverTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, id := newTurns(), identity.ID{1}
		for range maxAsking {
			turns.take(t.Context(), id)
		}
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if _, err := turns.take(ctx, id); err == nil {
					turns.give(id)
				}
			}()
			synctest.Wait()
			cancel()
			turns.give(id)
			synctest.Wait()
			if n := turns.peers[id].asking; n != maxAsking-1 {
				t.Fatalf("%d turns are taken, want %d", n, maxAsking-1)
			}
			turns.take(t.Context(), id)
		}
	})
}

// TestSilentConnection cuts the network below a connection. The dial that finds
// out shuns it, and the next one does not wait for it.
func TestSilentConnection(t *testing.T) {
	inBubble(t, simnet.Options{Latency: time.Millisecond}, func(w *world) {
		a, b := w.node("alice", "10.0.0.1:1"), w.node("bob", "10.0.0.2:1")
		s, _ := connected(w, a, b)
		time.Sleep(time.Second)
		dial := func(limit time.Duration) error {
			ctx, cancel := context.WithTimeout(w.Context(), limit)
			defer cancel()
			_, err := a.Dial(ctx, b.Local(), transport.Open{Protocol: "test"})
			return err
		}
		want(w, "dial of a slow peer", dial(2*time.Second), context.DeadlineExceeded)
		if n := counter(w, a, "conns_silent"); n != 0 {
			w.Error("a peer that acknowledges is not silent")
		}
		w.net.Partition([]netip.Addr{a.local.Addr()}, []netip.Addr{b.local.Addr()})
		want(w, "dial of a silent peer", dial(2*time.Second), context.DeadlineExceeded)
		if n := counter(w, a, "conns_silent"); n != 1 {
			w.Errorf("counted %d", n)
		}
		before := counter(w, a, "dials")
		if err := dial(time.Second); !errors.Is(err, context.DeadlineExceeded) || counter(w, a, "dials") != before+1 {
			w.Errorf("the next dial took the silent connection: %v", err)
		}
		if s.SetDeadline(time.Time{}) != nil || a.conns.newest(time.Now())[0].qc.Context().Err() != nil {
			w.Error("the connection was closed under its stream")
		}
	})
}

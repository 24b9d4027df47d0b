package swarm

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/store/blob"
)

// spoiler serves properly but for one byte of the stream.
func (w *world) spoiler(at int64) *far {
	return w.liar(func(ctx context.Context, c net.Conn) {
		_ = w.home.Serve(ctx, &spoiled{Conn: c, at: at}, w.id)
	})
}

type spoiled struct {
	net.Conn
	at, n int64
}

func (s *spoiled) Write(b []byte) (int, error) {
	b = append([]byte(nil), b...)
	if i := s.at - s.n; i >= 0 && i < int64(len(b)) {
		b[i] ^= 0x40
	}
	n, err := s.Conn.Write(b)
	s.n += int64(n)
	return n, err
}

func (s *spoiled) CloseWrite() error { return s.Conn.(*wire).CloseWrite() }
func (s *spoiled) Reset()            { s.Conn.(*wire).Reset() }

// claims says a size and then sends zeros for ever.
func claims(size int64) func(context.Context, net.Conn) {
	return func(ctx context.Context, c net.Conn) {
		go func() { _, _ = io.Copy(io.Discard, c) }()
		_, err := c.Write(appendSize(nil, size))
		for zeros := make([]byte, 64<<10); err == nil && ctx.Err() == nil; {
			_, err = c.Write(zeros)
		}
	}
}

// short ends the stream after that many bytes.
func (w *world) short(n int64) *far {
	return w.liar(func(ctx context.Context, c net.Conn) {
		_ = w.home.Serve(ctx, &cut{Conn: c, left: n}, w.id)
	})
}

type cut struct {
	net.Conn
	left int64
}

func (s *cut) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b[:min(int64(len(b)), s.left)])
	if s.left -= int64(n); s.left == 0 {
		err = errors.Join(err, s.Conn.Close(), io.ErrClosedPipe)
	}
	return n, err
}

// trickle sends a byte every four seconds from some point on.
type trickle struct {
	net.Conn
	swift int
}

func (s *trickle) Write(b []byte) (int, error) {
	if len(b) <= s.swift {
		s.swift -= len(b)
		return s.Conn.Write(b)
	}
	s.swift = 0
	for i := range b {
		time.Sleep(4 * time.Second)
		if _, err := s.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

const liarSize = 12*mib + 77

// liars are all that a seeder can do wrong, each with whether it is a lie.
func liars() map[string]struct {
	lie bool
	add func(*world) *far
} {
	type kind = struct {
		lie bool
		add func(*world) *far
	}
	return map[string]kind{
		"wrong byte in proof":  {true, func(w *world) *far { return w.spoiler(200) }},
		"wrong node":           {true, func(w *world) *far { return w.spoiler(20 << 10) }},
		"wrong byte in a unit": {true, func(w *world) *far { return w.spoiler(2*mib + 5) }},
		"a byte too long":      {true, func(w *world) *far { return w.liar(claims(liarSize + 1)) }},
		"a group too short":    {true, func(w *world) *far { return w.liar(claims(liarSize - blob.GroupSize)) }},
		"an empty blob":        {true, func(w *world) *far { return w.liar(claims(0)) }},
		"a huge size":          {true, func(w *world) *far { return w.liar(claims(-1)) }},
		"endless zeros":        {true, func(w *world) *far { return w.liar(claims(liarSize)) }},
		"ends at once":         {false, func(w *world) *far { return w.short(3) }},
		"ends in the proof":    {false, func(w *world) *far { return w.short(5000) }},
		"ends in a unit":       {false, func(w *world) *far { return w.short(mib) }},
		"says nothing": {false, func(w *world) *far {
			return w.liar(func(ctx context.Context, _ net.Conn) { <-ctx.Done() })
		}},
		"a byte now and then": {false, func(w *world) *far {
			return w.liar(func(ctx context.Context, c net.Conn) {
				_ = w.home.Serve(ctx, &trickle{Conn: c, swift: 40 << 10}, w.id)
			})
		}},
	}
}

func TestLiarsAmongHonest(t *testing.T) {
	for name, kind := range liars() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, liarSize)
				liar := kind.add(w)
				w.seeder(mib, 5*time.Millisecond)
				w.seeder(mib/2, 5*time.Millisecond)
				w.fetch()
				synctest.Wait()
				w.wantKept(true)
				banned := w.here.Stats().Banned
				if want := uint64(1); kind.lie && banned != want || !kind.lie && banned != 0 {
					t.Errorf("%d banned, a lie: %v", banned, kind.lie)
				}
				if n := liar.dials.Load(); kind.lie && n != 1 {
					t.Errorf("a liar was dialled %d times", n)
				}
			})
		})
	}
}

func TestOnlyLiars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liarSize)
		for name, kind := range liars() {
			if kind.lie && name != "wrong byte in a unit" && name != "wrong node" {
				kind.add(w)
			}
		}
		start := time.Now()
		_, err := w.here.Open(t.Context(), w.id)
		if !errors.Is(err, ErrUnreachable) || !errors.Is(err, blob.ErrMismatch) {
			t.Errorf("open: got %v, want ErrUnreachable for blob.ErrMismatch", err)
		}
		if took := time.Since(start); took > patience {
			t.Errorf("took %v to see that all of them lie", took)
		}
		if _, err := w.here.Stat(t.Context(), w.id); !errors.Is(err, blob.ErrMismatch) {
			t.Errorf("stat: got %v, want blob.ErrMismatch", err)
		}
		synctest.Wait()
		w.wantKept(false)
		if n := w.partFiles(); n != 0 {
			t.Errorf("%d files of partial blobs are left", n)
		}
	})
}

// TestLiesAfterProof: nobody is left in the middle of a fetch.
func TestLiesAfterProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liarSize)
		w.spoiler(3 * mib)
		r := w.mustOpen()
		defer r.Close()
		n, err := io.Copy(io.Discard, r)
		if !errors.Is(err, ErrUnreachable) || !errors.Is(err, blob.ErrMismatch) {
			t.Errorf("read: got %v, want ErrUnreachable for blob.ErrMismatch", err)
		}
		if n == 0 || n > 3*mib {
			t.Errorf("read %d bytes, wrong from 3 MiB on", n)
		}
		w.wantKept(false)
	})
}

// TestOtherSizeLater: once the size is proven, who claims another is asked for
// nothing.
func TestOtherSizeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, liarSize)
		w.seeder(mib/4, time.Millisecond)
		r := w.mustOpen()
		defer r.Close()
		liar := w.spoiler(7)
		w.readAll(r)
		if banned, asked := w.here.Stats().Banned, liar.asked.Load(); banned != 1 || asked != 0 {
			t.Errorf("%d banned, %d bytes of requests; want 1 and none", banned, asked)
		}
	})
}

// TestTricklers: eight that take all the places and send a byte now and then do
// not keep an honest one out.
func TestTricklers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3*mib)
		for range maxLinks {
			w.liar(func(ctx context.Context, c net.Conn) {
				_ = w.home.Serve(ctx, &trickle{Conn: c, swift: 40 << 10}, w.id)
			})
		}
		w.seeder(mib, time.Millisecond)
		start := time.Now()
		w.fetch()
		if took := time.Since(start); took > groupTime+10*time.Second {
			t.Errorf("took %v, want 3 s once there is a place", took)
		}
	})
}

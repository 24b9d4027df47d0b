package swarm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc/store/blob"
)

// ask runs Serve at the other end of a connection.
func (w *world) ask(ctx context.Context, id blob.ID) (*wire, <-chan error) {
	mine, theirs := newWires(new(far))
	done := make(chan error, 1)
	w.wg.Go(func() { done <- w.home.Serve(ctx, theirs, id) })
	return mine, done
}

func request(first, n uint64) []byte { return appendRequest(nil, slice{first, n}) }

func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 2*mib + 5
		w := newWorld(t, size)
		c, done := w.ask(t.Context(), w.id)
		requests := []slice{{128, 1}, {0, 64}, {5, 1}, {127, 2}}
		var b []byte
		for _, r := range requests {
			b = appendRequest(b, r)
		}
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := readSize(t.Context(), c)
		if err != nil || got != size {
			t.Fatalf("size: got %d, %v, want %d", got, err, size)
		}
		var data collector
		for _, r := range requests {
			data.Reset()
			if err := blob.ReadSlice(c, w.id, size, r.first, r.n, &data); err != nil {
				t.Fatalf("slice %v: %v", r, err)
			}
			at := int64(r.first) * blob.GroupSize
			if !bytes.Equal(data.Bytes(), w.data[at:at+dataOf(size, r)]) {
				t.Errorf("slice %v has other bytes", r)
			}
		}
		if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
			t.Errorf("after the answers: %d bytes, %v", len(rest), err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if s := w.home.Stats(); s.Served != 4 || s.ServedBytes != mib+2*blob.GroupSize+10 || s.Serving != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

type collector struct{ bytes.Buffer }

func (c *collector) Node(uint64, *[64]byte) error      { return nil }
func (c *collector) Group(_ uint64, data []byte) error { _, err := c.Write(data); return err }

func TestServeEnds(t *testing.T) {
	longest := bytes.Repeat(request(0, 64), 10)
	tests := map[string]struct {
		id   blob.ID // zero: the one that is there
		send []byte
		half bool // and end the sending direction
		mute bool // read no answer
		want error
	}{
		"nothing asked":   {half: true},
		"not here":        {id: blob.ID{1}, want: blob.ErrNotFound},
		"no groups":       {send: request(0, 0), want: ErrMalformed},
		"too many groups": {send: request(0, 65), want: ErrMalformed},
		"beyond the end":  {send: request(128, 2), want: ErrMalformed},
		"overflow":        {send: request(1<<64-1, 2), want: ErrMalformed},
		"half a request":  {send: request(0, 1)[:9], half: true, want: ErrMalformed},
		"silence":         {want: context.DeadlineExceeded},
		"takes nothing":   {send: longest, mute: true, want: context.DeadlineExceeded},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2*mib+5)
				id := w.id
				if tt.id != (blob.ID{}) {
					id = tt.id
				}
				c, done := w.ask(t.Context(), id)
				defer c.Close()
				if _, err := c.Write(tt.send); err != nil {
					t.Fatal(err)
				}
				if tt.half {
					_ = c.CloseWrite()
				}
				if !tt.mute {
					go func() { _, _ = io.Copy(io.Discard, c) }()
				}
				start := time.Now()
				err := <-done
				if took := time.Since(start); took > idleServe+stuckServe {
					t.Errorf("ended after %v", took)
				}
				timeout := tt.want == context.DeadlineExceeded && isTimeout(err)
				if !errors.Is(err, tt.want) && !timeout {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				synctest.Wait()
			})
		})
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestServeStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, mib)
		ctx, cancel := context.WithCancel(t.Context())
		c, done := w.ask(ctx, w.id)
		defer c.Close()
		time.AfterFunc(time.Second, cancel)
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		c, done = w.ask(t.Context(), w.id)
		defer c.Close()
		time.AfterFunc(time.Second, func() { w.home.Close() })
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		_, done = w.ask(t.Context(), w.id)
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("after close: got %v, want ErrClosed", err)
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add(request(0, 1), uint64(1))
	f.Add(request(0, 64), uint64(64))
	f.Add(request(1<<64-1, 64), uint64(1<<63))
	f.Add(request(3, 65), uint64(100))
	f.Add(request(1<<64-2, 64), uint64(1<<64-1))
	f.Fuzz(func(t *testing.T, b []byte, groups uint64) {
		if len(b) != requestLen {
			return
		}
		s, err := decodeRequest([requestLen]byte(b), groups)
		first, n := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
		valid := n >= 1 && n <= unitGroups && first < groups && first <= groups-min(n, groups) && n <= groups
		if valid != (err == nil) {
			t.Fatalf("groups %d+%d of %d: got %v, want valid %v", first, n, groups, err, valid)
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v, want ErrMalformed", err)
			}
			return
		}
		if !bytes.Equal(appendRequest(nil, s), b) {
			t.Fatalf("%x is encoded as %x", b, appendRequest(nil, s))
		}
	})
}

package forward

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

type joined struct {
	Transfer
	err error
}

// joinTCP joins two loopback connections and returns their outer ends.
func joinTCP(t testing.TB) (a, b *net.TCPConn, result <-chan joined) {
	t.Helper()
	a, x := tcpPair(t)
	b, y := tcpPair(t)
	for _, c := range []net.Conn{a, b} {
		c.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return a, b, join(x, y)
}

func join(x, y net.Conn) <-chan joined {
	result := make(chan joined, 1)
	go func() {
		transfer, err := Join(x, y)
		result <- joined{transfer, err}
	}()
	return result
}

func TestJoinHalfClose(t *testing.T) {
	a, b, result := joinTCP(t)
	for _, way := range []struct {
		name          string
		first, second *net.TCPConn
	}{{"a first", a, b}, {"b first", b, a}} {
		if way.name == "b first" {
			a, b, result = joinTCP(t)
			way.first, way.second = b, a
		}
		send(t, way.first, "question")
		way.first.CloseWrite()
		wantRead(t, way.second, "question")
		wantEOF(t, way.second)
		// The other direction still works, long after.
		answer := pattern(1 << 20)
		go func() {
			way.second.Write(answer)
			way.second.CloseWrite()
		}()
		got, err := io.ReadAll(way.first)
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, got, answer)
		r := <-result
		want := Transfer{Sent: 8, Received: 1 << 20}
		if way.name == "b first" {
			want = Transfer{Sent: 1 << 20, Received: 8}
		}
		if r.err != nil || r.Transfer != want {
			t.Errorf("%s: Join = %+v, %v; want %+v", way.name, r.Transfer, r.err, want)
		}
	}
}

func TestJoinPassesReset(t *testing.T) {
	a, b, result := joinTCP(t)
	send(t, a, "x")
	wantRead(t, b, "x")
	a.SetLinger(0)
	a.Close()
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read at the other end: %v; want a reset", err)
	}
	if r := <-result; !errors.Is(r.err, syscall.ECONNRESET) {
		t.Errorf("Join: %v", r.err)
	}
}

func TestJoinPassesResetOfConn(t *testing.T) {
	outer, inner := Pipe()
	a, x := tcpPair(t)
	a.SetDeadline(time.Now().Add(20 * time.Second))
	result := join(x, inner)
	outer.Reset()
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("TCP after a stream's reset: %v", err)
	}
	<-result

	outer, inner = Pipe()
	a, x = tcpPair(t)
	result = join(x, inner)
	a.SetLinger(0)
	a.Close()
	if _, err := outer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("stream after TCP's reset: %v", err)
	}
	<-result
}

// A server that answers early and closes must get its answer through, even
// though the client is still sending.
func TestJoinDeliversEarlyAnswer(t *testing.T) {
	a, b, result := joinTCP(t)
	answer := pattern(100_000)
	go func() {
		io.ReadFull(b, make([]byte, 10))
		b.Write(answer)
		b.Close() // with unread data: the system resets the connection
	}()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		chunk := make([]byte, 1<<16)
		for range 1000 {
			if _, err := a.Write(chunk); err != nil {
				return
			}
		}
	}()
	got := make([]byte, 0, len(answer))
	buf := make([]byte, 4096)
	for len(got) < len(answer) {
		n, err := a.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			break
		}
	}
	if !bytes.HasPrefix(answer, got) {
		t.Error("the answer is garbled")
	}
	a.Close()
	<-sent
	if r := <-result; r.err == nil {
		t.Error("Join reports no error")
	}
}

// failWrites is a connection whose far end takes nothing more.
type failWrites struct{ *PipeConn }

func (failWrites) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestJoinDrainsAfterFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, x := Pipe()
		b, y := Pipe()
		result := join(x, failWrites{y})
		send(t, b, "too large")
		b.CloseWrite()
		// More than the pipe holds: the client is not left stuck in its upload.
		if _, err := a.Write(make([]byte, 4*pipeSize)); err != nil {
			t.Errorf("upload: %v", err)
		}
		wantRead(t, a, "too large")
		wantEOF(t, a)
		if r := <-result; !errors.Is(r.err, syscall.EPIPE) {
			t.Errorf("Join: %v", r.err)
		}
	})
}

// A reader that stops must stop the writer: nothing piles up in between.
func TestJoinBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, x := Pipe()
		b, y := Pipe()
		result := join(x, y)
		var written atomic.Int64
		data := pattern(4 << 20)
		go func() {
			for rest := data; len(rest) > 0; rest = rest[min(len(rest), 1000):] {
				a.Write(rest[:min(len(rest), 1000)])
				written.Add(int64(min(len(rest), 1000)))
			}
			a.CloseWrite()
		}()
		synctest.Wait()
		if n := written.Load(); n > 2*pipeSize+largeBuffer+1000 {
			t.Errorf("%d bytes were taken though nobody reads", n)
		}
		got, err := io.ReadAll(b)
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, got, data)
		b.Close()
		<-result
	})
}

func TestJoinIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, x := Pipe()
		b, y := Pipe()
		start := time.Now()
		done := make(chan error, 1)
		go func() {
			_, err := JoinIdle(x, y, time.Minute)
			done <- err
		}()
		for range 10 { // busy for 400 s in one direction only
			time.Sleep(40 * time.Second)
			send(t, b, "x")
			wantRead(t, a, "x")
		}
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("JoinIdle: %v", err)
		}
		if took := time.Since(start); took <= 460*time.Second || took > 520*time.Second {
			t.Errorf("ended after %s; want 1 to 2 min after the last byte", took)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read after the idle limit: %v", err)
		}
	})
}

// plainConn has neither CloseWrite nor Reset.
type plainConn struct{ net.Conn }

func TestJoinClosesConnWithoutHalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, x := Pipe()
		b, y := Pipe()
		result := join(x, plainConn{y})
		a.CloseWrite()
		wantEOF(t, b)
		if _, err := b.Write([]byte("x")); err == nil {
			t.Error("the other end is still open")
		}
		<-result
		a.Close()
	})
}

func TestBufferFollowsReads(t *testing.T) {
	var b buffer
	defer b.release()
	for i, step := range []struct{ read, next int }{
		{0, smallBuffer}, {100, smallBuffer}, {smallBuffer, largeBuffer}, {60_000, largeBuffer}, {10, smallBuffer},
	} {
		if i > 0 {
			b.fit(step.read)
		}
		if got := len(b.take()); got != step.next {
			t.Errorf("step %d: buffer of %d after a read of %d; want %d", i, got, step.read, step.next)
		}
	}
}

package transporttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/staex-mcc/mcc/transport"
)

func isTimeout(err error) bool {
	nerr, ok := errors.AsType[net.Error](err)
	return ok && nerr.Timeout()
}

// readFull reads exactly size bytes.
func readFull(r *rig, from io.Reader, size int) []byte {
	r.Helper()
	return collect(r, func() ([]byte, error) {
		buf := make([]byte, size)
		_, err := io.ReadFull(from, buf)
		return buf, err
	})
}

// readAll reads up to io.EOF.
func readAll(r *rig, from io.Reader) []byte {
	r.Helper()
	return collect(r, func() ([]byte, error) { return io.ReadAll(from) })
}

// collect does not trust the stream's deadlines to end a read.
func collect(r *rig, read func() ([]byte, error)) []byte {
	r.Helper()
	type result struct {
		data []byte
		err  error
	}
	got := waitFor(r, "read", background(r, func() result {
		data, err := read()
		return result{data, err}
	}), 3*r.patience)
	r.must("read", got.err)
	return got.data
}

// echo sends everything back, and the end of it too.
func echo(s transport.Stream) {
	io.Copy(struct{ io.Writer }{s}, struct{ io.Reader }{s})
	s.CloseWrite()
}

// roundTrip sends data to an echo and checks what comes back, and its end.
func roundTrip(s transport.Stream, data []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := s.Write(data)
		sent <- errors.Join(err, s.CloseWrite())
	}()
	got, err := io.ReadAll(s)
	if err := errors.Join(err, <-sent); err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return fmt.Errorf("%d bytes went out and %d others came back", len(data), len(got))
	}
	return nil
}

func streamHalfClose(r *rig) {
	r.bothWays(func(what string, x, y transport.Stream) {
		_, err := x.Write([]byte("question"))
		r.must("write", err)
		r.must("CloseWrite of "+what, x.CloseWrite())
		if _, err := x.Write([]byte("more")); err == nil {
			r.Errorf("%s writes after CloseWrite", what)
		}
		r.equal("up to the half-close of "+what, readAll(r, y), []byte("question"))

		for range 3 { // the other direction goes on
			exchange(r, y, x, "answer")
		}
		r.must("CloseWrite", y.CloseWrite())
		if n, err := x.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			r.Errorf("read at the end: %d, %v, want io.EOF", n, err)
		}
		r.must("Close after both directions ended", x.Close())
	})
}

func streamCloseDelivers(r *rig) {
	r.bothWays(func(what string, x, y transport.Stream) {
		data := pattern(256<<10, 1)
		sent := r.failure(func() error {
			_, err := x.Write(data)
			return errors.Join(err, x.Close())
		})
		r.equal("what was written before the Close of "+what, readAll(r, y), data)
		r.must("write and Close", wait(r, "write and Close", sent))
	})
}

// streamCloseUnread closes an end that has not read what waits for it.
func streamCloseUnread(r *rig) {
	r.bothWays(func(what string, x, y transport.Stream) {
		_, err := y.Write([]byte("nobody reads this"))
		r.must("write", err)
		r.within("Close of "+what, func() { x.Close() })
		r.within("writing to a closed end", func() {
			for err == nil {
				_, err = y.Write(make([]byte, 4<<10))
			}
		})
		if isTimeout(err) {
			r.Errorf("writing to a closed end did not fail before the deadline: %v", err)
		}
		if _, err := y.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			r.Errorf("read from a closed end: %v", err)
		}
	})
}

func streamCloseOwn(r *rig) {
	r.bothWays(func(what string, x, y transport.Stream) {
		pending := r.failure(func() error { _, err := x.Read(make([]byte, 1)); return err })
		r.within("Close of "+what, func() { x.Close() })
		r.expect("a read that Close ended", wait(r, "a read that Close ends", pending), net.ErrClosed)
		_, err := x.Read(make([]byte, 1))
		r.expect("read after Close", err, net.ErrClosed)
		_, err = x.Write([]byte("x"))
		r.expect("write after Close", err, net.ErrClosed)
		x.Close() // again: must do no harm
		if n, err := y.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			r.Errorf("read after the peer's Close: %d, %v, want io.EOF", n, err)
		}
	})
}

func streamReset(r *rig) {
	r.bothWays(func(what string, x, y transport.Stream) {
		exchange(r, x, y, "a stream that lives")
		pending := r.failure(func() error { _, err := y.Read(make([]byte, 1)); return err })
		own := r.failure(func() error { _, err := x.Read(make([]byte, 1)); return err })
		r.within("Reset of "+what, x.Reset)
		r.expect("a read that the peer's Reset ended", wait(r, "a read that Reset ends", pending), transport.ErrReset)
		_, err := y.Read(make([]byte, 1))
		r.expect("read after the peer's Reset", err, transport.ErrReset)
		err = nil
		for err == nil {
			_, err = y.Write(make([]byte, 4<<10))
		}
		r.expect("write after the peer's Reset", err, transport.ErrReset)

		r.expect("a read that the own Reset ended", wait(r, "a read that the own Reset ends", own), net.ErrClosed)
		_, err = x.Write([]byte("x"))
		r.expect("write after the own Reset", err, net.ErrClosed)
		x.Reset() // again: must do no harm
		x.Close()
	})
}

func streamDeadlines(r *rig) {
	past := time.Unix(1, 0)
	r.bothWays(func(what string, x, y transport.Stream) {
		read := func() error { return noBytes(x.Read(make([]byte, 10))) }
		write := func() error { return noBytes(x.Write([]byte("x"))) }
		timedOut := func(when string, pending <-chan error) {
			r.Helper()
			err := wait(r, when, pending)
			if !errors.Is(err, os.ErrDeadlineExceeded) || !isTimeout(err) {
				r.Fatalf("%s: %v, want os.ErrDeadlineExceeded and a net.Error that is a timeout", when, err)
			}
		}
		_, err := y.Write([]byte("waiting"))
		r.must("write", err)
		x.SetReadDeadline(past)
		timedOut("read past the deadline", r.failure(read))
		x.SetDeadline(past)
		timedOut("write past the deadline", r.failure(write))

		x.SetDeadline(time.Now().Add(r.patience))
		r.equal("read once the deadline was moved", readFull(r, x, 7), []byte("waiting"))
		pending := r.failure(read)
		x.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		timedOut("a read that the deadline ends", pending)
		x.SetReadDeadline(time.Time{})
		exchange(r, y, x, "goes on")
		exchange(r, x, y, "both ways")
	})
}

// noBytes makes an error of bytes that should not have been moved.
func noBytes(n int, err error) error {
	if n != 0 {
		return fmt.Errorf("%d bytes were moved, and error %v", n, err)
	}
	return err
}

// streamBackpressure writes to an end that does not read: the writer must come
// to a halt, and everything must arrive later.
func streamBackpressure(r *rig) {
	const limit, chunk = 64 << 20, 64 << 10
	alice, bob := r.pairOf()
	x, y := r.stream(alice, bob)
	data := pattern(chunk, 1)
	var total int
	var err error
	for err == nil && total < limit {
		x.SetWriteDeadline(time.Now().Add(250 * time.Millisecond))
		var n int
		n, err = x.Write(data)
		total += n
	}
	if err == nil {
		r.Fatalf("%d MiB went to an end that does not read", total>>20)
	}
	r.expect("write to an end that does not read", err, os.ErrDeadlineExceeded)
	x.SetWriteDeadline(time.Now().Add(3 * r.patience))
	sent := r.failure(x.CloseWrite)
	got := readAll(r, y)
	if len(got) != total {
		r.Errorf("Write counted %d bytes, %d arrived", total, len(got))
	}
	for i := 0; i < len(got); i += chunk {
		if part := got[i:min(i+chunk, len(got))]; !bytes.Equal(part, data[:len(part)]) {
			r.Fatalf("the bytes from %d on are others than were written", i)
		}
	}
	r.must("CloseWrite", wait(r, "CloseWrite", sent))
}

// streamBulk sends 1 MiB each way at the same time.
func streamBulk(r *rig) {
	const size = 1 << 20
	alice, bob := r.pairOf()
	x, y := r.stream(alice, bob)
	for i, s := range []transport.Stream{x, y} {
		r.helpers.Go(func() {
			if n, err := s.Write(pattern(size, byte(i))); n != size || err != nil {
				r.Errorf("write %d bytes: %d, %v", size, n, err)
			}
			if err := s.CloseWrite(); err != nil {
				r.Errorf("CloseWrite: %v", err)
			}
		})
	}
	for i, s := range []transport.Stream{y, x} {
		r.equal("1 MiB", readAll(r, s), pattern(size, byte(i)))
	}
}

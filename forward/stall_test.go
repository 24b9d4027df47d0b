package forward

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// deaf is a service that reads the head of a request and nothing more.
func deaf(t *testing.T) string {
	hold := make(chan struct{})
	addr := serveTCP(t, func(c net.Conn) {
		c.(*net.TCPConn).SetReadBuffer(4 << 10)
		readHead(bufio.NewReaderSize(c, 16))
		<-hold
	})
	t.Cleanup(func() { close(hold) })
	return addr
}

// flood is a service that answers without end.
func flood(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := w.Write(make([]byte, 32<<10)); err != nil {
			return
		}
	}
}

// fill writes until nothing more is taken, or an error.
func fill(c net.Conn) {
	for b := make([]byte, 32<<10); ; {
		c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

const upload = "POST /s/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"

// prompt fails the test if f does not return while it could.
func prompt(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s hangs", what)
	}
}

// Neither an upload that the service does not read nor an answer that the
// caller does not read keeps a backend from ending.
func TestBackendDrainWithStalled(t *testing.T) {
	for _, raw := range []bool{false, true} {
		up := backend(t, "tcp://"+deaf(t), BackendOptions{})
		far, _ := stream(t, up, !raw)
		send(t, far, upload)
		fill(far)
		down := backend(t, "tcp://"+floodServer(t), BackendOptions{})
		thirsty, _ := stream(t, down, !raw)
		send(t, thirsty, fmt.Sprintf(get, "/"))
		wantRead(t, thirsty, "HTTP/1.1 200")
		for _, b := range []*Backend{up, down} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			prompt(t, "Drain", func() {
				if err := b.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Drain: %v", err)
				}
			})
		}
	}
}

func floodServer(t *testing.T) string {
	return serveTCP(t, func(c net.Conn) {
		readHead(bufio.NewReader(c))
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		for b := make([]byte, 32<<10); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	})
}

func TestGatewayDrainWithStalled(t *testing.T) {
	m := newMesh(t, GatewayConfig{})
	m.offer("s", "tcp://"+deaf(t))
	m.offerHandler("flood", flood)
	c, _ := m.connect()
	send(t, c, upload)
	fill(c)
	d, r := m.connect()
	send(t, d, fmt.Sprintf(get, "/flood/"))
	readHead(r)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	prompt(t, "Drain", func() { m.gateway.Drain(ctx) })
}

// A write that makes no progress costs the connection, at each of the places
// that write.
func TestStalledIsReset(t *testing.T) {
	const soon = 50 * time.Millisecond
	wait := func(what string, stats func() Stats) {
		t.Helper()
		prompt(t, what, func() {
			for stats().Stalled == 0 {
				runtime.Gosched()
			}
		})
	}
	for _, raw := range []bool{false, true} {
		up := backend(t, "tcp://"+deaf(t), BackendOptions{Stall: soon})
		far, _ := stream(t, up, !raw)
		send(t, far, upload)
		go fill(far)
		wait("write to the service", up.Stats)
		down := backend(t, "tcp://"+floodServer(t), BackendOptions{Stall: soon})
		thirsty, _ := stream(t, down, !raw)
		send(t, thirsty, fmt.Sprintf(get, "/"))
		wait("write to a stream", down.Stats)
	}

	m := newMesh(t, GatewayConfig{Stall: soon})
	m.offerHandler("flood", flood)
	m.offer("raw", "tcp://"+floodServer(t))
	for i, request := range []string{
		fmt.Sprintf(get, "/flood/"), "CONNECT raw.mcc:80 HTTP/1.1\r\nHost: raw.mcc:80\r\n\r\n" + fmt.Sprintf(get, "/"),
	} {
		c, _ := m.connect()
		send(t, c, request)
		prompt(t, "write to the client", func() {
			for m.gateway.Stats().Stalled <= uint64(i) {
				runtime.Gosched()
			}
		})
	}

	e := newTestEntrances(t, Config{Dial: dialTo(floodServer(t)), Stall: soon})
	_, addr := addEntrance(t, e, Spec{Service: "s"})
	send(t, dial(t, addr), fmt.Sprintf(get, "/"))
	wait("write to the client of an entrance", e.Stats)
}

// Time passes only while a write waits: slow readers and quiet connections
// stay.
func TestPaceLeavesSlowAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := Pipe()
		var count counters
		conn := pace{time.Minute, &count.stalled}.watch(near)
		result := make(chan error, 1)
		go func() {
			_, err := conn.Write(make([]byte, 4*pipeSize))
			result <- err
		}()
		for range 4 * pipeSize / 4096 { // over an hour in all
			time.Sleep(59 * time.Second)
			if _, err := io.ReadFull(far, make([]byte, 4096)); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-result; err != nil {
			t.Fatalf("slow reader: %v", err)
		}
		time.Sleep(time.Hour)
		if _, err := conn.Write(make([]byte, pipeSize)); err != nil {
			t.Fatalf("after a quiet hour: %v", err)
		}
		before := time.Now()
		_, err := conn.Write([]byte("x"))
		if took := time.Since(before); !errors.Is(err, errStalled) || !errors.Is(err, os.ErrDeadlineExceeded) || took < time.Minute || took > 70*time.Second {
			t.Errorf("stalled write: %v after %v", err, took)
		}
		if count.stalled.Load() != 1 {
			t.Error("the stall is not counted")
		}
	})
}

package main

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestLocalAddress(t *testing.T) {
	for text, want := range map[string]string{
		"5000": "tcp://127.0.0.1:5000", "0": "tcp://127.0.0.1:0", "localhost:5000": "tcp://localhost:5000",
		":5000": "tcp://:5000", "[::1]:5000": "tcp://[::1]:5000", "tcp://h:1": "tcp://h:1", "unix:/run/x": "unix:/run/x",
	} {
		if got := localAddress(text); got != want {
			t.Errorf("localAddress(%q) = %q, want %q", text, got, want)
		}
	}
}

// portAPI has one local port.
type portAPI struct {
	mu      sync.Mutex
	body    string // of GET; empty is 404
	removed int
}

func (p *portAPI) serve(t *testing.T) string {
	return fakeAPI(t, map[string]http.HandlerFunc{
		"POST /api/v1/listeners": func(w http.ResponseWriter, r *http.Request) {
			answering(http.StatusCreated, p.set(`{"id":"7","service":"web","address":"tcp://127.0.0.1:5000"}`))(w, r)
		},
		"GET /api/v1/listeners/7": func(w http.ResponseWriter, r *http.Request) {
			if body := p.set(""); body != "" {
				answering(http.StatusOK, body)(w, r)
				return
			}
			answering(http.StatusNotFound, `{"title":"Not Found"}`)(w, r)
		},
		"DELETE /api/v1/listeners/7": func(w http.ResponseWriter, _ *http.Request) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.removed++
			w.WriteHeader(http.StatusNoContent)
		},
	})
}

// set changes the body unless it is empty, and returns it.
func (p *portAPI) set(body string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if body != "" {
		p.body = body
	}
	return p.body
}

func (p *portAPI) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body = ""
}

func TestForward(t *testing.T) {
	const other = `{"id":"7","service":"other","address":"tcp://127.0.0.1:6000"}`
	tests := []struct {
		name    string
		during  func(*portAPI, *background) error
		code    int
		said    string
		removed int
	}{
		{"interrupted", func(_ *portAPI, b *background) error { return b.cmd.Process.Signal(syscall.SIGINT) }, exitDone, "", 1},
		{"hung up", func(_ *portAPI, b *background) error { return b.cmd.Process.Signal(syscall.SIGHUP) }, exitDone, "", 1},
		{"gone", func(p *portAPI, _ *background) error { p.drop(); return nil }, exitFailure, "the node has closed the port", 0},
		{"another's", func(p *portAPI, _ *background) error { p.set(other); return nil }, exitFailure, "the node has closed the port", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &portAPI{}
			b := startCommand(t, t.TempDir(), "forward", "web", "5000", "-api", p.serve(t))
			line, err := bufio.NewReader(b.out).ReadString('\n')
			if err != nil || line != "tcp://127.0.0.1:5000\n" {
				t.Fatalf("printed %q, %v", line, err)
			}
			if err := tt.during(p, b); err != nil {
				t.Fatal(err)
			}
			b.end(t).wants(t, tt.code, tt.said)
			if p.removed != tt.removed {
				t.Errorf("removed %d times, want %d", p.removed, tt.removed)
			}
		})
	}
}

func TestForwardNodeEnds(t *testing.T) {
	stop := make(chan struct{})
	api := fakeAPI(t, map[string]http.HandlerFunc{
		"POST /api/v1/listeners": answering(http.StatusCreated, `{"id":"7","service":"web","address":"tcp://127.0.0.1:5000"}`),
		"GET /api/v1/listeners/7": func(http.ResponseWriter, *http.Request) {
			<-stop
			panic(http.ErrAbortHandler)
		},
	})
	b := startCommand(t, t.TempDir(), "forward", "web", "5000", "-api", api)
	close(stop)
	b.end(t).wants(t, exitFailure, "the node has closed the port: node at")
}

func TestForwardRefused(t *testing.T) {
	for status, code := range map[int]int{http.StatusConflict: exitFailure, http.StatusUnprocessableEntity: exitUsage} {
		api := fakeAPI(t, map[string]http.HandlerFunc{"POST /api/v1/listeners": answering(status, `{"title":"No","detail":"taken"}`)})
		got := runWith(nil, "forward", "web", "5000", "-api", api)
		got.wants(t, code, "mcc: taken\n")
		if got.out != "" {
			t.Errorf("printed %q", got.out)
		}
	}
}

// TestForwardInterruptedEarly has a signal come before the node has answered:
// without the id nobody could close the port that it opens all the same.
func TestForwardInterruptedEarly(t *testing.T) {
	flags := &apiFlags{api: (&portAPI{}).serve(t), timeout: commandWait}
	client, err := flags.client()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	port, _, err := (&session{apiClient: client, flags: flags}).openPort(ctx, localPort{Service: "web", Address: "tcp://:1"})
	if err != nil || port.ID != "7" {
		t.Errorf("got %+v, %v", port, err)
	}
}

func TestOutlast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("because")
		ctx, cancel := context.WithCancelCause(t.Context())
		late, release := outlast(ctx, time.Second)
		defer release()
		cancel(why)
		time.Sleep(time.Second - 1)
		synctest.Wait()
		if late.Err() != nil {
			t.Errorf("ended at once: %v", context.Cause(late))
		}
		time.Sleep(1 * time.Nanosecond)
		synctest.Wait()
		if got := context.Cause(late); got != why {
			t.Errorf("ended with %v, want %v", got, why)
		}
	})
}

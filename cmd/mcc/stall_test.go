package main

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestStalledNode(t *testing.T) {
	stuck := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2000")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, handler := range map[string]http.HandlerFunc{"silent": silent, "stuck": stuck} {
		api := fakeAPI(t, map[string]http.HandlerFunc{"GET /api/v1/blobs/" + someID: handler})
		t.Run(name, func(t *testing.T) {
			got := runWith(nil, "blob", "get", "-api", api, someID, "-timeout", "50ms")
			got.wants(t, exitFailure, "mcc: the node did nothing for 50ms (-timeout)\n")
		})
	}
}

// TestStallCountsTheNodeOnly lets the user's side take long.
func TestStallCountsTheNodeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, s := watchStall(t.Context(), time.Second)
		defer s.end()
		up := &sending{from: slowReader{}, stall: s}
		down := &receiving{from: strings.NewReader("12345"), stall: s}
		for range 3 {
			if _, err := up.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if _, err := down.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // writing
		}
		if ctx.Err() != nil {
			t.Errorf("ended by the user's own pace: %v", ctx.Err())
		}
		s.resume()
		time.Sleep(time.Second + 1)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("a node that does nothing is waited for")
		}
	})
}

// slowReader takes a minute for a byte.
type slowReader struct{}

func (slowReader) Read(b []byte) (int, error) {
	time.Sleep(time.Minute)
	return copy(b, "x"), nil
}

// TestInterrupt ends transfers in their midst, as Ctrl-C does.
func TestInterrupt(t *testing.T) {
	began := make(chan struct{}, 1)
	hold := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2000")
		_ = http.NewResponseController(w).Flush()
		began <- struct{}{}
		<-r.Context().Done()
	}
	api := fakeAPI(t, map[string]http.HandlerFunc{"GET /api/v1/blobs/{id}": hold, "POST /api/v1/blobs": func(_ http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, 1))
		began <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
	}})
	for name, args := range map[string][]string{
		"get": {"blob", "get", someID, "-o", "file"}, "put": {"blob", "put", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := startCommand(t, dir, append(args, "-api", api)...)
			if _, err := io.WriteString(b.in, "begin"); err != nil {
				t.Fatal(err)
			}
			<-began
			if err := b.cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			b.end(t).wants(t, exitFailure, "interrupt")
			wantOnly(t, dir)
		})
	}
}

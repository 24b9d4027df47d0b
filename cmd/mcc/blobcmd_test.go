package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

const someID = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"

func TestBlobPut(t *testing.T) {
	path := writeTemp(t, "film.mkv", strings.Repeat("film", 50_000))
	empty := writeTemp(t, "empty", "")
	tests := []struct {
		name       string
		in         string
		args       []string
		wantQuery  string
		wantLength int64
		wantBody   int
	}{
		{"file", "", []string{path}, "name=film.mkv", 200_000, 200_000},
		{"named", "", []string{path, "-name", "a b/ü"}, "name=a+b%2F%C3%BC", 200_000, 200_000},
		{"standard input", "some bytes", nil, "name=", -1, 10},
		{"dash", "some bytes", []string{"-"}, "name=", -1, 10},
		{"empty file", "", []string{empty}, "name=empty", -1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var query string
			var length int64
			var body []byte
			api := fakeAPI(t, map[string]http.HandlerFunc{"POST /api/v1/blobs": func(w http.ResponseWriter, r *http.Request) {
				query, length = r.URL.RawQuery, r.ContentLength
				body, _ = io.ReadAll(r.Body)
				answering(http.StatusCreated, `{"id":"`+someID+`","size":1}`)(w, r)
			}})
			got := runWith(strings.NewReader(tt.in), append([]string{"blob", "put", "-api", api}, tt.args...)...)
			got.wants(t, exitDone, "")
			if got.out != someID+"\n" || got.err != "" {
				t.Errorf("output %q, %q", got.out, got.err)
			}
			if query != tt.wantQuery || length != tt.wantLength || len(body) != tt.wantBody {
				t.Errorf("query %q, length %d, %d bytes; want %q, %d, %d", query, length, len(body), tt.wantQuery, tt.wantLength, tt.wantBody)
			}
		})
	}
}

// TestBlobPutBrokenInput wants the node to see a body that breaks off, not one
// that ends.
func TestBlobPutBrokenInput(t *testing.T) {
	seen := make(chan error, 1)
	api := fakeAPI(t, map[string]http.HandlerFunc{"POST /api/v1/blobs": func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		seen <- err
	}})
	in := io.MultiReader(strings.NewReader("some bytes"), iotest.ErrReader(errors.New("disk on fire")))
	runWith(in, "blob", "put", "-api", api).wants(t, exitFailure, "mcc: read standard input: disk on fire\n")
	if err := <-seen; err == nil {
		t.Error("the body ended as if it was whole")
	}
}

func TestBlobPutRefused(t *testing.T) {
	tests := []struct {
		status, code int
		want         string
	}{
		{http.StatusUnauthorized, exitFailure, "mcc: no, because\n"},
		{http.StatusRequestEntityTooLarge, exitUsage, "mcc: no, because\n"},
		{http.StatusUnprocessableEntity, exitUsage, "mcc: no, because\n"},
		{http.StatusInsufficientStorage, exitFailure, "mcc: no, because\n"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.status), func(t *testing.T) {
			api := fakeAPI(t, map[string]http.HandlerFunc{"POST /api/v1/blobs": func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, `{"title":"No","detail":"no, because"}`)
			}})
			sent := &countingReader{from: strings.NewReader(strings.Repeat("x", 50<<20))}
			runWith(sent, "blob", "put", "-api", api).wants(t, tt.code, tt.want)
			if n := sent.n.Load(); n > 1<<20 {
				t.Errorf("%d bytes were read for a node that refused the header", n)
			}
		})
	}
}

type countingReader struct {
	from io.Reader
	n    atomic.Int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.n.Add(int64(n))
	return n, err
}

func TestFileThatChanges(t *testing.T) {
	for name, left := range map[string]int64{"grew": 4, "shrank": 6} {
		in := &input{name: "log", from: strings.NewReader("12345")}
		_, err := io.ReadAll(&sameSize{input: in, left: left})
		if err == nil || in.err() == nil || !strings.Contains(err.Error(), "log changed") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	in := &input{name: "log", from: strings.NewReader("12345")}
	if text, err := io.ReadAll(&sameSize{input: in, left: 5}); err != nil || len(text) != 5 {
		t.Errorf("unchanged: %q, %v", text, err)
	}
}

func TestBlobListPages(t *testing.T) {
	page := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("cursor") {
		case "":
			answering(200, `{"blobs":[{"id":"aa","size":1,"name":"one\u001b[2J"}],"next":"aa"}`)(w, r)
		case "aa":
			answering(200, `{"blobs":[{"id":"bb","size":3000001,"added":"2026-01-02T03:04:05Z"}]}`)(w, r)
		}
	}
	api := fakeAPI(t, map[string]http.HandlerFunc{"GET /api/v1/blobs": page})
	got := runWith(nil, "blob", "ls", "-api", api)
	got.wants(t, exitDone, "")
	want := "ID  SIZE     ADDED                 NAME\naa  1 B      0001-01-01T00:00:00Z  one?[2J\nbb  2.9 MiB  2026-01-02T03:04:05Z  -\n"
	if got.out != want {
		t.Errorf("got\n%s\nwant\n%s", got.out, want)
	}
	if got := runWith(nil, "blob", "ls", "-api", api, "-json"); strings.Count(got.out, `"id"`) != 2 {
		t.Errorf("-json: %q", got.out)
	}
	endless := fakeAPI(t, map[string]http.HandlerFunc{"GET /api/v1/blobs": answering(200, `{"blobs":[],"next":"x"}`)})
	runWith(nil, "blob", "ls", "-api", endless).wants(t, exitFailure, "does not end")
	empty := fakeAPI(t, map[string]http.HandlerFunc{"GET /api/v1/blobs": answering(200, `{"blobs":[]}`)})
	if got := runWith(nil, "blob", "ls", "-api", empty, "-json"); got.out != `{"blobs":[]}`+"\n" {
		t.Errorf("nothing: %q", got.out)
	}
}

func TestBlobRemoveGoesOn(t *testing.T) {
	other := strings.Repeat("0", 64)
	api := fakeAPI(t, map[string]http.HandlerFunc{
		"DELETE /api/v1/blobs/" + someID: answering(http.StatusNotFound, `{"title":"Not Found","detail":"blob: not found"}`),
		"DELETE /api/v1/blobs/" + other:  answering(http.StatusNoContent, ""),
	})
	got := runWith(nil, "blob", "rm", "-api", api, someID, other)
	got.wants(t, exitFailure, "mcc: blob: not found\n")
	if got.out != "removed "+other+"\n" {
		t.Errorf("output %q", got.out)
	}
}

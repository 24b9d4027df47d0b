package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mcc "github.com/staex-mcc/mcc"
)

func openEvents(t *testing.T, base, last string) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", base+"/api/v1/events", nil)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); resp.Body.Close() })
	return &reader{t, bufio.NewScanner(resp.Body), resp}
}

func (r *reader) wantEvent(id, event, data string) {
	r.t.Helper()
	if e, ok := r.next(); !ok || e != (sse{id, event, data}) {
		r.t.Fatalf("got %+v %v, want %s %s %s", e, ok, id, event, data)
	}
}

func TestEvents(t *testing.T) {
	f := newFakeNode()
	s := newServer(t, newHandler(t, f, Options{}))
	r := openEvents(t, s.URL, "")
	if r.resp.Header.Get("Content-Type") != eventStreamType || r.resp.Header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("header %v", r.resp.Header)
	}
	happen := func(seq uint64) {
		f.happening <- mcc.Event{
			Seq: seq, Time: fakeExpires.Add(1234567), Kind: mcc.EventServiceHealth, Subject: "files", Detail: "a\nb",
		}
	}
	const rest = `"time":"2026-01-02T15:04:05.001Z","kind":"service-health","subject":"files","detail":"a\nb"}`
	happen(5)
	r.wantEvent("5", "service-health", `{"seq":5,`+rest)
	happen(6)
	r.wantEvent("6", "service-health", `{"seq":6,`+rest)
	// A reader that was too slow learns what it missed.
	happen(9)
	r.wantEvent("", "gap", `{"after":6,"before":9}`)
	r.wantEvent("9", "service-health", `{"seq":9,`+rest)
	r.close()
	for last, gap := range map[string]string{"9": `{"after":9}`, "nonsense": `{"after":0}`, "99999999999999999999999": `{"after":0}`} {
		back := openEvents(t, s.URL, last)
		back.wantEvent("", "gap", gap)
		back.close()
	}
}

func TestEventsEnd(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	s := newServer(t, h)
	wantClosed := func(r *reader) {
		t.Helper()
		e, _ := r.next()
		p := Problem{}
		if err := json.Unmarshal([]byte(e.data), &p); err != nil || e.event != "closed" || p.Type != "urn:mcc:error:closed" {
			t.Errorf("got %+v", e)
		}
		if e, ok := r.next(); ok {
			t.Errorf("after the end: %+v", e)
		}
	}
	r := openEvents(t, s.URL, "")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	wantClosed(r)
	wantProblem(t, do(t, h, "GET /api/v1/events", ""), 503, "closed")

	f = newFakeNode()
	r = openEvents(t, newServer(t, newHandler(t, f, Options{})).URL, "")
	close(f.happening) // the node closes
	wantClosed(r)
}

func TestEventsRefused(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	wantProblem(t, do(t, h, "GET /api/v1/events?since=1", ""), 422, "invalid")
	if w := do(t, h, "HEAD /api/v1/events", ""); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Type") != eventStreamType {
		t.Errorf("HEAD: %d %v", w.Code, w.Header())
	}
	var leaves []func()
	for range maxWatchers {
		_, leave, err := h.watches.admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	wantProblem(t, do(t, h, "GET /api/v1/events", ""), 503, "too-many")
	wantProblem(t, do(t, h, "GET /api/v1/discovery/files/watch", ""), 503, "too-many")
	if got := h.watches.full.Load(); got != 2 {
		t.Errorf("%d counted", got)
	}
	for _, leave := range leaves {
		leave()
	}
	if _, readers := h.watches.counts(); readers != 0 {
		t.Errorf("%d readers are left", readers)
	}
}

// Silence shows that it lives, and a client that goes leaves nothing behind, in
// virtual time.
func TestEventsKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := New(newFakeNode(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 2*keepAlive+time.Second)
		defer cancel()
		r := httptest.NewRequest("GET", "/api/v1/events", nil).WithContext(ctx)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := strings.Count(w.Body.String(), ": keep-alive\n\n"); got != 2 || !w.Flushed || strings.Contains(w.Body.String(), "closed") {
			t.Errorf("%d keep-alives in %q", got, w.Body)
		}
		if _, readers := h.watches.counts(); readers != 0 {
			t.Errorf("%d readers are left", readers)
		}
	})
}

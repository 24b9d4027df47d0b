package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mcc "github.com/staex-mcc/mcc"
)

// sse is one event as a client reads it.
type sse struct{ id, event, data string }

// reader reads a watch as EventSource would.
type reader struct {
	t    *testing.T
	in   *bufio.Scanner
	resp *http.Response
}

func openWatch(t *testing.T, base, name, last string) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", base+"/api/v1/discovery/"+name+"/watch", nil)
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

func (r *reader) close() { r.resp.Body.Close() }

// next returns the next event, or false at the end.
func (r *reader) next() (e sse, ok bool) {
	for r.in.Scan() {
		name, value, _ := strings.Cut(r.in.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.event = value
		case "data":
			e.data = value
		case "":
			if value == "" && e.event != "" {
				return e, true
			}
		}
	}
	return e, false
}

// want reads one event and checks kind and provider; it returns the id.
func (r *reader) want(kind mcc.ChangeKind, n byte) string {
	r.t.Helper()
	e, ok := r.next()
	if !ok || e.event != string(kind) || !strings.Contains(e.data, `"node":"`+fakeID(n).String()+`"`) || e.id == "" {
		r.t.Fatalf("got %+v %v, want %s of %d", e, ok, kind, n)
	}
	return e.id
}

func change(kind mcc.ChangeKind, n byte) mcc.Change {
	return mcc.Change{Kind: kind, Provider: mcc.Provider{Node: fakeID(n), Weight: 1}}
}

func TestWatch(t *testing.T) {
	f := newFakeNode()
	s := newServer(t, newHandler(t, f, Options{}))
	feed := f.feed("files")
	r := openWatch(t, s.URL, "files", "")
	if ct, ab := r.resp.Header.Get("Content-Type"), r.resp.Header.Get("X-Accel-Buffering"); ct != "text/event-stream" || ab != "no" {
		t.Errorf("header %v", r.resp.Header)
	}
	feed <- change(mcc.Added, 1)
	r.want(mcc.Added, 1)
	feed <- change(mcc.Updated, 1)
	feed <- change(mcc.Added, 2)
	r.want(mcc.Updated, 1)
	id := r.want(mcc.Added, 2)
	// A second reader gets what there is, from the same feed.
	other := openWatch(t, s.URL, "files", "")
	part := other.want(mcc.Added, 1)
	if got := other.want(mcc.Added, 2); got != id || part == id {
		t.Errorf("ids %q and %q, the first reader is at %q", part, got, id)
	}
	if f.watching["files"] != 1 {
		t.Errorf("%d watches of the node", f.watching["files"])
	}
	// One that comes back gets what it missed and nothing else.
	r.close()
	feed <- change(mcc.Removed, 1)
	other.want(mcc.Removed, 1)
	back := openWatch(t, s.URL, "files", id)
	back.want(mcc.Removed, 1)
	feed <- change(mcc.Added, 3)
	back.want(mcc.Added, 3)
	// One whose position nobody knows, or which has half a picture, starts anew.
	for _, last := range []string{"nonsense", "other-5", part, strings.Replace(id, "-", "-9", 1)} {
		anew := openWatch(t, s.URL, "files", last)
		if e, _ := anew.next(); e.event != "reset" || e.data != "{}" {
			t.Errorf("Last-Event-ID %q: %+v", last, e)
		}
		anew.want(mcc.Added, 2)
		anew.want(mcc.Added, 3)
		anew.close()
	}
}

func TestWatchEnds(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	s := newServer(t, h)
	feed := f.feed("files")
	r := openWatch(t, s.URL, "files", "")
	feed <- change(mcc.Added, 1)
	r.want(mcc.Added, 1)
	f.err = fmt.Errorf("watch files: %w", mcc.ErrDenied)
	close(feed)
	e, ok := r.next()
	p := Problem{}
	if err := json.Unmarshal([]byte(e.data), &p); err != nil || !ok || e.event != "closed" || p.Type != "urn:mcc:error:denied" {
		t.Errorf("got %+v %v", e, ok)
	}
	if e, ok := r.next(); ok {
		t.Errorf("after the end: %+v", e)
	}
	// Closing the handler ends the others.
	other := openWatch(t, s.URL, "other", "")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if e, _ := other.next(); e.event != "closed" {
		t.Errorf("got %+v", e)
	}
	wantProblem(t, do(t, h, "GET /api/v1/discovery/files/watch", ""), 503, "closed")
}

func TestWatchRefused(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{})
	for _, name := range []string{"a%20b", "a%0Ab", ".a", strings.Repeat("a", 254)} {
		wantProblem(t, do(t, h, "GET /api/v1/discovery/"+name+"/watch", ""), 422, "invalid")
	}
	wantProblem(t, do(t, h, "GET /api/v1/discovery/files/watch?tag=blue", ""), 422, "invalid")
	if w := do(t, h, "HEAD /api/v1/discovery/files/watch", ""); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d", w.Code)
	}
}

// The names watched are bounded; those that nobody reads make room first.
func TestWatchBounds(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	hub := h.watches
	var held []*feed
	for i := range maxFeeds {
		fd, err := hub.join(fmt.Sprint("s", i))
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, fd)
	}
	wantProblem(t, do(t, h, "GET /api/v1/discovery/more/watch", ""), 503, "too-many")
	hub.leave(held[7])
	if _, err := hub.join("more"); err != nil {
		t.Fatal(err)
	}
	feeds, _ := hub.counts()
	if feeds != maxFeeds || hub.feeds["s7"] != nil {
		t.Errorf("%d feeds", feeds)
	}
	for range maxWatchers - maxFeeds {
		if _, err := hub.join("s1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := hub.join("s1"); err == nil {
		t.Error("more watchers than the bound")
	}
	if hub.full.Load() != 2 {
		t.Errorf("%d counted", hub.full.Load())
	}
}

// A reader that is too far behind gets everything anew, not a gap.
func TestFeedBehind(t *testing.T) {
	fd := newFeed("files")
	for i := range feedBuffer + 10 {
		fd.publish(change(mcc.Updated, byte(i%3)))
	}
	if b := fd.since(10, true); b.whole || len(b.changes) != feedBuffer || b.seq != feedBuffer+10 {
		t.Errorf("from the oldest kept: whole %v, %d changes", b.whole, len(b.changes))
	}
	if b := fd.since(9, true); !b.whole || len(b.changes) != 3 || b.changes[0].Kind != mcc.Added {
		t.Errorf("from before: whole %v, %d changes", b.whole, len(b.changes))
	}
	if b := fd.since(feedBuffer+10, true); b.whole || len(b.changes) != 0 {
		t.Errorf("from now: %+v", b)
	}
	if b := fd.since(feedBuffer+11, true); !b.whole {
		t.Error("a position from the future is taken for ours")
	}
	if len(fd.recent) != feedBuffer {
		t.Errorf("%d kept", len(fd.recent))
	}
}

// A feed outlives its last reader for a while, so that one who reconnects
// misses nothing, and then ends.
func TestFeedLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNode()
		hub := newWatchHub(f, newHandler(t, newFakeNode(), Options{}).log)
		defer hub.close()
		fd, err := hub.join("files")
		if err != nil {
			t.Fatal(err)
		}
		hub.leave(fd)
		time.Sleep(feedLinger - time.Second)
		again, _ := hub.join("files")
		if again != fd {
			t.Error("the feed ended early")
		}
		// A second leave begins a minute of its own.
		hub.leave(again)
		time.Sleep(feedLinger / 2)
		synctest.Wait()
		if again, _ = hub.join("files"); again != fd {
			t.Error("the first leave's minute ended the feed")
		}
		time.Sleep(2 * feedLinger)
		synctest.Wait()
		if feeds, readers := hub.counts(); feeds != 1 || readers != 1 {
			t.Errorf("with a reader: %d feeds, %d readers", feeds, readers)
		}
		hub.leave(again)
		time.Sleep(feedLinger + time.Second)
		synctest.Wait()
		if feeds, _ := hub.counts(); feeds != 0 || !errors.Is(fd.since(0, false).ended, mcc.ErrClosed) {
			t.Errorf("%d feeds, ended %v", feeds, fd.since(0, false).ended)
		}
	})
}

// A silent watch shows that it lives, in virtual time.
func TestWatchKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := New(newFakeNode(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 2*keepAlive+time.Second)
		defer cancel()
		r := httptest.NewRequest("GET", "/api/v1/discovery/files/watch", nil).WithContext(ctx)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := strings.Count(w.Body.String(), ": keep-alive\n\n"); got != 2 || !w.Flushed {
			t.Errorf("%d keep-alives in %q", got, w.Body)
		}
	})
}

package rest

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"lukechampine.com/blake3"

	mcc "github.com/staex-mcc/mcc"
)

func TestBlobs(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	sum := blake3.Sum256([]byte("hello"))
	id := hex.EncodeToString(sum[:])
	w := do(t, h, "POST /api/v1/blobs?name=a%20b.txt", "hello", "Content-Type: text/html")
	wantJSON(t, w, 201, `{"id":"`+id+`","size":5,"name":"a b.txt"}`)
	where := "/api/v1/blobs/" + id
	if w.Header().Get("Location") != where || w.Header().Get("ETag") != `"`+id+`"` {
		t.Errorf("header %v", w.Header())
	}
	w = do(t, h, "GET "+where, "")
	if w.Code != 200 || w.Body.String() != "hello" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for name, want := range map[string]string{
		"ETag": `"` + id + `"`, "Content-Length": "5", "Accept-Ranges": "bytes", "Content-Type": bytesType,
		"Content-Disposition": `attachment; filename="a b.txt"`, "Cache-Control": immutable, "X-Content-Type-Options": "nosniff",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	wantJSON(t, do(t, h, "POST /api/v1/blobs", ""), 201, `{"id":"`+emptyHash+`","size":0,"name":""}`)
	if w := do(t, h, "GET /api/v1/blobs/"+emptyHash, ""); w.Code != 200 || w.Header().Get("Content-Length") != "0" {
		t.Errorf("nothing: %d %v", w.Code, w.Header())
	}
	f.seeders = []mcc.Seeder{{Node: fakeID(1), Label: "gate"}, {Node: fakeID(2)}}
	wantJSON(t, do(t, h, "GET "+where+"/seeders", ""), 200, `{"seeders":[{"node":"`+fakeID(1).String()+
		`","label":"gate"},{"node":"`+fakeID(2).String()+`","label":""}]}`)
	f.seeders = nil
	wantJSON(t, do(t, h, "GET "+where+"/seeders", ""), 200, `{"seeders":[]}`)
	if w := do(t, h, "DELETE "+where, ""); w.Code != 204 {
		t.Errorf("DELETE: %d", w.Code)
	}
	for _, request := range []string{"DELETE " + where, "GET " + where, "HEAD " + where} {
		if w := do(t, h, request, ""); w.Code != 404 {
			t.Errorf("%s: %d", request, w.Code)
		}
	}
	for _, request := range []string{
		"GET /api/v1/blobs/short", "HEAD /api/v1/blobs/short", "DELETE /api/v1/blobs/short", "GET /api/v1/blobs/short/seeders",
		"POST /api/v1/blobs?nam=x", "POST /api/v1/blobs?name=" + strings.Repeat("a", 256), "GET /api/v1/blobs?limit=0",
	} {
		if w := do(t, h, request, "x"); w.Code != 422 {
			t.Errorf("%s: %d %s", request, w.Code, w.Body)
		}
	}
}

func TestBlobList(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	wantJSON(t, do(t, h, "GET /api/v1/blobs", ""), 200, `{"blobs":[]}`)
	line := func(n byte) string {
		return fmt.Sprintf(`{"id":"%s","size":%d,"name":"n%d","added":"2026-01-02T15:04:05Z"}`, mcc.Hash{n}, n, n)
	}
	for n := range byte(3) {
		f.addBlob(fmt.Sprint("n", n), mcc.Hash{n}, int64(n), strings.NewReader(strings.Repeat("x", int(n))))
	}
	wantJSON(t, do(t, h, "GET /api/v1/blobs", ""), 200, `{"blobs":[`+line(0)+`,`+line(1)+`,`+line(2)+`]}`)
	wantJSON(t, do(t, h, "GET /api/v1/blobs?limit=2", ""), 200, `{"blobs":[`+line(0)+`,`+line(1)+`],"next":"`+mcc.Hash{1}.String()+`"}`)
	wantJSON(t, do(t, h, "GET /api/v1/blobs?limit=2&cursor="+mcc.Hash{1}.String(), ""), 200, `{"blobs":[`+line(2)+`]}`)
	wantJSON(t, do(t, h, "GET /api/v1/blobs?limit=3", ""), 200, `{"blobs":[`+line(0)+`,`+line(1)+`,`+line(2)+`]}`)
	f.fail(mcc.ErrDamaged)
	wantProblem(t, do(t, h, "GET /api/v1/blobs", ""), 500, "damaged")
}

const alphabet = "abcdefghijklmnopqrstuvwxyz"

func alphabetBlob(t *testing.T) (*fakeNode, *Handler, string) {
	f := newFakeNode()
	f.addBlob("abc", mcc.Hash{1}, int64(len(alphabet)), strings.NewReader(alphabet))
	return f, newHandler(t, f, Options{}), "/api/v1/blobs/" + mcc.Hash{1}.String()
}

// HEAD fetches nothing.
func TestBlobHeadOpensNothing(t *testing.T) {
	f, h, path := alphabetBlob(t)
	f.opened = make(chan *openBlob) // an opening would hang
	w := do(t, h, "HEAD "+path, "")
	if w.Code != 200 || w.Header().Get("Content-Length") != "26" || f.asked != 1 {
		t.Errorf("%d %v, asked %d times", w.Code, w.Header(), f.asked)
	}
}

// failsAt is a content that breaks at a place.
type failsAt struct {
	at  int64
	err error
}

func (f failsAt) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for ; n < len(p) && off+int64(n) < f.at; n++ {
		p[n] = 'x'
	}
	if n < len(p) {
		return n, f.err
	}
	return n, nil
}

// A content that breaks before its first byte is an error, and later a broken
// connection: it never looks whole.
func TestBlobBreaks(t *testing.T) {
	const size = 1 << 20
	f := newFakeNode()
	f.addBlob("", mcc.Hash{1}, size, failsAt{0, fmt.Errorf("fetch: %w", mcc.ErrUnreachable)})
	f.addBlob("", mcc.Hash{2}, size, failsAt{size / 2, fmt.Errorf("fetch: %w", mcc.ErrUnreachable)})
	f.addBlob("", mcc.Hash{3}, size, failsAt{size - 1, io.EOF})
	f.addBlob("", mcc.Hash{4}, size, failsAt{0, errPlain})
	h := newHandler(t, f, Options{})
	wantProblem(t, do(t, h, "GET /api/v1/blobs/"+mcc.Hash{1}.String(), ""), 502, "unreachable")
	w := do(t, h, "GET /api/v1/blobs/"+mcc.Hash{4}.String(), "", "Range: bytes=1-2")
	wantProblem(t, w, 500, "internal")
	for _, name := range []string{"Content-Range", "ETag", "Accept-Ranges"} {
		if w.Header().Get(name) != "" {
			t.Errorf("the problem has %s", name)
		}
	}
	s := newServer(t, h)
	for _, n := range []byte{2, 3} {
		for _, rng := range []string{"", "bytes=0-9,-20"} {
			r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/api/v1/blobs/"+mcc.Hash{n}.String(), nil)
			if rng != "" {
				r.Header.Set("Range", rng)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				continue // cut before anything was sent
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil || int64(len(got)) >= size {
				t.Errorf("%d %q: %d bytes, %v", n, rng, len(got), err)
			}
		}
	}
}

// Servers other than net/http's of HTTP/1 are told to cut, too.
func TestBlobBreakAborts(t *testing.T) {
	f := newFakeNode()
	f.addBlob("", mcc.Hash{1}, 100, failsAt{50, io.EOF})
	h := newHandler(t, f, Options{})
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("recovered %v", got)
		}
		if h.transfers.count() != 0 {
			t.Error("a place is taken")
		}
	}()
	do(t, h, "GET /api/v1/blobs/"+mcc.Hash{1}.String(), "")
}

// An upload that breaks off or lies about its length stores nothing.
func TestBlobUploadBreaks(t *testing.T) {
	f := newFakeNode()
	s := newServer(t, newHandler(t, f, Options{}))
	for name, request := range map[string]string{
		"short":         "Content-Length: 10\r\n\r\nabc",
		"broken chunks": "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
		"no last chunk": "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		r := talkAndClose(t, s.Listener.Addr().String(), "POST /api/v1/blobs HTTP/1.1\r\nHost: 127.0.0.1\r\n"+request)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if resp.StatusCode != 400 || !resp.Close {
			t.Errorf("%s: %s, close %v", name, resp.Status, resp.Close)
		}
	}
	if len(f.blobs) != 0 {
		t.Errorf("stored %d", len(f.blobs))
	}
	f.fail(mcc.ErrBusy)
	resp, text := fetch(t, "POST "+s.URL+"/api/v1/blobs", strings.NewReader("x"))
	if resp.StatusCode != 503 || !strings.Contains(string(text), "busy") {
		t.Errorf("%s %s", resp.Status, text)
	}
}

// A BLOB that nobody delivers is not waited for for ever, but reading has no
// limit.
func TestBlobOpening(t *testing.T) {
	f, _, path := alphabetBlob(t)
	synctest.Test(t, func(t *testing.T) {
		f.stuck = true
		h, err := New(f, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		wantProblem(t, do(t, h, "GET "+path, ""), 504, "deadline")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r := httptest.NewRequest("GET", path, nil).WithContext(ctx)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		wantProblem(t, w, 503, "canceled")
		if h.transfers.count() != 0 {
			t.Error("a place is taken")
		}
	})
}

func TestTransfersAreBounded(t *testing.T) {
	_, h, path := alphabetBlob(t)
	for range maxTransfers {
		if p := h.transfers.begin(); p != nil {
			t.Fatal(p)
		}
	}
	wantProblem(t, do(t, h, "GET "+path, ""), 503, "too-many")
	wantProblem(t, do(t, h, "POST /api/v1/blobs", "x"), 503, "too-many")
	if got := h.transfers.refused.Load(); got != 2 {
		t.Errorf("%d counted", got)
	}
	h.transfers.end()
	for range 2 {
		if w := do(t, h, "GET "+path, ""); w.Code != 200 {
			t.Errorf("%d", w.Code)
		}
	}
}

func TestDisposition(t *testing.T) {
	for name, want := range map[string]string{
		"":                 `attachment`,
		"a.txt":            `attachment; filename="a.txt"`,
		`a"b.txt`:          `attachment; filename="a_b.txt"; filename*=UTF-8''a%22b.txt`,
		"../../etc/passwd": `attachment; filename=".._.._etc_passwd"`,
		`c:\x`:             `attachment; filename="c:_x"`,
		"€ 5.txt":          `attachment; filename="_ 5.txt"; filename*=UTF-8''%E2%82%AC%205.txt`,
		"50%.txt":          `attachment; filename="50_.txt"; filename*=UTF-8''50%25.txt`,
		"a\r\nX: y":        `attachment; filename="a__X: y"; filename*=UTF-8''a%0D%0AX%3A%20y`,
		"\xff":             `attachment; filename="_"`,
	} {
		if got := disposition(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func FuzzDisposition(f *testing.F) {
	for _, seed := range []string{"", "a.txt", `"`, "\\", "€", "%", "\r\n", "\xff", "a;b", "'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		line := disposition(name)
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q: %q", name, line)
		}
		kind, params, err := mime.ParseMediaType(line)
		if err != nil || kind != "attachment" {
			t.Fatalf("%q: %q: %v", name, line, err)
		}
		if utf8.ValidString(name) && !strings.ContainsAny(name, `/\`) && params["filename"] != name {
			t.Errorf("%q comes back as %q", name, params["filename"])
		}
	})
}

// A node whose reader failed says so, whatever error it makes of it.
func TestUploadKeepsItsError(t *testing.T) {
	broken := errors.New("broken")
	up := &upload{rc: http.NewResponseController(httptest.NewRecorder()), body: io.MultiReader(bytes.NewReader([]byte("a")), failing{broken})}
	if n, err := io.ReadAll(up); len(n) != 1 || !errors.Is(err, broken) || !errors.Is(up.err, broken) || up.stalled() {
		t.Errorf("%d %v %v", len(n), err, up.err)
	}
}

// withDeadline keeps the read deadline.
type withDeadline struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (w *withDeadline) SetReadDeadline(t time.Time) error { w.deadline = t; return nil }

// While a body comes it has a deadline, and none is left when it has come: the
// server would take that for a client that went away.
func TestUploadDeadline(t *testing.T) {
	w := &withDeadline{ResponseRecorder: httptest.NewRecorder()}
	up := &upload{rc: http.NewResponseController(w), body: strings.NewReader("ab"), stall: time.Minute}
	if n, err := up.Read(make([]byte, 2)); n != 2 || err != nil || w.deadline.IsZero() {
		t.Errorf("%d %v, deadline %v", n, err, w.deadline)
	}
	if _, err := up.Read(make([]byte, 2)); err != io.EOF || !w.deadline.IsZero() || up.err != nil {
		t.Errorf("at the end: %v, deadline %v", err, w.deadline)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

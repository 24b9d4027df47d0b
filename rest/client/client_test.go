package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/rest/client"
)

// against makes a client of a server that answers with handler.
func against(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newClient(t, client.Options{URL: server.URL})
}

func TestOptions(t *testing.T) {
	for _, good := range []string{"", "http://127.0.0.1:8080", "https://gate.example/mcc/", "unix:/run/mcc.sock", "127.0.0.1:8080", "localhost:8080", "[::1]:8080"} {
		if _, err := client.New(client.Options{URL: good}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"127.0.0.1", "gate", ":8080", "gate:http", "gate:99999", "ftp://host", "http://", "http://host/?a=b", "http://user@host", "unix:", "http://host:1#x", "http://[::1"} {
		if _, err := client.New(client.Options{URL: bad}); !errors.Is(err, mcc.ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", bad, err)
		}
	}
}

// What the node says is the error's text, and its code the condition.
func TestProblems(t *testing.T) {
	for _, c := range []struct {
		status     int
		code, text string
		want       error
	}{
		{422, "invalid", "bad", mcc.ErrInvalid},
		{400, "malformed", "bad", mcc.ErrInvalid},
		{404, "not-found", "x", mcc.ErrNotFound},
		{503, "no-provider", "x", mcc.ErrNoProvider},
		{502, "unreachable", "x", mcc.ErrUnreachable},
		{403, "denied", "x", mcc.ErrDenied},
		{401, "unauthorized", "x", mcc.ErrDenied},
		{409, "exists", "x", mcc.ErrExists},
		{409, "ambiguous", "x", mcc.ErrAmbiguous},
		{409, "in-use", "x", mcc.ErrInUse},
		{409, "conflict", "x", mcc.ErrConflict},
		{412, "conflict", "x", mcc.ErrConflict},
		{413, "too-large", "x", mcc.ErrTooLarge},
		{501, "unsupported", "x", mcc.ErrUnsupported},
		{410, "deactivated", "x", mcc.ErrDeactivated},
		{500, "damaged", "x", mcc.ErrDamaged},
		{503, "busy", "x", mcc.ErrBusy},
		{503, "too-many", "x", mcc.ErrBusy},
		{507, "full", "x", mcc.ErrNoSpace},
		{503, "closed", "x", mcc.ErrClosed},
		{503, "closed", "x", net.ErrClosed},
		{504, "deadline", "x", context.DeadlineExceeded},
	} {
		c1 := against(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprintf(w, `{"type":"urn:mcc:error:%s","title":"T","status":%d,"detail":%q}`, c.code, c.status, c.text)
		})
		_, err := c1.Info(t.Context())
		if !errors.Is(err, c.want) || err.Error() != c.text {
			t.Errorf("%s: %v, want %v", c.code, err, c.want)
		}
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != c.status || e.Code != c.code {
			t.Errorf("%s: %+v", c.code, e)
		}
		if err := closedConn(c1.DialNode(t.Context(), "gate", "x")); !errors.Is(err, c.want) || err.Error() != c.text {
			t.Errorf("dial: %s: %v", c.code, err)
		}
	}
}

func closedConn(conn net.Conn, err error) error {
	if err == nil {
		_ = conn.Close()
	}
	return err
}

func TestForeignAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		text   string
	}{
		"a proxy's page": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(502)
			_, _ = io.WriteString(w, "<html>bad gateway</html>")
		}, "the node answered 502 Bad Gateway"},
		"fields": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(422)
			_, _ = io.WriteString(w, `{"type":"urn:mcc:error:invalid","title":"T","detail":"no","errors":[{"location":"body.x","message":"wrong"}]}`)
		}, "no; body.x: wrong"},
		"no JSON": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }, "is not the API's"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "the node answered 307"},
	} {
		_, err := against(t, c.answer).Info(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// No answer is read into memory without a bound.
func TestAnswersAreBounded(t *testing.T) {
	c := against(t, func(w http.ResponseWriter, _ *http.Request) {
		for block := bytes.Repeat([]byte(" "), 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	_, err := c.Info(t.Context())
	wantError(t, "JSON", err, mcc.ErrTooLarge)
	_, err = c.GetValue(t.Context(), mcc.Hash{})
	wantError(t, "value", err, mcc.ErrTooLarge)
	endless := against(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"services":[],"next":"again"}`)
	})
	_, err = endless.LocalServices(t.Context())
	wantError(t, "pages", err, mcc.ErrTooLarge)
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// A node that lies about what can be verified is found out.
func TestVerifies(t *testing.T) {
	header := map[string]string{
		"Mcc-Owner": "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", "Mcc-Seq": "1",
		"Mcc-Expires": "2030-01-02T15:04:05Z", "Mcc-Signature": strings.Repeat("A", 86) + "==", "ETag": `"00"`,
	}
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		for name, value := range header {
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, "other")
	})
	ctx := t.Context()
	_, err := c.GetValue(ctx, mcc.Hash{1})
	wantError(t, "value", err, mcc.ErrDamaged)
	_, err = c.PutValue(ctx, []byte("x"))
	wantError(t, "put value", err, mcc.ErrDamaged)
	_, err = c.GetRecord(ctx, "gate", "x")
	wantError(t, "signature", err, mcc.ErrDamaged)
	_, err = c.PutRecord(ctx, "x", nil, mcc.RecordOptions{})
	wantError(t, "put record", err, mcc.ErrDamaged)
	for name := range header {
		was := header[name]
		header[name] = "?"
		_, err = c.GetRecord(ctx, "gate", "x")
		wantError(t, name, err, mcc.ErrDamaged)
		header[name] = was
	}
}

func TestUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	c := newClient(t, client.Options{URL: "http://" + ln.Addr().String()})
	_, err = c.Info(t.Context())
	wantError(t, "info", err, mcc.ErrUnreachable)
	wantError(t, "dial", closedConn(c.DialNode(t.Context(), "gate", "x")), mcc.ErrUnreachable)
	for _, err := range c.Watch(t.Context(), "files") {
		wantError(t, "watch", err, mcc.ErrUnreachable)
	}
}

func TestUnixSocketAndToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Skip("no unix sockets here:", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"label":%q}`, r.Header.Get("Authorization")+" "+r.Host)
	})}
	go func() { _ = server.Serve(ln) }()
	defer server.Close()
	info, err := newClient(t, client.Options{URL: "unix:" + path, Token: "secret"}).Info(t.Context())
	if err != nil || info.Label != "Bearer secret localhost" {
		t.Errorf("%+v, %v", info, err)
	}
}

// A context that ends, and Close, end what is under way.
func TestEndsUnderWay(t *testing.T) {
	asked := make(chan struct{}, 1)
	c := against(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := c.Info(ctx)
	wantError(t, "canceled", err, context.Canceled)
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = c.Providers(ctx, "files")
	<-asked
	wantError(t, "deadline", err, context.DeadlineExceeded)
	go func() { <-asked; _ = c.Close() }()
	_, err = c.Info(t.Context())
	wantError(t, "closed", err, mcc.ErrClosed)
}

// endless is a reader without end that counts.
type endless struct{ n atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.n.Add(int64(len(p)))
	return len(p), nil
}

// What is put is read only as fast as the node takes it, and not at all when the
// call is over.
func TestPutBlobStreams(t *testing.T) {
	hold, begun := make(chan struct{}), make(chan struct{}, 2)
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 1<<20))
		begun <- struct{}{}
		<-hold
		w.WriteHeader(http.StatusInsufficientStorage)
	})
	r := &endless{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.PutBlob(ctx, r, mcc.BlobOptions{})
		done <- err
	}()
	<-begun // which a client that reads all before it sends never gets to
	cancel()
	wantError(t, "canceled", <-done, context.Canceled)
	if n := r.n.Load(); n > 64<<20 {
		t.Errorf("%d bytes were read ahead", n)
	}
	close(hold)
	if _, err := c.PutBlob(t.Context(), r, mcc.BlobOptions{}); err == nil {
		t.Error("a refusal was taken for a success")
	}
	after := r.n.Load()
	runtime.Gosched()
	if r.n.Load() != after {
		t.Error("the reader is read after the end")
	}
}

// A content that breaks off is asked for again from where it was.
func TestBlobGoesOn(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 8192)
	var ranges []string
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, mcc.Hash{5}.String()) {
			_, _ = io.WriteString(w, `{"blobs":[]}`)
			return
		}
		if r.Method == http.MethodGet {
			ranges = append(ranges, r.Header.Get("Range"))
		}
		out := w
		if r.Method == http.MethodGet && len(ranges) < 4 {
			out = &cutWriter{ResponseWriter: w, left: 10_000}
		}
		http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(content))
	})
	blob, err := c.OpenBlob(t.Context(), mcc.Hash{5})
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	got, err := io.ReadAll(blob)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if len(ranges) != 4 || ranges[0] != "bytes=0-131071" || ranges[1] != "bytes=10000-131071" {
		t.Errorf("asked for %q", ranges)
	}
}

// cutWriter hangs up after some bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	n, _ := w.ResponseWriter.Write(p[:min(len(p), w.left)])
	if w.left -= n; w.left == 0 {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, nil
}

// A node that never delivers is given up, and one that sends other bytes than
// those asked for is not believed.
func TestBlobFails(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"nothing comes": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-99/100")
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(206)
			panic(http.ErrAbortHandler)
		}, mcc.ErrUnreachable},
		"the whole": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100)) }, mcc.ErrDamaged},
		"too much": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-99/100")
			w.Header().Set("Content-Length", "1048576")
			w.WriteHeader(206)
			_, _ = w.Write(make([]byte, 1<<20))
		}, mcc.ErrDamaged},
		"too little": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-99/100")
			w.Header().Set("Content-Length", "10")
			w.WriteHeader(206)
			_, _ = w.Write(make([]byte, 10))
		}, mcc.ErrDamaged},
		"too much in chunks": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-99/100")
			w.WriteHeader(206)
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(make([]byte, 1<<20))
		}, mcc.ErrDamaged},
		"elsewhere": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 1-99/100")
			w.WriteHeader(206)
		}, mcc.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			cl := against(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case !strings.HasSuffix(r.URL.Path, mcc.Hash{5}.String()):
					_, _ = io.WriteString(w, `{"blobs":[]}`)
				case r.Method == http.MethodHead:
					w.Header().Set("Content-Length", "100")
				default:
					c.answer(w, r)
				}
			})
			blob, err := cl.OpenBlob(t.Context(), mcc.Hash{5})
			if err != nil {
				t.Fatal(err)
			}
			defer blob.Close()
			got, err := io.ReadAll(blob)
			wantError(t, "Read", err, c.want)
			if len(got) > 100 {
				t.Errorf("%d bytes of 100", len(got))
			}
			_, err = blob.ReadAt(make([]byte, 100), 0)
			wantError(t, "ReadAt", err, c.want)
		})
	}
}

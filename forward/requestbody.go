package forward

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// clientBody knows whether the body of a request was read to its proper end.
// Where it was not, what follows on the connection is of unknown meaning.
type clientBody struct {
	io.ReadCloser
	ended atomic.Bool
}

// watchBody makes r's body tell; nil if it has none.
func watchBody(r *http.Request) *clientBody {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	b := &clientBody{ReadCloser: r.Body}
	r.Body = b
	return b
}

func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.ended.Store(true)
	}
	return n, err
}

// isOpen reports whether the end was not seen.
func (b *clientBody) isOpen() bool { return b != nil && !b.ended.Load() }

// endConn makes the server end the connection after the answer. A CONNECT that
// is refused needs that too: the client may have sent on as if it was not.
func endConn(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}

// endConnAfter is endConn for an answer that has begun. A server has no other
// way for that than the one by which http.MaxBytesReader asks for it.
func endConnAfter(w http.ResponseWriter) {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = u.Unwrap()
	}
	one := io.NopCloser(strings.NewReader("x"))
	_, _ = http.MaxBytesReader(w, one, 0).Read(make([]byte, 1))
}

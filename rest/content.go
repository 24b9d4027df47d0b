package rest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// stallTimeout is how long a client may neither take nor send a byte of a
// content before it is cut. Whole transfers have no limit.
const stallTimeout = time.Minute

// immutable is the Cache-Control of contents that are named by their hash. A
// cache that others share is not for what may need a token.
const immutable = "private, max-age=31536000, immutable"

// content is bytes with a place in them. Failure is why a Read failed, if one
// did.
type content interface {
	io.ReadSeeker
	failure() error
}

// inMemory is a content that cannot fail.
type inMemory struct{ *bytes.Reader }

func (inMemory) failure() error { return nil }

// serveContent answers GET and HEAD with c, which tag names: conditions, single
// and multiple ranges as http.ServeContent does them, but with problems for
// errors. The header may be prepared; Content-Type is bytes unless it is set. A
// failure in the midst of c cuts the connection, since a short content must not
// look whole.
func (h *Handler) serveContent(w http.ResponseWriter, r *http.Request, tag string, c content) {
	hd := w.Header()
	if hd.Get("Content-Type") == "" {
		hd.Set("Content-Type", bytesType)
	}
	if tag != "" {
		hd.Set("ETag", entityTag(tag))
	}
	takeRange(r.Header)
	out := &contentWriter{ResponseWriter: w, rc: http.NewResponseController(w), stall: h.transfers.stall}
	http.ServeContent(out, r, "", time.Time{}, c)
	if errors.Is(out.err, os.ErrDeadlineExceeded) {
		h.transfers.stalled.Add(1)
	}
	failed := c.failure()
	if failed != nil && out.status != 0 {
		out.replace(h.problemOf(failed))
	}
	out.finish(r.Method == http.MethodHead)
}

// entityTag quotes what names a version (RFC 9110 8.8.3).
func entityTag(tag string) string { return `"` + tag + `"` }

// contentWriter stands between http.ServeContent and the client: it turns plain
// errors into problems and sees to it that the client goes on reading.
type contentWriter struct {
	http.ResponseWriter
	rc    *http.ResponseController
	stall time.Duration
	// status waits for the first byte, so that a content that fails before it
	// is still an answer of its own. Zero is none, or sent.
	status  int
	refused bool
	sent    int64
	err     error
}

// WriteHeader implements http.ResponseWriter.
func (c *contentWriter) WriteHeader(status int) {
	if c.refused {
		return
	}
	if status < http.StatusBadRequest {
		c.status = status
		return
	}
	c.replace(contentProblem(status))
}

// Write implements io.Writer.
func (c *contentWriter) Write(b []byte) (int, error) {
	if c.refused {
		return len(b), nil
	}
	c.sendHeader()
	_ = c.rc.SetWriteDeadline(time.Now().Add(c.stall)) // not every server has them
	n, err := c.ResponseWriter.Write(b)
	c.sent += int64(n)
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}

func (c *contentWriter) sendHeader() {
	if c.status != 0 {
		c.ResponseWriter.WriteHeader(c.status)
		c.status = 0
	}
}

// replace answers with p in place of the content.
func (c *contentWriter) replace(p *Problem) {
	hd := c.Header()
	for _, name := range []string{"Accept-Ranges", "Content-Disposition", "Content-Encoding", "ETag"} {
		hd.Del(name)
	}
	if p.Status != http.StatusRequestedRangeNotSatisfiable {
		hd.Del("Content-Range")
	}
	c.refused, c.status = true, 0
	writeProblem(c.ResponseWriter, p)
}

// finish sends what is left while the client may still be cut for not reading
// it. A content that is not whole ends the connection instead.
func (c *contentWriter) finish(head bool) {
	if !c.refused {
		c.sendHeader()
		want, err := strconv.ParseInt(c.Header().Get("Content-Length"), 10, 64)
		if err == nil && !head && c.sent < want {
			panic(http.ErrAbortHandler)
		}
	}
	_ = c.rc.SetWriteDeadline(time.Now().Add(c.stall))
	_ = c.rc.Flush() // nobody is left to tell
	_ = c.rc.SetWriteDeadline(time.Time{})
}

// contentProblem is the answer to what http.ServeContent refuses.
func contentProblem(status int) *Problem {
	switch status {
	case http.StatusRequestedRangeNotSatisfiable:
		return newProblem(status, "range", "the range lies outside the content")
	case http.StatusPreconditionFailed:
		return newProblem(status, "conflict", "the content is not the one that the request asks for")
	}
	return newProblem(http.StatusInternalServerError, "internal", "the content cannot be read")
}

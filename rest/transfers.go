package rest

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	mcc "github.com/staex-mcc/mcc"
)

// maxTransfers bounds the BLOBs that are on their way through the API at the
// same time, either way; further ones are 503.
const maxTransfers = 256

// transfers counts and bounds them.
type transfers struct {
	// stall is stallTimeout, or shorter in tests.
	stall   time.Duration
	refused atomic.Uint64
	stalled atomic.Uint64

	mu   sync.Mutex
	open int
}

// begin takes a place. The caller ends it.
func (t *transfers) begin() *Problem {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open >= maxTransfers {
		t.refused.Add(1)
		return newProblem(http.StatusServiceUnavailable, "too-many", "too many BLOBs are on their way through this node")
	}
	t.open++
	return nil
}

func (t *transfers) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open--
}

func (t *transfers) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}

// upload is a body that must keep coming.
type upload struct {
	rc    *http.ResponseController
	body  io.Reader
	stall time.Duration
	err   error // why it did not arrive whole
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	_ = u.rc.SetReadDeadline(time.Now().Add(u.stall)) // not every server has them
	n, err := u.body.Read(p)
	if err != nil {
		// A deadline left behind would end the request while its end is worked
		// on: the server listens for a client that goes away.
		_ = u.rc.SetReadDeadline(time.Time{})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		u.err = err
	}
	return n, err
}

func (u *upload) stalled() bool { return errors.Is(u.err, os.ErrDeadlineExceeded) }

// blobContent is a BLOB as http.ServeContent reads it. Of several ranges a
// goroutine reads that may go on for a moment after the answer, hence the lock.
type blobContent struct {
	mu   sync.Mutex
	blob mcc.Blob // nil once closed
	err  error
}

var errContentClosed = errors.New("the content is closed")

// Read implements io.Reader.
func (c *blobContent) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blob == nil {
		return 0, errContentClosed
	}
	n, err := c.blob.Read(p)
	c.note(err)
	return n, err
}

// Seek implements io.Seeker.
func (c *blobContent) Seek(offset int64, whence int) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blob == nil {
		return 0, errContentClosed
	}
	n, err := c.blob.Seek(offset, whence)
	c.note(err)
	return n, err
}

// note keeps the first failure; the caller holds mu.
func (c *blobContent) note(err error) {
	if err != nil && !errors.Is(err, io.EOF) && c.err == nil {
		c.err = err
	}
}

func (c *blobContent) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// close ends all reading. The context of a BLOB that is fetched ends before, so
// that no Read holds the lock for long.
func (c *blobContent) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	blob := c.blob
	c.blob = nil
	return blob.Close()
}

// absent is a content of a known size for HEAD, which reads none of it.
type absent struct{ *io.SectionReader }

func newAbsent(size int64) absent {
	return absent{io.NewSectionReader(noBytes{}, 0, size)}
}

func (absent) failure() error { return nil }

// noBytes has no bytes at any place.
type noBytes struct{}

func (noBytes) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"sync"

	mcc "github.com/staex-mcc/mcc"
)

// reopenings is how often a content that breaks off is asked for again without a
// byte in between. The node hangs up on who reads nothing for a minute.
const reopenings = 3

// OpenBlob implements mcc.Blobs. The content is asked for with the first Read
// and streamed; each ReadAt is a request of its own. The node verifies it; a
// content that breaks off is an error, never a short BLOB.
func (c *Client) OpenBlob(ctx context.Context, id mcc.Hash) (mcc.Blob, error) {
	info, err := c.StatBlob(ctx, id)
	if err != nil {
		return nil, err
	}
	if info.Local {
		ctx = context.WithoutCancel(ctx)
	}
	b := &blobReader{client: c, info: info}
	b.ctx, b.cancel = context.WithCancelCause(ctx)
	return b, nil
}

var errBlobClosed = fmt.Errorf("the reader is closed: %w", fs.ErrClosed)

// blobReader is an open BLOB.
type blobReader struct {
	client *Client
	info   mcc.BlobInfo
	ctx    context.Context // ends all reading
	cancel context.CancelCauseFunc

	mu   sync.Mutex // held by Read and Seek, and shortly by Close
	at   int64
	body io.ReadCloser // of the content from at; nil until it is read
}

// Info describes the BLOB.
func (b *blobReader) Info() mcc.BlobInfo { return b.info }

// Read implements io.Reader.
func (b *blobReader) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(p) == 0 {
		return 0, b.state()
	}
	var failed error
	for range reopenings {
		if err := b.state(); err != nil {
			return 0, err
		}
		if b.at >= b.info.Size {
			return 0, b.end()
		}
		n, err := b.readOnce(p)
		if n > 0 {
			return n, nil // the error, if any, comes with the next one
		}
		if isRefusal(err) {
			return 0, err
		}
		failed = err
	}
	return 0, failed
}

// readOnce reads from the open content, or opens one.
func (b *blobReader) readOnce(p []byte) (int, error) {
	if b.body == nil {
		body, err := b.open(b.at, b.info.Size)
		if err != nil {
			return 0, err
		}
		b.body = body
	}
	n, err := b.body.Read(p)
	b.at += int64(n)
	if err != nil {
		b.drop()
		if n == 0 {
			return 0, b.broken(err)
		}
	}
	return n, nil
}

// end is io.EOF, unless the node sends more than there is.
func (b *blobReader) end() error {
	if b.body == nil {
		return io.EOF
	}
	defer b.drop()
	_, err := b.body.Read(nil)
	if errors.Is(err, mcc.ErrDamaged) {
		b.cancel(err) // nothing of it is believed any more
		return b.state()
	}
	return io.EOF
}

// open asks for the content from one place to another.
func (b *blobReader) open(from, to int64) (io.ReadCloser, error) {
	r, err := b.client.newRequest(b.ctx, http.MethodGet, path("blobs", b.info.ID.String()), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
	resp, err := b.client.send(r)
	if err != nil {
		return nil, err
	}
	want := fmt.Sprintf("bytes %d-%d/%d", from, to-1, b.info.Size)
	if got := resp.Header.Get("Content-Range"); resp.StatusCode != http.StatusPartialContent || got != want {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("BLOB %s: %w: asked for %s, got %q", b.info.ID, mcc.ErrDamaged, want, got)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != to-from {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("BLOB %s: %w: asked for %d bytes, got %d", b.info.ID, mcc.ErrDamaged, to-from, resp.ContentLength)
	}
	return &span{ReadCloser: resp.Body, left: to - from}, nil
}

func (b *blobReader) broken(err error) error {
	if state := b.state(); state != nil {
		return state
	}
	if errors.Is(err, mcc.ErrDamaged) {
		return fmt.Errorf("read BLOB %s: %w", b.info.ID, err)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // before the end of the BLOB
	}
	return b.client.lost(b.ctx, err)
}

// isRefusal reports that asking again would not help.
func isRefusal(err error) bool {
	_, refused := errors.AsType[*Error](err)
	return refused || errors.Is(err, mcc.ErrDamaged)
}

// state is an error once reading has ended.
func (b *blobReader) state() error {
	if b.ctx.Err() != nil {
		return fmt.Errorf("read BLOB %s: %w", b.info.ID, context.Cause(b.ctx))
	}
	return nil
}

func (b *blobReader) drop() {
	if b.body != nil {
		_ = b.body.Close()
		b.body = nil
	}
}

// ReadAt implements io.ReaderAt.
func (b *blobReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read BLOB: %w: offset %d", mcc.ErrInvalid, off)
	}
	if err := b.state(); err != nil {
		return 0, err
	}
	if off >= b.info.Size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), b.info.Size-off)]
	if len(want) == 0 {
		return 0, nil
	}
	body, err := b.open(off, off+int64(len(want)))
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.ReadFull(body, want)
	if _, more := body.Read(nil); err == nil && errors.Is(more, mcc.ErrDamaged) {
		err = more
	}
	switch {
	case err != nil:
		return n, b.broken(err)
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// Seek implements io.Seeker.
func (b *blobReader) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.info.Size
	default:
		return 0, fmt.Errorf("seek BLOB: %w: whence %d", mcc.ErrInvalid, whence)
	}
	if err := b.state(); err != nil {
		return 0, err
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek BLOB: %w: offset %d", mcc.ErrInvalid, offset)
	}
	if offset != b.at {
		b.drop()
		b.at = offset
	}
	return offset, nil
}

// Close implements io.Closer. It ends a Read that waits.
func (b *blobReader) Close() error {
	b.cancel(errBlobClosed)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop()
	return nil
}

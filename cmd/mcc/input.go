package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/staex-mcc/mcc"
)

// input is what a command sends: a file, or standard input.
type input struct {
	name string // of the file; empty for standard input
	size int64  // in bytes; 0 if unknown
	from io.Reader
	file *os.File // nil for standard input
	// failed is the error of reading, as opposed to sending. It is atomic since
	// an HTTP transport may read on after it has given up.
	failed atomic.Pointer[error]
}

// openInput opens a FILE argument; "-" or none is standard input.
func openInput(std streams, path string) (*input, error) {
	if path == "" || path == "-" {
		return &input{from: std.in}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, usage("", "%w", err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder", path)
	}
	if err != nil {
		return nil, errors.Join(usage("", "%w", err), f.Close())
	}
	in := &input{name: path, from: f, file: f}
	if info.Mode().IsRegular() {
		in.size = info.Size() // files of /proc say 0 and have more
	}
	return in, nil
}

// Read implements io.Reader and keeps the error.
func (in *input) Read(b []byte) (int, error) {
	n, err := in.from.Read(b)
	if err != nil && err != io.EOF {
		err = in.fail(fmt.Errorf("read %s: %w", in, err))
	}
	return n, err
}

func (in *input) fail(err error) error {
	in.failed.Store(&err)
	return err
}

// err is why reading failed, if it did.
func (in *input) err() error {
	if err := in.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (in *input) String() string {
	if in.name == "" {
		return "standard input"
	}
	return in.name
}

// Close closes the file. Standard input stays open.
func (in *input) Close() error {
	if in.file == nil {
		return nil
	}
	return in.file.Close()
}

// sameSize fails a file that grows or shrinks while it is read: what is sent
// would be neither its old content nor its new one.
type sameSize struct {
	*input
	left int64
}

func (s *sameSize) Read(b []byte) (int, error) {
	n, err := s.input.Read(b)
	s.left -= int64(n)
	if s.left < 0 || err == io.EOF && s.left > 0 {
		return 0, s.fail(fmt.Errorf("%s changed while it was read", s.input))
	}
	return n, err
}

// stream is the reader of an upload.
func (in *input) stream(ctx context.Context) io.Reader {
	if in.size > 0 {
		return &sameSize{input: in, left: in.size}
	}
	return untilDone(ctx, in)
}

// untilDone reads from in until ctx ends. A read of standard input does not end
// by itself, and an HTTP transport waits for one that it has begun.
func untilDone(ctx context.Context, in io.Reader) io.Reader {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, in)
		_ = w.CloseWithError(err) // never fails
	}()
	context.AfterFunc(ctx, func() { _ = w.CloseWithError(context.Cause(ctx)) })
	return r
}

// readValue reads a value of a record or document, and no more than the longest
// one that is allowed.
func readValue(ctx context.Context, std streams, path string) ([]byte, error) {
	in, err := openInput(std, path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	value, err := io.ReadAll(io.LimitReader(untilDone(ctx, in), mcc.MaxValue+1))
	if err == nil && len(value) > mcc.MaxValue {
		err = usage("a BLOB may be larger: mcc blob put", "%s has over %d bytes: %w", in, mcc.MaxValue, mcc.ErrTooLarge)
	}
	return value, err
}

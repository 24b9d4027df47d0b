package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
)

// saveAs has write fill the file at path. A regular file appears under its name
// only when it is whole and on the disk; whatever fails leaves what stood there
// before. A device or a pipe is written to as it is.
func saveAs(path string, write func(io.Writer) error) error {
	path, special, err := destination(path)
	if err != nil {
		return usage("", "-o: %w", err)
	}
	if special {
		return writeInto(path, os.O_WRONLY, write)
	}
	part := filepath.Join(filepath.Dir(path), "."+shortName(path)+"."+rand.Text()[:8]+".part")
	if err := writeInto(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, write); err != nil {
		_ = os.Remove(part) // absent if it could not be made
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return errors.Join(fmt.Errorf("-o: %w", err), os.Remove(part))
	}
	return nil
}

// destination follows links, so that not the link is replaced but its file.
func destination(path string) (real string, special bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return path, false, nil
	}
	if err != nil {
		return "", false, err
	}
	if info.IsDir() {
		return "", false, fmt.Errorf("%s is a folder", path)
	}
	if !info.Mode().IsRegular() {
		return path, true, nil
	}
	real, err = filepath.EvalSymlinks(path)
	return real, false, err
}

// longestPart keeps the name of a part within the 255 bytes of most file
// systems.
const longestPart = 200

func shortName(path string) string {
	name := filepath.Base(path)
	return name[:min(len(name), longestPart)]
}

func writeInto(path string, mode int, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, mode, 0o666)
	if err != nil {
		return usage("", "-o: %w", err)
	}
	err = write(f)
	if err == nil && mode&os.O_CREATE != 0 {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// fileName is the name that an answer says its content has, if any.
func fileName(hd http.Header) string {
	_, params, err := mime.ParseMediaType(hd.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return params["filename"]
}

// copyOut copies an answer to out and tells apart who failed: a write error is
// the user's disk, a read error the node's.
func copyOut(ctx context.Context, out io.Writer, in io.Reader) error {
	sink := &sink{out: out}
	_, err := io.Copy(sink, in)
	switch {
	case err == nil:
		return nil
	case sink.err != nil:
		return sink.err
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("the node cut the transfer: %w", err)
}

// sink counts what is written and remembers an error of writing.
type sink struct {
	out     io.Writer
	written int64
	err     error
}

func (s *sink) Write(b []byte) (int, error) {
	n, err := s.out.Write(b)
	s.written += int64(n)
	s.err = err
	return n, err
}

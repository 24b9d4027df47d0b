package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"lukechampine.com/blake3"

	"github.com/staex-mcc/mcc"
)

// upload streams in to the node, with progress on a terminal, and returns the
// node's answer.
func (s *session) upload(ctx context.Context, in *input, name string) ([]byte, error) {
	ctx, stall := watchStall(ctx, s.flags.timeout)
	defer stall.end()
	shown := newProgress(s.std.err, name, in.size)
	defer shown.finish()
	answer, _, err := s.raw(ctx, apiRequest{
		method: http.MethodPost, path: blobsPath + "?name=" + url.QueryEscape(name),
		body: &sending{from: in.stream(ctx), stall: stall, shown: shown}, size: in.size, header: rawHeader(),
	})
	if err != nil && in.err() != nil {
		return nil, in.err()
	}
	return answer, err
}

// rawHeader goes with a body that is not JSON. A node that refuses it says so
// before the body is sent.
func rawHeader() http.Header {
	return http.Header{"Content-Type": {"application/octet-stream"}, "Expect": {"100-continue"}}
}

// blobText is what -json prints of a BLOB that was fetched or asked about.
type blobText struct {
	ID   string `json:"id"`
	Size int64  `json:"size"`
	Name string `json:"name,omitempty"`
	File string `json:"file,omitempty"`
}

// save downloads into a file.
func (s *session) save(ctx context.Context, id, path string) error {
	var size int64
	err := saveAs(path, func(w io.Writer) error {
		counted := &sink{out: w}
		err := s.download(ctx, id, counted)
		size = counted.written
		return err
	})
	if err != nil || !s.flags.json {
		return err
	}
	return s.printJSON(blobText{ID: id, Size: size, File: path})
}

// download streams a BLOB to out, with progress on a terminal unless the BLOB
// itself goes there, and fails at the end if that was another content.
func (s *session) download(ctx context.Context, id string, out io.Writer) error {
	ctx, stall := watchStall(ctx, s.flags.timeout)
	defer stall.end()
	resp, err := s.open(ctx, apiRequest{method: http.MethodGet, path: blobsPath + "/" + id})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	stall.pause()
	var shown *progress
	if !onTerminal(out) {
		shown = newProgress(s.std.err, id[:8], max(resp.ContentLength, 0))
	}
	defer shown.finish()
	hash := blake3.New(len(mcc.Hash{}), nil)
	from := io.TeeReader(&receiving{from: resp.Body, stall: stall, shown: shown}, hash)
	if err := copyOut(ctx, out, from); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != id {
		return fmt.Errorf("what %s sent is not BLOB %s: %w", s.name, id, mcc.ErrDamaged)
	}
	return nil
}

// describe prints what the node says of a BLOB without its content.
func (s *session) describe(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, s.flags.timeout)
	defer cancel()
	resp, err := s.open(ctx, apiRequest{method: http.MethodHead, path: blobsPath + "/" + id})
	if err != nil {
		return s.reason(ctx, id, err)
	}
	defer resp.Body.Close()
	return s.printJSON(blobText{ID: id, Size: resp.ContentLength, Name: fileName(resp.Header)})
}

// reason finds out why a HEAD failed. Its answer has no words (RFC 9110 9.3.2),
// so the node is asked for one byte, which fails alike and says why.
func (s *session) reason(ctx context.Context, id string, failed error) error {
	answer, ok := errors.AsType[*answerError](failed)
	switch {
	case !ok:
		return failed
	case answer.status == http.StatusNotFound:
		return fmt.Errorf("BLOB %s: %w", id, mcc.ErrNotFound)
	}
	resp, err := s.open(ctx, apiRequest{
		method: http.MethodGet, path: blobsPath + "/" + id, header: http.Header{"Range": {"bytes=0-0"}},
	})
	if err == nil {
		err = resp.Body.Close()
	}
	told, ok := errors.AsType[*answerError](err)
	if ok && told.status != http.StatusRequestedRangeNotSatisfiable { // an empty BLOB has no first byte
		return err
	}
	return fmt.Errorf("BLOB %s: %w", id, failed)
}

package rest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	mcc "github.com/staex-mcc/mcc"
)

// slowNode takes a while to find that it cannot open a BLOB.
type slowNode struct {
	*fakeNode
	after time.Duration
	err   error
}

func (n slowNode) OpenBlob(ctx context.Context, _ mcc.Hash) (mcc.Blob, error) {
	select {
	case <-time.After(n.after):
		return nil, n.err
	case <-ctx.Done():
		if errors.Is(n.err, mcc.ErrUnreachable) {
			return nil, n.err // it has a reason all the same
		}
		return nil, fmt.Errorf("%w: %w", n.err, ctx.Err())
	}
}

func (n slowNode) StatBlob(ctx context.Context, id mcc.Hash) (mcc.BlobInfo, error) {
	_, err := n.OpenBlob(ctx, id)
	return mcc.BlobInfo{}, err
}

// A node that gives up on its seeders says why, and the client hears it.
func TestWhyNoBlob(t *testing.T) {
	for _, c := range []struct {
		after  time.Duration
		err    error
		status int
		code   string
	}{
		{time.Second, fmt.Errorf("BLOB x: gate: refuses: %w", mcc.ErrDenied), 403, "denied"},
		{10 * time.Second, fmt.Errorf("BLOB x: gate: no answer: %w", mcc.ErrUnreachable), 502, "unreachable"},
		{35 * time.Second, fmt.Errorf("BLOB x: gate: no answer: %w", mcc.ErrUnreachable), 502, "unreachable"},
		{30 * time.Second, fmt.Errorf("BLOB x: %w", mcc.ErrNotFound), 404, "not-found"},
		{time.Hour, fmt.Errorf("BLOB x: gate: connection refused: %w", mcc.ErrUnreachable), 502, "unreachable"},
		{time.Hour, errors.New("BLOB x: gate: still at it"), 504, "deadline"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h, err := New(slowNode{newFakeNode(), c.after, c.err}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			path := " /api/v1/blobs/" + mcc.Hash{1}.String()
			p := wantProblem(t, do(t, h, "GET"+path, ""), c.status, c.code)
			if c.code != "deadline" && p.Detail != c.err.Error() {
				t.Errorf("%q, want %q", p.Detail, c.err)
			}
			if w := do(t, h, "HEAD"+path, ""); w.Code != c.status {
				t.Errorf("HEAD: %d, want %d", w.Code, c.status)
			}
		})
	}
}

// A disk that is full is told as such, but not where it is.
func TestFullDisk(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, mcc.ErrNoSpace} {
		f := newFakeNode()
		core, logged := observer.New(zap.WarnLevel)
		h := newHandler(t, f, Options{Logger: zap.New(core)})
		f.failing = fmt.Errorf("store: %w", &fs.PathError{Op: "write", Path: "/secret/place", Err: full})
		for _, request := range []string{"POST /api/v1/blobs", "PUT /api/v1/records/x", "POST /api/v1/values"} {
			p := wantProblem(t, do(t, h, request, "content"), 507, "full")
			if p.Detail != "no room left in the data folder" {
				t.Errorf("%v: %q", full, p.Detail)
			}
		}
		if n := logged.FilterMessage("request failed for want of room").Len(); n != 3 {
			t.Errorf("%v: %d lines in the log, want 3", full, n)
		}
	}
}

// What a form or a compressor made of a content is not stored as the content.
func TestBodiesAreTheContent(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	for _, request := range []string{"POST /api/v1/blobs", "PUT /api/v1/records/x", "POST /api/v1/values", "PUT /api/v1/dids/" + f.self.DID()} {
		for header, want := range map[string]string{
			"Content-Type: multipart/form-data; boundary=x": "--data-binary @FILE",
			"Content-Type: Multipart/Form-Data":             "-T FILE",
			"Content-Encoding: gzip":                        `Content-Encoding "gzip"`,
			"Content-Encoding: identity, br":                `Content-Encoding "br"`,
		} {
			p := wantProblem(t, do(t, h, request, "content", header), 422, "invalid")
			if !strings.Contains(p.Detail, want) {
				t.Errorf("%s, %s: %q", request, header, p.Detail)
			}
		}
	}
	if n := len(f.blobs) + len(f.records) + len(f.values) + len(f.dids); n != 0 {
		t.Errorf("%d things were stored", n)
	}
	for _, header := range []string{"Content-Encoding: identity", "Content-Encoding: ", "Content-Type: multipart/mixed", "Content-Type: ;;"} {
		if w := do(t, h, "POST /api/v1/blobs", "content", header); w.Code != 201 {
			t.Errorf("%s: %d %s", header, w.Code, w.Body)
		}
	}
}

func TestSayOnce(t *testing.T) {
	for text, want := range map[string]string{
		`not supported: DID method "web": not supported`: `not supported: DID method "web"`,
		"put: not found: x: not found":                   "put: not found: x",
		"service invalid: invalid":                       "service invalid: invalid",
		"not found":                                      "not found",
		`label "not found": not found`:                   `label "not found": not found`,
	} {
		if got := sayOnce(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

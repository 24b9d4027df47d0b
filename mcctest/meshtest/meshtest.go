// Package meshtest is the behaviour of every mcc.Mesh, as tests: a node that is
// embedded, or one in another process behind its API.
//
// The tests run in real time over real sockets, since that is what a Mesh in
// another process has. They wait for conditions, never for a time to pass.
package meshtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
)

// Member is a Mesh and the node that it is.
type Member struct {
	Mesh  mcc.Mesh
	ID    identity.ID
	Label string
}

// did is the member's own did:mcc.
func (m Member) did() string { return "did:mcc:" + m.ID.String() }

// Setup returns two members of one mesh that have joined it, with different
// labels. It is called once for each test; the nodes may be the same each time,
// the Mesh values may not, since a test closes those that are an io.Closer. The
// Setup closes what it has made with the end of t, which may be twice.
type Setup func(t *testing.T) (a, b Member)

// Run tests a kind of Mesh. The last test gives up a's did:mcc for good.
func Run(t *testing.T, setup Setup) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a, b Member)
	}{
		{"Register", testRegister},
		{"Discover", testDiscover},
		{"Watch", testWatch},
		{"DialService", testDialService},
		{"Channels", testChannels},
		{"ChannelEnds", testChannelEnds},
		{"Listeners", testListeners},
		{"NetConn", testNetConn},
		{"ServiceNetConn", testServiceNetConn},
		{"Records", testRecords},
		{"RecordRules", testRecordRules},
		{"RecordNames", testRecordNames},
		{"Values", testValues},
		{"Blobs", testBlobs},
		{"BlobReader", testBlobReader},
		{"BlobRules", testBlobRules},
		{"DIDs", testDIDs},
		{"DIDRules", testDIDRules},
		{"Canceled", testCanceled},
		{"Closed", testClosed},
		{"Deactivated", testDeactivated},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := setup(t)
			test.run(t, a, b)
		})
	}
}

// patience bounds the wait for what takes a look-up or a renewal to be seen.
const patience = time.Minute

// eventually tries until there is no error.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, t.Context().Err())
		}
	}
}

var names atomic.Uint64

// unique makes a name that no other test of this process uses, with a part of
// the clock against those of another.
func unique(prefix string) string {
	return fmt.Sprintf("%s-%x-%d", prefix, time.Now().UnixNano()&0xffffff, names.Add(1))
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func must[T any](t *testing.T, what string) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return v
	}
}

// testCanceled: what goes to the network heeds a context that has ended.
func testCanceled(t *testing.T, a, b Member) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	unknown := mcc.Hash{1, 2, 3, 31: 9}
	for what, do := range map[string]func() error{
		"DialNode":    func() error { return closed(a.Mesh.DialNode(ctx, b.ID.String(), unique("x"))) },
		"DialContext": func() error { return closed(a.Mesh.DialContext(ctx, "tcp", unique("x"))) },
		"GetRecord":   func() error { _, err := a.Mesh.GetRecord(ctx, b.ID.String(), unique("x")); return err },
		"GetValue":    func() error { _, err := a.Mesh.GetValue(ctx, unknown); return err },
		"OpenBlob":    func() error { return closed(a.Mesh.OpenBlob(ctx, unknown)) },
		"PutBlob": func() error {
			_, err := a.Mesh.PutBlob(ctx, strings.NewReader(unique("content")), mcc.BlobOptions{})
			return err
		},
	} {
		if err := do(); err == nil {
			t.Errorf("%s with a canceled context succeeded", what)
		}
	}
	for _, err := range a.Mesh.Watch(ctx, unique("x")) {
		t.Errorf("Watch with a canceled context yields %v", err)
	}
}

// closed closes what should not have come about.
func closed[C io.Closer](c C, err error) error {
	if err == nil {
		_ = c.Close()
	}
	return err
}

// testClosed: after Close everything is ErrClosed.
func testClosed(t *testing.T, a, b Member) {
	closer, ok := a.Mesh.(io.Closer)
	if !ok {
		t.Skip("this Mesh cannot be closed")
	}
	if err := errors.Join(closer.Close(), closer.Close()); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for what, do := range map[string]func() error{
		"Register":   func() error { return a.Mesh.Register(ctx, mcc.Service{Name: "x", Address: "tcp://127.0.0.1:1"}) },
		"Unregister": func() error { return a.Mesh.Unregister(ctx, "x") },
		"Providers":  func() error { _, err := a.Mesh.Providers(ctx, "x"); return err },
		"DialNode":   func() error { return closed(a.Mesh.DialNode(ctx, b.ID.String(), "x")) },
		"Listen":     func() error { return closed(a.Mesh.Listen(ctx, "x")) },
		"PutRecord":  func() error { _, err := a.Mesh.PutRecord(ctx, "x", nil, mcc.RecordOptions{}); return err },
		"GetRecord":  func() error { _, err := a.Mesh.GetRecord(ctx, b.ID.String(), "x"); return err },
		"PutValue":   func() error { _, err := a.Mesh.PutValue(ctx, []byte("x")); return err },
		"PutBlob":    func() error { _, err := a.Mesh.PutBlob(ctx, strings.NewReader("x"), mcc.BlobOptions{}); return err },
		"OpenBlob":   func() error { return closed(a.Mesh.OpenBlob(ctx, mcc.Hash{})) },
		"ResolveDID": func() error { _, err := a.Mesh.ResolveDID(ctx, b.did()); return err },
		"Watch": func() (last error) {
			for _, last = range a.Mesh.Watch(ctx, "x") {
			}
			return last
		},
		"ListBlobs": func() (last error) {
			for _, last = range a.Mesh.ListBlobs(ctx) {
			}
			return last
		},
	} {
		wantError(t, what+" after Close", do(), mcc.ErrClosed)
	}
}

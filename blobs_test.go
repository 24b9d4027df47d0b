package mcc_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/mcctest"
	"github.com/staex-mcc/mcc/transport"
)

// content is size bytes that do not compress.
func content(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(b)
	return b
}

func putBlob(t *testing.T, node *mcc.Node, data []byte) mcc.Hash {
	t.Helper()
	info, err := node.PutBlob(t.Context(), bytes.NewReader(data), mcc.BlobOptions{Name: "a.bin"})
	if err != nil {
		t.Fatalf("put: %v", err)
	}
	if info.Size != int64(len(data)) || info.Name != "a.bin" || !info.Local {
		t.Fatalf("put: %+v", info)
	}
	return info.ID
}

func readBlob(t *testing.T, node *mcc.Node, id mcc.Hash) ([]byte, error) {
	t.Helper()
	b, err := node.OpenBlob(t.Context(), id)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// seeders asks until the number is right: announcing takes a moment.
func seeders(t *testing.T, node *mcc.Node, id mcc.Hash, want int) []mcc.Seeder {
	t.Helper()
	for range 60 {
		found, err := node.Seeders(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == want {
			return found
		}
		time.Sleep(time.Second) // virtual
	}
	t.Fatalf("never %d seeders", want)
	return nil
}

func TestBlobTravelsAndIsSeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 4)
		data := content(3<<20 + 5)
		id := putBlob(t, mesh.Nodes[1], data)
		if got, err := readBlob(t, mesh.Nodes[2], id); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("read %d bytes, %v", len(got), err)
		}
		found := seeders(t, mesh.Nodes[3], id, 2)
		if !slices.ContainsFunc(found, func(s mcc.Seeder) bool { return s.Node == mesh.Nodes[2].ID() }) {
			t.Errorf("who fetched it does not seed: %v", found)
		}
		mesh.Nodes[1].Close()
		if got, err := readBlob(t, mesh.Nodes[3], id); err != nil || !bytes.Equal(got, data) {
			t.Errorf("from the new seeder: %d bytes, %v", len(got), err)
		}
	})
}

func TestForgetfulNodeSeedsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.StartWith(t, 3, mcctest.Config{Options: func(i int, o *mcc.Options) { o.ForgetBlobs = i == 2 }})
		id := putBlob(t, mesh.Nodes[1], content(100_000))
		seeders(t, mesh.Nodes[0], id, 1)
		if _, err := readBlob(t, mesh.Nodes[2], id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if found := seeders(t, mesh.Nodes[0], id, 1); found[0].Node != mesh.Nodes[1].ID() {
			t.Errorf("seeders: %v", found)
		}
		for info := range mesh.Nodes[2].ListBlobs(t.Context()) {
			t.Errorf("it kept %v", info)
		}
	})
}

func TestBlobOfTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 2)
		ctx, node := t.Context(), mesh.Nodes[1]
		data := content(50_000)
		id := putBlob(t, node, data)
		if again := putBlob(t, node, data); again != id {
			t.Errorf("the same content has two ids")
		}
		var listed []mcc.Hash
		for info, err := range node.ListBlobs(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			listed = append(listed, info.ID)
		}
		if !slices.Equal(listed, []mcc.Hash{id}) {
			t.Errorf("listed %v", listed)
		}
		if info, err := mesh.Nodes[0].StatBlob(ctx, id); err != nil || info.Size != 50_000 || info.Local {
			t.Errorf("stat from afar: %+v, %v", info, err)
		}
		if err := node.DeleteBlob(ctx, id); err != nil {
			t.Fatal(err)
		}
		if err := node.DeleteBlob(ctx, id); !errors.Is(err, mcc.ErrNotFound) {
			t.Errorf("deleted twice: %v, want ErrNotFound", err)
		}
		seeders(t, mesh.Nodes[0], id, 0)
		if _, err := readBlob(t, mesh.Nodes[0], id); !errors.Is(err, mcc.ErrNotFound) {
			t.Errorf("read: %v, want ErrNotFound", err)
		}
	})
}

func TestBrokenPutLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := mcctest.Start(t, 1).Nodes[0]
		broken := io.MultiReader(bytes.NewReader(content(100_000)), iotest.ErrReader(io.ErrUnexpectedEOF))
		if _, err := node.PutBlob(t.Context(), broken, mcc.BlobOptions{}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("put: %v", err)
		}
		for _, name := range []string{"a\nb", strings.Repeat("x", 256), "\xff"} {
			_, err := node.PutBlob(t.Context(), strings.NewReader("x"), mcc.BlobOptions{Name: name})
			if !errors.Is(err, mcc.ErrInvalid) {
				t.Errorf("name %q: %v, want ErrInvalid", name, err)
			}
		}
		for info := range node.ListBlobs(t.Context()) {
			t.Errorf("left behind: %v", info)
		}
	})
}

func TestBlobNeedsPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh, _ := certifiedMesh(t, map[string][]string{
			"boot": {"all"}, "seeder": {"route", "store", "blob"}, "member": {"route", "blob"}, "other": {"route", "store"},
		}, "boot", "seeder", "member", "other")
		id := putBlob(t, mesh.Nodes[1], content(20_000))
		seeders(t, mesh.Nodes[2], id, 1)
		if _, err := readBlob(t, mesh.Nodes[2], id); err != nil {
			t.Errorf("a member with blob: %v", err)
		}
		if _, err := readBlob(t, mesh.Nodes[3], id); !errors.Is(err, mcc.ErrDenied) {
			t.Errorf("a member without blob: %v, want ErrDenied", err)
		}
		// The seeder itself refuses, whatever the other node thinks.
		open := transport.Open{Protocol: "blob", Payload: id[:]}
		_, err := mesh.Nodes[3].Transport().Dial(t.Context(), transport.Contact{ID: mesh.Nodes[1].ID(), Addr: mcctest.Addr(1)}, open)
		if refused, ok := errors.AsType[*transport.RefusedError](err); !ok || refused.Reason != transport.ReasonDenied {
			t.Errorf("the seeder said %v, want a refusal", err)
		}
	})
}

// A seeder that died without a word is no reason to say that nobody has it.
func TestDeadSeederIsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mesh := mcctest.Start(t, 4)
		id := putBlob(t, mesh.Nodes[1], content(20_000))
		mesh.Net.SetDown(mcctest.Addr(1).Addr(), true)
		if _, err := readBlob(t, mesh.Nodes[2], id); !errors.Is(err, mcc.ErrUnreachable) || errors.Is(err, mcc.ErrNotFound) {
			t.Errorf("read: %v, want ErrUnreachable", err)
		}
		if _, err := mesh.Nodes[3].StatBlob(t.Context(), id); !errors.Is(err, mcc.ErrUnreachable) || errors.Is(err, mcc.ErrNotFound) {
			t.Errorf("stat: %v, want ErrUnreachable", err)
		}
	})
}

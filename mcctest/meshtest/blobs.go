package meshtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/staex-mcc/mcc"
)

// blobSize is a few parts and a bit.
const blobSize = 3<<20 + 12345

func putBlob(t *testing.T, m Member, content []byte, name string) mcc.BlobInfo {
	t.Helper()
	info := must[mcc.BlobInfo](t, "put")(m.Mesh.PutBlob(t.Context(), bytes.NewReader(content), mcc.BlobOptions{Name: name}))
	if info.Size != int64(len(content)) || info.Name != name || !info.Local || info.Added.IsZero() {
		t.Errorf("put %+v", info)
	}
	return info
}

// openBlob opens a BLOB as soon as its seeders are known.
func openBlob(t *testing.T, m Member, id mcc.Hash) mcc.Blob {
	t.Helper()
	var blob mcc.Blob
	eventually(t, "open", func() (err error) {
		blob, err = m.Mesh.OpenBlob(t.Context(), id)
		return err
	})
	t.Cleanup(func() { _ = blob.Close() })
	return blob
}

func blobContent(n int) []byte { return append(content(n), unique("blob")...) }

func testBlobs(t *testing.T, a, b Member) {
	ctx, sent := t.Context(), blobContent(blobSize)
	info := putBlob(t, a, sent, "film ä.mp4")
	again := putBlob(t, a, sent, "film ä.mp4")
	if again.ID != info.ID {
		t.Errorf("the same content is %s and %s", info.ID, again.ID)
	}
	stat := must[mcc.BlobInfo](t, "stat")(a.Mesh.StatBlob(ctx, info.ID))
	if stat.Size != info.Size || stat.Name != info.Name || !stat.Local {
		t.Errorf("stat %+v", stat)
	}
	blob := openBlob(t, b, info.ID)
	if got := blob.Info(); got.ID != info.ID || got.Size != info.Size {
		t.Errorf("opened %+v", got)
	}
	if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes and %v, want %d", len(got), err, len(sent))
	}
	if stat, err := b.Mesh.StatBlob(ctx, info.ID); err != nil || stat.Size != info.Size {
		t.Errorf("stat from afar: %+v, %v", stat, err)
	}
	eventually(t, "seeders", func() error {
		seeders, err := b.Mesh.Seeders(ctx, info.ID)
		if err == nil && !slices.Contains(seeders, mcc.Seeder{Node: a.ID, Label: a.Label}) {
			err = fmt.Errorf("seeders %v", seeders)
		}
		return err
	})
	if ids := listBlobs(t, a); !slices.Contains(ids, info.ID.String()) || !slices.IsSorted(ids) {
		t.Errorf("list %v", ids)
	}
	if err := a.Mesh.DeleteBlob(ctx, info.ID); err != nil {
		t.Error(err)
	}
	wantError(t, "delete again", a.Mesh.DeleteBlob(ctx, info.ID), mcc.ErrNotFound)
	if ids := listBlobs(t, a); slices.Contains(ids, info.ID.String()) {
		t.Error("a deleted BLOB is listed")
	}
}

func listBlobs(t *testing.T, m Member) (ids []string) {
	t.Helper()
	for info, err := range m.Mesh.ListBlobs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, info.ID.String())
	}
	return ids
}

func testBlobReader(t *testing.T, a, b Member) {
	sent := blobContent(blobSize)
	info := putBlob(t, a, sent, "")
	for who, m := range map[string]Member{"owner": a, "reader": b} {
		blob := openBlob(t, m, info.ID)
		size := info.Size
		for _, s := range []struct {
			offset int64
			whence int
			at     int64
		}{{0, io.SeekEnd, size}, {100, io.SeekStart, 100}, {1 << 20, io.SeekCurrent, 100 + 10 + 1<<20}, {-7, io.SeekEnd, size - 7}} {
			at, err := blob.Seek(s.offset, s.whence)
			if err != nil || at != s.at {
				t.Fatalf("%s: seek %+v: %d, %v", who, s, at, err)
			}
			got := make([]byte, min(10, size-at))
			if _, err := io.ReadFull(blob, got); err != nil || !bytes.Equal(got, sent[at:at+int64(len(got))]) {
				t.Errorf("%s: after seek %+v: %q, %v", who, s, got, err)
			}
		}
		if n, err := blob.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: at the end: %d, %v", who, n, err)
		}
		if _, err := blob.Seek(-1, io.SeekStart); err == nil {
			t.Errorf("%s: a place before the start was taken", who)
		}
		if _, err := blob.Seek(0, 9); err == nil {
			t.Errorf("%s: an unknown whence was taken", who)
		}
		readSomewhere(t, who, blob, sent)
		if err := blob.Close(); err != nil {
			t.Errorf("%s: close: %v", who, err)
		}
		if n, err := blob.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: after close: %d, %v", who, n, err)
		}
	}
}

// readSomewhere reads at many places at once.
func readSomewhere(t *testing.T, who string, blob mcc.Blob, sent []byte) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			off := int64(i) * int64(len(sent)) / 7
			got := make([]byte, 50_000)
			n, err := blob.ReadAt(got, off)
			want := sent[min(off, int64(len(sent))):min(off+int64(len(got)), int64(len(sent)))]
			if !bytes.Equal(got[:n], want) || err != nil && !errors.Is(err, io.EOF) || (n < len(got)) != errors.Is(err, io.EOF) {
				t.Errorf("%s: ReadAt %d: %d bytes, %v", who, off, n, err)
			}
		})
	}
	all.Wait()
	if _, err := blob.ReadAt(make([]byte, 1), -1); err == nil {
		t.Errorf("%s: ReadAt before the start", who)
	}
}

func testBlobRules(t *testing.T, a, b Member) {
	ctx := t.Context()
	unknown := mcc.Hash{7, 31: 7}
	wantError(t, "open", closed(b.Mesh.OpenBlob(ctx, unknown)), mcc.ErrNotFound)
	_, err := b.Mesh.StatBlob(ctx, unknown)
	wantError(t, "stat", err, mcc.ErrNotFound)
	if seeders, err := b.Mesh.Seeders(ctx, unknown); err != nil || len(seeders) != 0 {
		t.Errorf("seeders of nothing: %v, %v", seeders, err)
	}
	_, err = a.Mesh.PutBlob(ctx, strings.NewReader("x"), mcc.BlobOptions{Name: "line\nbreak"})
	wantError(t, "name", err, mcc.ErrInvalid)
	before := listBlobs(t, a)
	broken := errors.New("the disk is on fire")
	for _, n := range []int{0, 1, blobSize} {
		_, err = a.Mesh.PutBlob(ctx, io.MultiReader(bytes.NewReader(blobContent(n)), iotest.ErrReader(broken)), mcc.BlobOptions{})
		wantError(t, "a reader that fails", err, broken)
	}
	if after := listBlobs(t, a); !slices.Equal(before, after) {
		t.Errorf("a reader that fails left %v, before %v", after, before)
	}
	empty := putBlob(t, a, nil, "")
	if empty.ID.String() != "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" {
		t.Errorf("the empty BLOB is %s", empty.ID)
	}
	blob := openBlob(t, b, empty.ID)
	if got, err := io.ReadAll(blob); len(got) != 0 || err != nil {
		t.Errorf("the empty BLOB: %q, %v", got, err)
	}
}

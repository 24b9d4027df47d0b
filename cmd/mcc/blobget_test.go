package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cutting answers half of what it promises.
func cutting(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "2000")
	_, _ = io.WriteString(w, strings.Repeat("x", 1000))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func wantOnly(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		t.Errorf("the folder has %q, want %q", got, names)
	}
}

func TestBlobGet(t *testing.T) {
	content := strings.Repeat("content ", 100_000)
	id := idOf(content)
	api := fakeAPI(t, map[string]http.HandlerFunc{
		"GET /api/v1/blobs/" + id: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Disposition", `attachment; filename*=UTF-8''f%C3%BCr.txt`)
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
		},
	})
	get := func(args ...string) outcome {
		return runWith(nil, append([]string{"blob", "get", "-api", api, strings.ToUpper(id)}, args...)...)
	}
	if got := get(); got.code != exitDone || got.out != content || got.err != "" {
		t.Errorf("to standard output: code %d, %d bytes, %q", got.code, len(got.out), got.err)
	}
	dir := t.TempDir()
	for range 2 { // the second replaces the first
		got := get("-o", dir+"/file")
		got.wants(t, exitDone, "")
		if data, err := os.ReadFile(dir + "/file"); err != nil || string(data) != content || got.out != "" {
			t.Errorf("file: %d bytes, %v; output %q", len(data), err, got.out)
		}
	}
	wantOnly(t, dir, "file")
	if got := get("-json", "-o", dir+"/file"); got.out != fmt.Sprintf(`{"id":"%s","size":800000,"file":%q}`+"\n", id, dir+"/file") {
		t.Errorf("-json -o: %q", got.out)
	}
	if got := get("-json"); got.out != `{"id":"`+id+`","size":800000,"name":"für.txt"}`+"\n" {
		t.Errorf("-json: %q", got.out)
	}
	get("-o", dir).wants(t, exitUsage, "is a folder")
	get("-o", dir+"/none/file").wants(t, exitUsage, "no such file")
}

func TestBlobGetFollowsLinks(t *testing.T) {
	api := fakeAPI(t, map[string]http.HandlerFunc{"GET /api/v1/blobs/" + idOf("new"): answering(http.StatusOK, "new")})
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/real", []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", dir+"/link"); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	runWith(nil, "blob", "get", "-api", api, idOf("new"), "-o", dir+"/link").wants(t, exitDone, "")
	if data, err := os.ReadFile(dir + "/real"); err != nil || string(data) != "new" {
		t.Errorf("behind the link: %q, %v", data, err)
	}
	wantOnly(t, dir, "link", "real")
}

func TestBlobGetCut(t *testing.T) {
	api := fakeAPI(t, map[string]http.HandlerFunc{"GET /api/v1/blobs/" + someID: cutting})
	dir := t.TempDir()
	runWith(nil, "blob", "get", "-api", api, someID, "-o", dir+"/new").wants(t, exitFailure, "the node cut the transfer")
	wantOnly(t, dir)
	if err := os.WriteFile(dir+"/old", []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	runWith(nil, "blob", "get", "-api", api, someID, "-o", dir+"/old").wants(t, exitFailure, "the node cut the transfer")
	wantOnly(t, dir, "old")
	if data, _ := os.ReadFile(dir + "/old"); string(data) != "old" {
		t.Errorf("a cut transfer changed the file to %q", data)
	}
	runWith(nil, "blob", "get", "-api", api, someID).wants(t, exitFailure, "the node cut the transfer")
}

// TestBlobGetFullDisk tells the user's disk from the node.
func TestBlobGetFullDisk(t *testing.T) {
	api := fakeAPI(t, map[string]http.HandlerFunc{"GET /api/v1/blobs/" + someID: answering(http.StatusOK, "new")})
	var errs strings.Builder
	code := run([]string{"blob", "get", "-api", api, someID}, streams{out: fullDisk{}, err: &errs})
	outcome{code: code, err: errs.String()}.wants(t, exitFailure, "mcc: no space left on device\n")
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestLongFileNames(t *testing.T) {
	api := fakeAPI(t, map[string]http.HandlerFunc{"GET /api/v1/blobs/" + idOf("x"): answering(http.StatusOK, "x")})
	path := filepath.Join(t.TempDir(), strings.Repeat("n", 255))
	runWith(nil, "blob", "get", "-api", api, idOf("x"), "-o", path).wants(t, exitDone, "")
}

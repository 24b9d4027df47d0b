package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lukechampine.com/blake3"

	"github.com/staex-mcc/mcc"
)

// idOf is the id of a content.
func idOf(content string) string { return mcc.Hash(blake3.Sum256([]byte(content))).String() }

// What is not the content that was asked for is none, whatever the status.
func TestOtherContentIsRefused(t *testing.T) {
	id := idOf("content")
	api := fakeHandler(t, answering(http.StatusOK, "<html>another server</html>"))
	path := filepath.Join(t.TempDir(), "f")
	runWith(nil, "blob", "get", id, "-o", path, "-api", api).wants(t, exitFailure, "is not BLOB "+id)
	if _, err := os.Stat(path); err == nil {
		t.Error("a file stands under the name")
	}
	got := runWith(nil, "value", "get", id, "-api", api)
	got.wants(t, exitFailure, "is not value "+id)
	if got.out != "" {
		t.Errorf("printed %q", got.out)
	}
}

// A redirect is not followed: the token would go along.
func TestRedirectIsNotFollowed(t *testing.T) {
	followed := false
	api := fakeHandler(t, func(w http.ResponseWriter, r *http.Request) {
		followed = followed || r.URL.Path == "/elsewhere"
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	runWith(nil, "blob", "ls", "-api", api).wants(t, exitFailure, "307")
	if followed {
		t.Error("the redirect was followed")
	}
}

// brokenWriter is a standard output that takes nothing.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestUnprintedAnswerIsAFailure(t *testing.T) {
	api := fakeAPI(t, map[string]http.HandlerFunc{"GET /api/v1/blobs": answering(http.StatusOK, `{"blobs":[]}`)})
	var errs strings.Builder
	if code := run([]string{"blob", "ls", "-api", api}, streams{out: brokenWriter{}, err: &errs}); code != exitFailure {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
}

func TestTimeoutOfNothing(t *testing.T) {
	for _, d := range []string{"0s", "-1s"} {
		runWith(nil, "blob", "ls", "-timeout="+d).wants(t, exitUsage, "-timeout")
	}
}

func TestOneLineShowsOnlyWhatPrints(t *testing.T) {
	if got := oneLine("a\nb\x1b[1m\u202ec"); got != "a; b?[1m?c" {
		t.Errorf("got %q", got)
	}
}

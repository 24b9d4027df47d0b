package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"lukechampine.com/blake3"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/rest/client"
)

// A size that cannot be is refused before anybody computes with it.
func TestNegativeSize(t *testing.T) {
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
			_, _ = fmt.Fprintf(w, `{"id":%q,"size":-1}`, mcc.Hash{5})
			return
		}
		_, _ = fmt.Fprintf(w, `{"blobs":[{"id":%q,"size":-1}]}`, mcc.Hash{5})
	})
	_, err := c.OpenBlob(t.Context(), mcc.Hash{5})
	wantError(t, "open", err, mcc.ErrDamaged)
	_, err = c.PutBlob(t.Context(), strings.NewReader("x"), mcc.BlobOptions{})
	wantError(t, "put", err, mcc.ErrDamaged)
	for _, err := range c.ListBlobs(t.Context()) {
		wantError(t, "list", err, mcc.ErrDamaged)
	}
}

// A node that has not stored what was sent is not believed.
func TestPutBlobIsCompared(t *testing.T) {
	const content = "what was sent"
	id := mcc.Hash(blake3.Sum256([]byte(content)))
	right := fmt.Sprintf(`{"id":%q,"size":%d}`, id, len(content))
	for name, c := range map[string]struct {
		status int
		answer string
		want   error
	}{
		"right":        {201, right, nil},
		"null":         {201, `null`, mcc.ErrDamaged},
		"no id":        {201, fmt.Sprintf(`{"size":%d}`, len(content)), mcc.ErrDamaged},
		"other id":     {201, fmt.Sprintf(`{"id":%q,"size":%d}`, mcc.Hash{1}, len(content)), mcc.ErrDamaged},
		"other size":   {201, fmt.Sprintf(`{"id":%q,"size":%d}`, id, len(content)+1), mcc.ErrDamaged},
		"other status": {200, right, mcc.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			cl := against(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					_, _ = io.WriteString(w, `{"blobs":[]}`)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.answer)
			})
			info, err := cl.PutBlob(t.Context(), strings.NewReader(content), mcc.BlobOptions{})
			wantError(t, "put", err, c.want)
			if err == nil && (info.ID != id || info.Size != int64(len(content))) {
				t.Errorf("%+v", info)
			}
		})
	}
}

// A list must get on.
func TestBlobListThatGoesRound(t *testing.T) {
	for _, next := range []string{strings.Repeat("0", 64), "5"} {
		asked := 0
		c := against(t, func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked > 3 {
				next = ""
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"blobs": []any{}, "next": next})
		})
		var last error
		for _, last = range c.ListBlobs(t.Context()) {
		}
		if last == nil || !strings.Contains(last.Error(), "is not the API's") || asked != 2 {
			t.Errorf("%v after %d pages, want an error after 2", last, asked)
		}
	}
}

// What is no document is not taken for one.
func TestDIDDocumentIsAnObject(t *testing.T) {
	const did = "did:mcc:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
	for _, c := range []struct {
		status int
		answer string
		good   bool
	}{
		{200, `{"id":"` + did + `"}`, true},
		{200, " \n{}", true},
		{200, "null", false},
		{200, "[1,2]", false},
		{200, "{", false},
		{200, "", false},
		{204, "", false},
		{206, "{}", false},
	} {
		cl := against(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.answer)
		})
		found, err := cl.ResolveDID(t.Context(), did)
		if c.good && (err != nil || string(found.Document) != c.answer) {
			t.Errorf("%d %q: %+v, %v", c.status, c.answer, found, err)
		}
		if !c.good {
			wantError(t, fmt.Sprintf("%d %q", c.status, c.answer), err, mcc.ErrDamaged)
		}
		if _, err := cl.PutDID(t.Context(), did, []byte("{}")); err == nil {
			t.Errorf("%d %q: a put without a version was taken for one", c.status, c.answer)
		}
	}
}

// The reason that HEAD cannot carry is asked for.
func TestHeadSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		get  http.HandlerFunc
		text string
	}{
		"problem": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			_, _ = io.WriteString(w, `{"type":"urn:mcc:error:not-found","detail":"nobody has it"}`)
		}, "nobody has it"},
		"there after all": {func(http.ResponseWriter, *http.Request) {}, "BLOB " + mcc.Hash{5}.String() + ": the node answered 404 Not Found"},
		"no problem": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
		}, "BLOB " + mcc.Hash{5}.String() + ": the node answered 404 Not Found"},
	} {
		cl := against(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case !strings.HasSuffix(r.URL.Path, mcc.Hash{5}.String()):
				_, _ = io.WriteString(w, `{"blobs":[]}`)
			case r.Method == http.MethodHead:
				w.WriteHeader(404)
			default:
				if got := r.Header.Get("Range"); got != "bytes=0-0" {
					t.Errorf("%s: asked for %q", name, got)
				}
				c.get(w, r)
			}
		})
		_, err := cl.OpenBlob(t.Context(), mcc.Hash{5})
		wantError(t, name, err, mcc.ErrNotFound)
		if err == nil || err.Error() != c.text {
			t.Errorf("%s: %v, want %s", name, err, c.text)
		}
	}
}

// Errors name the socket, not the host that stands in for it.
func TestErrorsNameTheSocket(t *testing.T) {
	url := "unix:" + filepath.Join(t.TempDir(), "none.sock")
	c := newClient(t, client.Options{URL: url})
	_, err := c.Info(t.Context())
	wantError(t, "info", err, mcc.ErrUnreachable)
	dial := closedConn(c.DialNode(t.Context(), "gate", "x"))
	wantError(t, "dial", dial, mcc.ErrUnreachable)
	for _, err := range []error{err, dial} {
		if text := err.Error(); !strings.Contains(text, url) || strings.Contains(text, "localhost") {
			t.Errorf("%s", text)
		}
	}
}

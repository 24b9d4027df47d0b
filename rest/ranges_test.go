package rest

import (
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"testing"

	mcc "github.com/staex-mcc/mcc"
)

func TestBlobRanges(t *testing.T) {
	_, h, path := alphabetBlob(t)
	tag := `"` + mcc.Hash{1}.String() + `"`
	for _, c := range []struct {
		headers      string
		status       int
		content, rng string
	}{
		{"Range: bytes=0-4", 206, "abcde", "bytes 0-4/26"},
		{"Range: bytes=5-5", 206, "f", "bytes 5-5/26"},
		{"Range: bytes=24-", 206, "yz", "bytes 24-25/26"},
		{"Range: bytes=-3", 206, "xyz", "bytes 23-25/26"},
		{"Range: bytes=20-99", 206, "uvwxyz", "bytes 20-25/26"},
		{"Range: bytes=0-1\nIf-Range: " + tag, 206, "ab", "bytes 0-1/26"},
		{"Range: bytes=0-1\nIf-Range: \"other\"", 200, alphabet, ""},
		{"Range: Bytes=0-1", 206, "ab", "bytes 0-1/26"},
		{"Range: bytes=20-99999999999999999999", 206, "uvwxyz", "bytes 20-25/26"},
		{"Range: bytes=-99999999999999999999", 206, alphabet, "bytes 0-25/26"},
		{"Range: bytes=26-", 416, "", "bytes */26"},
		{"Range: bytes=99999999999999999999-", 416, "", "bytes */26"},
		{"Range: bytes=-0", 416, "", "bytes */26"},
		{"Range: bytes=-0,0-1", 206, "ab", "bytes 0-1/26"},
		// What is no range in bytes is ignored, RFC 9110 14.2.
		{"Range: lines=0-1", 200, alphabet, ""},
		{"Range: bytes=abc", 200, alphabet, ""},
		{"Range: bytes=5-2", 200, alphabet, ""},
		{"Range: bytes=0-1,5-2", 200, alphabet, ""},
		{"Range: bytes=", 200, alphabet, ""},
		{"Range: bytes=-", 200, alphabet, ""},
		{"Range: bytes=+1-2", 200, alphabet, ""},
		{"Range: bytes", 200, alphabet, ""},
		{"Range: bytes=0-1\nRange: bytes=2-3", 200, alphabet, ""},
		{"Range: bytes=" + strings.Repeat("0-0,", maxRanges) + "1-1", 200, alphabet, ""},
		{"If-None-Match: " + tag, 304, "", ""},
		{"If-None-Match: *", 304, "", ""},
		{"If-None-Match: \"other\"", 200, alphabet, ""},
		{"If-Match: " + tag, 200, alphabet, ""},
		{"If-Match: \"other\"", 412, "", ""},
	} {
		headers := strings.Split(c.headers, "\n")
		w := do(t, h, "GET "+path, "", headers...)
		if w.Code != c.status || w.Header().Get("Content-Range") != c.rng || c.status < 400 && w.Body.String() != c.content {
			t.Errorf("%s: %d %q %s", c.headers, w.Code, w.Header().Get("Content-Range"), w.Body)
		}
		if c.status == 416 {
			wantProblem(t, w, 416, "range")
		}
		if c.status == 412 {
			wantProblem(t, w, 412, "conflict")
		}
		if c.status >= 400 && (w.Header().Get("Content-Disposition") != "" || strings.Contains(w.Header().Get("Cache-Control"), "immutable")) {
			t.Errorf("%s: the problem is called a content: %v", c.headers, w.Header())
		}
		sameHead(t, h, path, headers...)
	}
}

func TestBlobManyRanges(t *testing.T) {
	f, h, path := alphabetBlob(t)
	f.opened = make(chan *openBlob, 1)
	w := do(t, h, "GET "+path, "", "Range: bytes=0-1,5-6,-2")
	mediaType, params, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if w.Code != 206 || mediaType != "multipart/byteranges" {
		t.Fatalf("%d %s", w.Code, mediaType)
	}
	parts := multipart.NewReader(w.Body, params["boundary"])
	for _, want := range []string{"bytes 0-1/26 ab", "bytes 5-6/26 fg", "bytes 24-25/26 yz"} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		content, _ := io.ReadAll(part)
		if got := part.Header.Get("Content-Range") + " " + string(content); got != want || part.Header.Get("Content-Type") != bytesType {
			t.Errorf("%q %v, want %q", got, part.Header, want)
		}
	}
	<-(<-f.opened).closed
}

// Too many ranges are the whole: each is work at a seeder.
func TestBlobTooManyRanges(t *testing.T) {
	f := newFakeNode()
	f.addBlob("", mcc.Hash{1}, 1000, zeros{})
	h := newHandler(t, f, Options{})
	for n, want := range map[int]int{maxRanges: 206, maxRanges + 1: 200} {
		w := do(t, h, "GET /api/v1/blobs/"+mcc.Hash{1}.String(), "", "Range: bytes="+strings.Repeat("0-0,", n-1)+"1-1")
		if w.Code != want || want == 200 && w.Body.Len() != 1000 {
			t.Errorf("%d ranges: %d, %d bytes", n, w.Code, w.Body.Len())
		}
	}
}

// However a Range is written, what is left of it is one that http.ServeContent
// takes, and in the same words when it is read again.
func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-4", "bytes=-3,5-", "bytes=-0", "bytes=5-2", "lines=1-2", "bytes=99999999999999999999-", "bytes= , 1-1 ,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ranges, ok := readRanges(text)
		if !ok {
			return
		}
		again, ok := readRanges("bytes=" + strings.Join(ranges, ","))
		if !ok || !slices.Equal(ranges, again) || len(ranges) > maxRanges {
			t.Errorf("%q: %q, then %q", text, ranges, again)
		}
	})
}

package rest

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	mcc "github.com/staex-mcc/mcc"
)

func TestRecords(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	id := fakeID(1).String()
	w := do(t, h, "PUT /api/v1/records/config", "one", "Content-Type: application/xml")
	wantJSON(t, w, 201, `{"owner":"`+id+`","name":"config","seq":1,"expires":"2026-01-02T15:04:05Z"}`)
	if got := w.Header().Get("Location"); got != "/api/v1/records/"+id+"/config" {
		t.Errorf("Location %q", got)
	}
	w = do(t, h, "PUT /api/v1/records/config?ttl_s=60", "two", `If-Match: "1"`)
	wantJSON(t, w, 200, `{"owner":"`+id+`","name":"config","seq":2,"expires":"2026-01-02T15:04:05Z"}`)
	if o := f.options[1]; o.TTL != time.Minute || o.IfSeq == nil || *o.IfSeq != 1 || f.options[0] != (mcc.RecordOptions{}) {
		t.Errorf("options %+v", f.options)
	}
	put := w.Header()
	for _, owner := range []string{id, "gate", "did:key:" + id} {
		w = do(t, h, "GET /api/v1/records/"+owner+"/config", "")
		if w.Code != 200 || w.Body.String() != "two" {
			t.Errorf("of %s: %d %s", owner, w.Code, w.Body)
		}
	}
	for name, want := range map[string]string{
		"ETag": `"2"`, "Mcc-Owner": id, "Mcc-Seq": "2", "Mcc-Expires": "2026-01-02T15:04:05Z",
		"Mcc-Signature": base64.StdEncoding.EncodeToString([]byte{0xff, 0xee, 1}),
	} {
		if got := w.Header().Get(name); got != want || put.Get(name) != want {
			t.Errorf("%s: %q from get, %q from put; want %q", name, got, put.Get(name), want)
		}
	}
	if w.Header().Get("Content-Type") != bytesType || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("header %v", w.Header())
	}
	sameHead(t, h, "/api/v1/records/gate/config")
	w = do(t, h, "GET /api/v1/records/gate/config", "", `If-None-Match: "1", W/"2"`)
	if w.Code != 304 || w.Body.Len() != 0 || w.Header().Get("ETag") != `"2"` {
		t.Errorf("If-None-Match: %d %v", w.Code, w.Header())
	}
	if w := do(t, h, "DELETE /api/v1/records/config", ""); w.Code != 204 || w.Body.Len() != 0 {
		t.Errorf("DELETE: %d %s", w.Code, w.Body)
	}
	wantProblem(t, do(t, h, "DELETE /api/v1/records/config", ""), 404, "not-found")
	wantProblem(t, do(t, h, "GET /api/v1/records/gate/config", ""), 404, "not-found")
}

// sameHead checks over a real server that HEAD answers as GET does, without a
// body.
func sameHead(t *testing.T, h *Handler, path string, headers ...string) {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	get, content := fetch(t, "GET "+s.URL+path, nil, headers...)
	head, none := fetch(t, "HEAD "+s.URL+path, nil, headers...)
	if head.StatusCode != get.StatusCode || len(none) != 0 {
		t.Errorf("HEAD %s: %d and %d bytes; GET: %d", path, head.StatusCode, len(none), get.StatusCode)
	}
	for name := range get.Header {
		got, want := head.Header.Get(name), get.Header.Get(name)
		if got != want && name != "Date" && !strings.HasPrefix(want, "multipart/") {
			t.Errorf("HEAD %s: %s %q; GET has %q", path, name, got, want)
		}
	}
	if head.StatusCode < 300 && head.ContentLength != int64(len(content)) {
		t.Errorf("HEAD %s: Content-Length %d for %d bytes", path, head.ContentLength, len(content))
	}
}

// fetch makes a real request: "METHOD URL", headers as "Name: value" lines. It
// returns the answer and its body.
func fetch(t *testing.T, request string, body io.Reader, headers ...string) (*http.Response, []byte) {
	t.Helper()
	method, url, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	r.Close = true // leaves no connection behind
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, content
}

func TestRecordConditions(t *testing.T) {
	for _, c := range []struct {
		name    string
		exists  bool
		headers string
		status  int
		code    string
	}{
		{"none", false, "", 201, ""},
		{"none of an old one", true, "", 200, ""},
		{"must not exist", false, "If-None-Match: *", 201, ""},
		{"must not exist and does", true, "If-None-Match: *", 412, "conflict"},
		{"must exist", true, "If-Match: *", 200, ""},
		{"must exist and does not", false, "If-Match: *", 412, "conflict"},
		{"its sequence", true, `If-Match: "1"`, 200, ""},
		{"bare", true, `If-Match:  1 `, 200, ""},
		{"another", true, `If-Match: "2"`, 412, "conflict"},
		{"no sequence", false, `If-Match: "0"`, 201, ""},
		{"no sequence of an old one", true, `If-Match: 0`, 412, "conflict"},
		{"empty", true, `If-Match: `, 400, "malformed"},
		{"half a quote", true, `If-Match: "1`, 400, "malformed"},
		{"other half", true, `If-Match: 1"`, 400, "malformed"},
		{"weak", true, `If-Match: W/"1"`, 400, "malformed"},
		{"list", true, `If-Match: "1", "2"`, 400, "malformed"},
		{"two lines", true, "If-Match: 1\nIf-Match: 1", 400, "malformed"},
		{"sign", true, `If-Match: +1`, 400, "malformed"},
		{"too big", true, `If-Match: 18446744073709551616`, 400, "malformed"},
		{"leading zero", true, `If-Match: 01`, 400, "malformed"},
		{"none match with a version", true, `If-None-Match: "1"`, 400, "malformed"},
		{"both", true, "If-Match: 1\nIf-None-Match: *", 400, "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHandler(t, newFakeNode(), Options{})
			if c.exists {
				do(t, h, "PUT /api/v1/records/r", "old")
			}
			var headers []string
			if c.headers != "" {
				headers = strings.Split(c.headers, "\n")
			}
			w := do(t, h, "PUT /api/v1/records/r", "new", headers...)
			if c.code != "" {
				wantProblem(t, w, c.status, c.code)
				if got := do(t, h, "GET /api/v1/records/gate/r", "").Body.String(); c.exists && got != "old" {
					t.Errorf("it was put all the same: %q", got)
				}
				return
			}
			if w.Code != c.status {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestRecordErrors(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	long := strings.Repeat("a", 201)
	for request, want := range map[string]string{
		"PUT /api/v1/records/mcc.did":                        "422 invalid",
		"PUT /api/v1/records/" + long:                        "422 invalid",
		"PUT /api/v1/records/a%0Ab":                          "422 invalid",
		"PUT /api/v1/records/a?ttl_s=-1":                     "422 invalid",
		"PUT /api/v1/records/a?ttl_s=1.5":                    "422 invalid",
		"PUT /api/v1/records/a?ttl_s=1e3":                    "422 invalid",
		"PUT /api/v1/records/a?ttl_s=172801":                 "422 invalid",
		"PUT /api/v1/records/a?ttl=5":                        "422 invalid",
		"PUT /api/v1/records/a?ttl_s=1&ttl_s":                "422 invalid",
		"PUT /api/v1/records/a?%zz=1":                        "400 malformed",
		"GET /api/v1/records/gate/a?limit=1":                 "422 invalid",
		"DELETE /api/v1/records/a?x=1":                       "422 invalid",
		"DELETE /api/v1/records/" + long:                     "422 invalid",
		"POST /api/v1/records/a":                             "405 method",
		"GET /api/v1/records/a":                              "405 method",
		"GET /api/v1/records":                                "404 not-found",
		"GET /api/v1/records/a/b/c":                          "404 not-found",
		"PUT /api/v1/records/gate/a":                         "405 method",
		"PUT /api/v1/records/a?ttl_s=9999999999999999999999": "422 invalid",
	} {
		status, code, _ := strings.Cut(want, " ")
		n, _ := strconv.Atoi(status)
		wantProblem(t, do(t, h, request, "x"), n, code)
	}
	if len(f.records) != 0 {
		t.Errorf("stored %v", f.records)
	}
	if got := do(t, h, "GET /api/v1/records/a", "").Header().Get("Allow"); got != "DELETE, PUT" {
		t.Errorf("Allow %q", got)
	}
	f.fail(errPlain)
	if p := wantProblem(t, do(t, h, "PUT /api/v1/records/a", "x"), 500, "internal"); strings.Contains(p.Detail, "secret") {
		t.Errorf("an unknown error leaks: %q", p.Detail)
	}
	f.fail(mcc.ErrConflict)
	wantProblem(t, do(t, h, "PUT /api/v1/records/a", "x"), 409, "conflict")
}

// A name is one segment, whatever is in it.
func TestRecordNames(t *testing.T) {
	for escaped, name := range map[string]string{
		"a%2Fb": "a/b", "%2e%2e": "..", "%2E": ".", "a%20b": "a b", "%E2%82%AC": "€", "100%25": "100%", "a%3Fb%23c": "a?b#c", "a+b": "a+b",
		"a%2F%2Fb": "a//b", "%252F": "%2F",
	} {
		f := newFakeNode()
		h := newHandler(t, f, Options{})
		w := do(t, h, "PUT /api/v1/records/"+escaped, "x")
		if _, ok := f.records[name]; !ok || w.Code != 201 {
			t.Errorf("%s: %d, stored %v", escaped, w.Code, f.records)
			continue
		}
		if w := do(t, h, "GET "+w.Header().Get("Location"), ""); w.Code != 200 || w.Body.String() != "x" {
			t.Errorf("%s: Location leads to %d %s", escaped, w.Code, w.Body)
		}
		if w := do(t, h, "DELETE /api/v1/records/"+escaped, ""); w.Code != 204 {
			t.Errorf("%s: DELETE %d", escaped, w.Code)
		}
	}
}

func TestRecordSize(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{})
	for _, path := range []string{"PUT /api/v1/records/r", "POST /api/v1/values", "PUT /api/v1/dids/did:mcc:" + fakeID(1).String()} {
		if w := do(t, h, path, `"`+strings.Repeat("x", mcc.MaxValue-2)+`"`); w.Code != 201 {
			t.Errorf("%s of the bound: %d", path, w.Code)
		}
		w := do(t, h, path, strings.Repeat("x", mcc.MaxValue+1))
		wantProblem(t, w, 413, "too-large")
		if w.Header().Get("Connection") != "close" {
			t.Errorf("%s: the connection stays", path)
		}
	}
}

func FuzzSequence(f *testing.F) {
	for _, seed := range []string{"", "0", `"0"`, "1", `"18446744073709551615"`, `"`, `""`, "01", "+1", ` "7" `, `W/"1"`, "*", `"1","2"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		seq, ok := sequence(text)
		if !ok {
			return
		}
		plain := strconv.FormatUint(seq, 10)
		if bare := strings.TrimSpace(text); bare != plain && bare != entityTag(plain) {
			t.Errorf("%q is taken for %d", text, seq)
		}
	})
}

func FuzzPrecondition(f *testing.F) {
	for _, seed := range [][2]string{{"", ""}, {"*", ""}, {"", "*"}, {`"3"`, ""}, {"3", "*"}, {"x", "y"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, match, noneMatch string) {
		hd := http.Header{}
		if match != "" {
			hd.Set("If-Match", match)
		}
		if noneMatch != "" {
			hd.Set("If-None-Match", noneMatch)
		}
		c, p := readPrecondition(hd)
		// A condition that was sent is never lost, and never two things.
		if p == nil && (c.given != (len(hd) > 0) || c.exists && c.seq != nil || c.given && !c.exists && c.seq == nil) {
			t.Errorf("%q %q: %+v", match, noneMatch, c)
		}
	})
}

// A slash alone is a name too, wherever it stands last.
func TestSlashIsAName(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{})
	for _, slash := range []string{"%2F", "%2f"} {
		w := do(t, h, "PUT /api/v1/records/"+slash, "content of "+slash)
		if w.Code >= 300 || !strings.Contains(w.Body.String(), `"name":"/"`) {
			t.Fatalf("put: %d %s", w.Code, w.Body)
		}
		if w := do(t, h, "GET /api/v1/records/gate/"+slash, ""); w.Code != 200 || w.Body.String() != "content of "+slash {
			t.Errorf("get: %d %s", w.Code, w.Body)
		}
	}
	if w := do(t, h, "DELETE /api/v1/records/%2F", ""); w.Code != 204 {
		t.Errorf("delete: %d %s", w.Code, w.Body)
	}
	wantProblem(t, do(t, h, "PUT /api/v1/records/", "x"), 404, "not-found")
	wantProblem(t, do(t, h, "GET /swagger/%2F", ""), 404, "not-found")
	wantProblem(t, do(t, h, "PUT /api/v1/records/%00%2F", "x"), 422, "invalid")
	wantProblem(t, do(t, h, "PUT /api/v1/records/%00%2F%2F", "x"), 422, "invalid")
	p := wantProblem(t, do(t, h, "GET /nothing/%2F", ""), 404, "not-found")
	if p.Detail != `there is no "/nothing//"` {
		t.Errorf("%s", p.Detail)
	}
}

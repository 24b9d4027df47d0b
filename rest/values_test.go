package rest

import (
	"strings"
	"testing"

	mcc "github.com/staex-mcc/mcc"
)

// emptyHash is the BLAKE3 hash of nothing, of the published vectors.
const emptyHash = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"

func TestValues(t *testing.T) {
	h := newHandler(t, newFakeNode(), Options{})
	w := do(t, h, "POST /api/v1/values", "hello", "Content-Type: text/html")
	where := w.Header().Get("Location")
	id := strings.TrimPrefix(where, "/api/v1/values/")
	wantJSON(t, w, 201, `{"id":"`+id+`"}`)
	wantJSON(t, do(t, h, "POST /api/v1/values", "hello"), 201, `{"id":"`+id+`"}`)
	wantJSON(t, do(t, h, "POST /api/v1/values", ""), 201, `{"id":"`+emptyHash+`"}`)
	for _, path := range []string{where, "/api/v1/values/" + strings.ToUpper(id)} {
		w = do(t, h, "GET "+path, "")
		if w.Code != 200 || w.Body.String() != "hello" || w.Header().Get("ETag") != `"`+id+`"` ||
			w.Header().Get("Content-Type") != bytesType || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
		}
	}
	if w := do(t, h, "GET /api/v1/values/"+emptyHash, ""); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("nothing: %d %q", w.Code, w.Body)
	}
	sameHead(t, h, where)
	sameHead(t, h, "/api/v1/values/"+emptyHash)
	if w := do(t, h, "GET "+where, "", `If-None-Match: "`+id+`"`); w.Code != 304 {
		t.Errorf("If-None-Match: %d", w.Code)
	}
	wantProblem(t, do(t, h, "GET "+where, "", `If-Match: "other"`), 412, "conflict")
	wantProblem(t, do(t, h, "GET /api/v1/values/short", ""), 422, "invalid")
	wantProblem(t, do(t, h, "DELETE /api/v1/values/short", ""), 422, "invalid")
	wantProblem(t, do(t, h, "GET /api/v1/values/"+strings.Repeat("g", 64), ""), 422, "invalid")
	wantProblem(t, do(t, h, "GET /api/v1/values/"+mcc.Hash{}.String(), ""), 404, "not-found")
	wantProblem(t, do(t, h, "POST /api/v1/values?x", ""), 422, "invalid")
	if w := do(t, h, "DELETE "+where, ""); w.Code != 204 {
		t.Errorf("DELETE: %d", w.Code)
	}
	wantProblem(t, do(t, h, "DELETE "+where, ""), 404, "not-found")
}

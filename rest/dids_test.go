package rest

import (
	"net/http"
	"testing"

	mcc "github.com/staex-mcc/mcc"
)

func TestDIDs(t *testing.T) {
	f := newFakeNode()
	h := newHandler(t, f, Options{})
	own := "did:mcc:" + fakeID(1).String()
	path := "/api/v1/dids/" + own
	wantProblem(t, do(t, h, "GET "+path, ""), 404, "not-found")
	w := do(t, h, "PUT "+path, `{"id": "x"}`, "Content-Type: application/did+json")
	wantJSON(t, w, 201, `{"did":"`+own+`","version":1}`)
	if got := w.Header().Get("Location"); got != path {
		t.Errorf("Location %q", got)
	}
	wantJSON(t, do(t, h, "PUT "+path, `{"id": "y"}`), 200, `{"did":"`+own+`","version":2}`)
	w = do(t, h, "GET "+path, "")
	if w.Code != 200 || w.Body.String() != `{"id": "y"}` || w.Header().Get("Content-Type") != didType || w.Header().Get("ETag") != `"2"` {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	sameHead(t, h, path)
	if w := do(t, h, "GET "+path, "", `If-None-Match: "2"`); w.Code != 304 {
		t.Errorf("If-None-Match: %d", w.Code)
	}
	other := "/api/v1/dids/did:mcc:" + fakeID(2).String()
	wantProblem(t, do(t, h, "PUT "+other, "{}"), 403, "denied")
	wantProblem(t, do(t, h, "DELETE "+other, ""), 403, "denied")
	wantProblem(t, do(t, h, "PUT "+path, "no JSON"), 422, "invalid")
	wantProblem(t, do(t, h, "PUT "+path, "{}", "If-Match: 2"), 501, "unsupported")
	wantProblem(t, do(t, h, "GET /api/v1/dids/did:web:example.com", ""), 501, "unsupported")
	for _, bad := range []string{"nonsense", "did:mcc", "did:MCC:x", "did:mcc:not-an-id", "did:mcc:" + fakeID(1).String() + "%23key"} {
		wantProblem(t, do(t, h, "PUT /api/v1/dids/"+bad, "{}"), 400, "malformed")
		wantProblem(t, do(t, h, "DELETE /api/v1/dids/"+bad, ""), 400, "malformed")
	}
	wantProblem(t, do(t, h, "GET /api/v1/dids/nonsense", ""), 400, "malformed")
	wantProblem(t, do(t, h, "GET "+path+"?versionId=1", ""), 422, "invalid")
	if w := do(t, h, "DELETE "+path, ""); w.Code != 204 {
		t.Errorf("DELETE: %d %s", w.Code, w.Body)
	}
	wantProblem(t, do(t, h, "GET "+path, ""), 410, "deactivated")
	wantProblem(t, do(t, h, "PUT "+path, "{}"), 410, "deactivated")
}

// A did:key has no versions.
func TestDIDWithoutVersion(t *testing.T) {
	f := newFakeNode()
	f.dids["did:key:z6Mk"] = mcc.DIDDocument{DID: "did:key:z6Mk", Document: []byte("{}")}
	h := newHandler(t, f, Options{})
	w := do(t, h, "GET /api/v1/dids/did:key:z6Mk", "")
	if w.Code != http.StatusOK || w.Header()["Etag"] != nil {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

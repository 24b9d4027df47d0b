package rest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lukechampine.com/blake3"

	mcc "github.com/staex-mcc/mcc"
)

// The API over a real node: what is registered is found and reached.
func TestRealNode(t *testing.T) {
	if testing.Short() {
		t.Skip("opens real sockets")
	}
	node, err := mcc.New(mcc.Options{Label: "real"})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RequestURI, " ", r.Header.Get("Mcc-Peer-Label"))
	}))
	defer backend.Close()
	h := newHandler(t, node, Options{})
	w := do(t, h, "POST /api/v1/services", `{"name":"web","address":"`+backend.URL+`"}`)
	if w.Code != 201 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := do(t, h, "GET /api/v1/discovery/web", ""); !strings.Contains(w.Body.String(), `"node":"`+node.ID().String()+`"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := do(t, h, "GET /api/v1/forward/web/a//b", ""); w.Code != 200 || w.Body.String() != "/a//b real" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, do(t, h, "GET /api/v1/forward/nobody/", ""), 503, "no-provider")
	wantProblem(t, do(t, h, "GET /api/v1/discovery/Bad_Name", ""), 422, "invalid")
	wantProblem(t, do(t, h, "POST /api/v1/services", `{"name":"web","address":"tcp://localhost:1"}`), 409, "exists")
	if w := do(t, h, "GET /readyz", ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Records, values, BLOBs and DIDs of a real node over a real connection.
func TestRealNodeData(t *testing.T) {
	if testing.Short() {
		t.Skip("opens real sockets")
	}
	node, err := mcc.New(mcc.Options{Label: "real", DataFolder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	url := newServer(t, newHandler(t, node, Options{})).URL
	want := func(request, body string, status int, content string, headers ...string) *http.Response {
		t.Helper()
		resp, got := fetch(t, request, strings.NewReader(body), headers...)
		if resp.StatusCode != status || !strings.Contains(string(got), content) {
			t.Fatalf("%s: %s %.300s; want %d %s", request, resp.Status, got, status, content)
		}
		return resp
	}
	records := url + "/api/v1/records/"
	want("PUT "+records+"a%2Fb", "one", 201, `"seq":1`)
	want("PUT "+records+"a%2Fb", "two", 200, `"seq":2`, "If-Match: *")
	want("PUT "+records+"a%2Fb", "three", 412, "conflict", `If-Match: "1"`)
	resp := want("GET "+records+"real/a%2Fb", "", 200, "two")
	expires, err := time.Parse(time.RFC3339, resp.Header.Get("Mcc-Expires"))
	if err != nil {
		t.Fatal(err)
	}
	sig, _ := base64.StdEncoding.DecodeString(resp.Header.Get("Mcc-Signature"))
	record := mcc.Record{Owner: node.ID(), Name: "a/b", Seq: 2, Expires: expires, Value: []byte("two"), Sig: sig}
	if err := record.Verify(); err != nil {
		t.Errorf("what the API says of a record does not verify: %v", err)
	}
	want("GET "+url+want("POST "+url+"/api/v1/values", "v", 201, "id").Header.Get("Location"), "", 200, "v")

	content := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	resp = want("POST "+url+"/api/v1/blobs?name=x", content, 201, `"size":1048576`)
	sum := blake3.Sum256([]byte(content))
	blob := url + resp.Header.Get("Location")
	if resp.Header.Get("ETag") != entityTag(hex.EncodeToString(sum[:])) {
		t.Errorf("ETag %s", resp.Header.Get("ETag"))
	}
	want("GET "+blob, "", 200, content)
	want("GET "+blob, "", 206, "0123", "Range: bytes=1048560-1048563")
	want("GET "+url+"/api/v1/blobs", "", 200, `"name":"x"`)
	want("GET "+blob+"/seeders", "", 200, node.ID().String())
	want("DELETE "+blob, "", 204, "")

	own := "did:mcc:" + node.ID().String()
	document := `{"@context":["https://www.w3.org/ns/did/v1"],"id":"` + own + `"}`
	if resp, text := fetch(t, "PUT "+url+"/api/v1/dids/"+own, strings.NewReader(document)); resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s", resp.Status, text)
	}
	want("GET "+url+"/api/v1/dids/"+own, "", 200, document)
	want("PUT "+url+"/api/v1/dids/"+own, `{"id":"did:mcc:other"}`, 422, "invalid")
	want("GET "+url+"/1.0/identifiers/"+own, "", 200, `"didDocument":`+document)
	want("GET "+url+"/1.0/identifiers/did:key:"+node.ID().String(), "", 200, document[:1], "Accept: application/did")
	want("DELETE "+url+"/api/v1/dids/"+own, "", 204, "")
	want("GET "+url+"/1.0/identifiers/"+own, "", 410, `"deactivated":true`)
}

package rest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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

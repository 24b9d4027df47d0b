package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestBlobReason has a HEAD fail, whose answer has no words.
func TestBlobReason(t *testing.T) {
	refuse := func(status int, detail string) http.HandlerFunc {
		return answering(status, `{"title":"No","detail":"`+detail+`"}`)
	}
	tests := []struct {
		name      string
		head, get http.HandlerFunc
		code      int
		want      string
		wantAsked bool
	}{
		{"same", refuse(502, "-"), refuse(502, "no seeder can be reached"), exitFailure, "mcc: no seeder can be reached\n", true},
		{"usage", refuse(422, "-"), refuse(422, "that is no id"), exitUsage, "mcc: that is no id\n", true},
		{"no words at all", answering(502, ""), answering(502, "<html>"), exitFailure, "mcc: the node answered 502 Bad Gateway\n", true},
		{"there after all", refuse(502, "-"), answering(206, "x"), exitFailure, "mcc: BLOB " + someID + ": the node answered 502 Bad Gateway\n", true},
		{"empty after all", refuse(504, "-"), refuse(416, "no such range"), exitFailure, "mcc: BLOB " + someID + ": the node answered 504 Gateway Timeout\n", true},
		{"cut", refuse(502, "-"), cutting, exitFailure, "mcc: BLOB " + someID + ": the node answered 502 Bad Gateway\n", true},
		{"not found", refuse(404, "-"), refuse(404, "-"), exitFailure, "mcc: BLOB " + someID + ": not found\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := ""
			api := fakeAPI(t, map[string]http.HandlerFunc{
				"HEAD /api/v1/blobs/" + someID: tt.head,
				"GET /api/v1/blobs/" + someID: func(w http.ResponseWriter, r *http.Request) {
					asked += r.Header.Get("Range")
					tt.get(w, r)
				},
			})
			runWith(nil, "blob", "get", someID, "-json", "-api", api).wants(t, tt.code, tt.want)
			if got := asked == "bytes=0-0"; got != tt.wantAsked || !got && asked != "" {
				t.Errorf("asked for %q", asked)
			}
		})
	}
}

func TestBlobGetToStandardOutputByName(t *testing.T) {
	const empty = "" // someID is its hash
	api := fakeAPI(t, map[string]http.HandlerFunc{"GET /api/v1/blobs/" + someID: answering(http.StatusOK, empty)})
	t.Chdir(t.TempDir())
	runWith(nil, "blob", "get", someID, "-o", "-", "-api", api).wants(t, exitDone, "")
	wantOnly(t, ".")
	runWith(nil, "blob", "get", someID, "-o", "-", "-json", "-api", api).wants(t, exitUsage, "-json and -o -")
	if help := runWith(nil, "blob", "get", "-help").out; !strings.Contains(help, "overwrite") {
		t.Errorf("the help does not say that -o overwrites:\n%s", help)
	}
}

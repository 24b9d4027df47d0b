package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/staex-mcc/mcc"
)

func TestRecordPut(t *testing.T) {
	tests := []struct {
		name                 string
		args                 []string
		path, match, noMatch string
	}{
		{"plain", []string{"state"}, "/api/v1/records/state", "", ""},
		{"must be at", []string{"state", "-if-seq", "3"}, "/api/v1/records/state", `"3"`, ""},
		{"must not be", []string{"state", "-if-seq", "0"}, "/api/v1/records/state", "", "*"},
		{"with a life", []string{"state", "-ttl", "90m"}, "/api/v1/records/state?ttl_s=5400", "", ""},
		{"slash", []string{"a/b c"}, "/api/v1/records/a%2Fb%20c", "", ""},
		{"dots", []string{".."}, "/api/v1/records/%2E%2E", "", ""},
		{"question mark", []string{"a?b#c"}, "/api/v1/records/a%3Fb%23c", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var seen *http.Request
			var body []byte
			api := fakeHandler(t, func(w http.ResponseWriter, r *http.Request) {
				seen = r
				body, _ = io.ReadAll(r.Body)
				answering(http.StatusCreated, `{"owner":"z6Mk","name":"state","seq":4}`)(w, r)
			})
			got := runWith(strings.NewReader("up"), append([]string{"record", "put", "-api", api}, tt.args...)...)
			got.wants(t, exitDone, "")
			if got.out != "stored state of z6Mk, sequence 4\n" || string(body) != "up" {
				t.Errorf("output %q, body %q", got.out, body)
			}
			if seen.RequestURI != tt.path || seen.Header.Get("If-Match") != tt.match || seen.Header.Get("If-None-Match") != tt.noMatch {
				t.Errorf("%s, If-Match %q, If-None-Match %q", seen.RequestURI, seen.Header.Get("If-Match"), seen.Header.Get("If-None-Match"))
			}
		})
	}
}

func TestRecordPutMistakes(t *testing.T) {
	api := fakeHandler(t, func(http.ResponseWriter, *http.Request) { t.Error("the node was asked") })
	put := func(in string, args ...string) outcome {
		return runWith(strings.NewReader(in), append([]string{"record", "put", "-api", api}, args...)...)
	}
	put("").wants(t, exitUsage, "usage: mcc record put NAME [FILE|-]")
	put("x", "n", "-if-seq", "-1").wants(t, exitUsage, "-if-seq")
	put("x", "n", "-ttl", "0").wants(t, exitUsage, "-ttl 0s: want at least 1s")
	put("x", "n", "-ttl", "5").wants(t, exitUsage, "-ttl")
	put("", "n", "missing").wants(t, exitUsage, "no such file")
	put("", "n", t.TempDir()).wants(t, exitUsage, "is a folder")
	put(strings.Repeat("x", mcc.MaxValue+1), "n").wants(t, exitUsage, "standard input has over 65536 bytes: too large")
	put("", "n", writeTemp(t, "big", strings.Repeat("x", mcc.MaxValue+1))).wants(t, exitUsage, "big has over 65536 bytes")
}

func TestLongestValue(t *testing.T) {
	size := 0
	api := fakeHandler(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		size = len(body)
		answering(http.StatusCreated, `{"id":"`+someID+`"}`)(w, r)
	})
	for _, want := range []int{0, 1, mcc.MaxValue} {
		got := runWith(strings.NewReader(strings.Repeat("x", want)), "value", "put", "-api", api)
		got.wants(t, exitDone, "")
		if size != want || got.out != someID+"\n" {
			t.Errorf("%d bytes arrived of %d; output %q", size, want, got.out)
		}
	}
}

func TestRecordGet(t *testing.T) {
	api := fakeHandler(t, func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI != "/api/v1/records/did:key:z6Mk/a%2Fb" {
			t.Errorf("asked for %s", r.RequestURI)
		}
		w.Header().Set("ETag", `"5"`)
		w.Header().Set("Mcc-Owner", "z6Mk")
		w.Header().Set("Mcc-Signature", "c2ln")
		w.Header().Set("Mcc-Expires", "2026-01-02T03:04:05Z")
		_, _ = io.WriteString(w, "\x00raw\n\n")
	})
	if got := runWith(nil, "record", "get", "-api", api, "did:key:z6Mk", "a/b"); got.code != exitDone || got.out != "\x00raw\n\n" {
		t.Errorf("exit code %d, %q, %s", got.code, got.out, got.err)
	}
	want := `{"owner":"z6Mk","name":"a/b","seq":5,"expires":"2026-01-02T03:04:05Z","value":"AHJhdwoK","signature":"c2ln"}` + "\n"
	if got := runWith(nil, "record", "get", "-api", api, "did:key:z6Mk", "a/b", "-json"); got.out != want {
		t.Errorf("got  %s\nwant %s", got.out, want)
	}
}

func TestRecordGetFromAnotherServer(t *testing.T) {
	api := fakeHandler(t, answering(http.StatusOK, "<html>"))
	runWith(nil, "record", "get", "-api", api, "one", "n").wants(t, exitFailure, "not the API's")
	runWith(strings.NewReader("x"), "record", "put", "-api", api, "n").wants(t, exitFailure, "not the API's")
	runWith(strings.NewReader("x"), "value", "put", "-api", api).wants(t, exitFailure, "not the API's")
	runWith(strings.NewReader("x"), "blob", "put", "-api", api).wants(t, exitFailure, "not the API's")
	runWith(nil, "did", "create", "-api", api).wants(t, exitFailure, "not the API's")
	runWith(nil, "did", "get", "did:web:x", "-json", "-api", api).wants(t, exitFailure, "not the API's")
}

func TestIDs(t *testing.T) {
	api := fakeHandler(t, func(http.ResponseWriter, *http.Request) { t.Error("the node was asked") })
	for _, args := range []string{"blob get", "blob rm", "blob seeders", "value get", "value rm"} {
		for _, id := range []string{"", "short", strings.Repeat("g", 64), someID + "0", "../../node"} {
			runWith(nil, append(strings.Fields(args), id, "-api", api)...).wants(t, exitUsage, "is no id")
		}
	}
	runWith(nil, "blob", "rm", someID, "short", "-api", api).wants(t, exitUsage, "is no id")
	for _, args := range []string{"did get", "did put", "did deactivate -yes"} {
		for _, name := range []string{"", "did:", "did:mcc:", "did:MCC:z", "did:mcc:z/path", "did:mcc:z?q", "did:mcc:z#f"} {
			runWith(strings.NewReader("{}"), append(strings.Fields(args), name, "-api", api)...).wants(t, exitUsage, "is no DID")
		}
	}
	runWith(nil, "did", "get", "z6Mk", "-api", api).wants(t, exitUsage, "is no DID") // for put it is a file
	runWith(nil, "did", "deactivate", "did:mcc:z6Mk", "-api", api).wants(t, exitUsage, "never comes back\nmcc: hint: add -yes")
}

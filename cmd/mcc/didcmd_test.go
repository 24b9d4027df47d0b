package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

const someNode = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"

// TestDIDLeftOut wants the node's own DID where none is given, and no question
// to the node where one is.
func TestDIDLeftOut(t *testing.T) {
	const own, other = "did:mcc:" + someNode, "did:mcc:z6Mk"
	file := writeTemp(t, "did.json", "from the file")
	tests := []struct{ line, want string }{
		{"get", "node; GET " + own + " ()"},
		{"get " + other, "GET " + other + " ()"},
		{"put", "node; PUT " + own + " (from the input)"},
		{"put -", "node; PUT " + own + " (from the input)"},
		{"put " + file, "node; PUT " + own + " (from the file)"},
		{"put " + other, "PUT " + other + " (from the input)"},
		{"put " + other + " -", "PUT " + other + " (from the input)"},
		{"put " + other + " " + file, "PUT " + other + " (from the file)"},
		{"deactivate -yes", "node; DELETE " + own + " ()"},
		{"deactivate -yes " + other, "DELETE " + other + " ()"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			var asked []string
			api := fakeHandler(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/api/v1/node" {
					asked = append(asked, "node")
					answering(http.StatusOK, `{"id":"`+someNode+`"}`)(w, r)
					return
				}
				body, _ := io.ReadAll(r.Body)
				asked = append(asked, fmt.Sprintf("%s %s (%s)", r.Method, strings.TrimPrefix(r.URL.Path, didsPath), body))
				answering(http.StatusOK, `{"version":1}`)(w, r)
			})
			args := append([]string{"did", "-api", api}, strings.Fields(tt.line)...)
			runWith(strings.NewReader("from the input"), args...).wants(t, exitDone, "")
			if got := strings.Join(asked, "; "); got != tt.want {
				t.Errorf("asked %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDIDLeftOutMistakes(t *testing.T) {
	api := fakeHandler(t, func(http.ResponseWriter, *http.Request) { t.Error("the node was asked") })
	did := func(args ...string) outcome {
		return runWith(strings.NewReader("{}"), append([]string{"did", "-api", api}, args...)...)
	}
	did("put", "missing").wants(t, exitUsage, "no such file")
	did("put", "missing", "-").wants(t, exitUsage, `"missing" is no DID`)
	did("put", "did:mcc:z", "-", "more").wants(t, exitUsage, "usage: mcc did put [DID] [FILE|-]")
	did("deactivate").wants(t, exitUsage, "hint: add -yes")
	did("get", "").wants(t, exitUsage, `"" is no DID`)
	stranger := fakeHandler(t, answering(http.StatusOK, `{"id":"nobody"}`))
	for _, line := range []string{"get", "put", "deactivate -yes"} {
		args := append([]string{"did", "-api", stranger}, strings.Fields(line)...)
		runWith(strings.NewReader("{}"), args...).wants(t, exitFailure, "not the API's")
	}
}

package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnknownCommandHints(t *testing.T) {
	tests := []struct{ line, want string }{
		{"frob", "mcc: hint: mcc -help lists commands and flags\n"},
		{"statsu", "mcc: hint: did you mean status? mcc -help"},
		{"re", "mcc: hint: did you mean record or register? mcc -help"},
		{"record ls", "mcc: hint: mcc record -help lists the commands\n"}, // not rm, which is as close
		{"blob lst", "mcc: hint: did you mean ls? mcc blob -help lists the commands\n"},
		{"did creat", "mcc: hint: did you mean create? mcc did -help lists the commands\n"},
		{"ca frob", "mcc: hint: mcc ca -help lists the commands\n"},
		{"config chek x", "mcc: hint: did you mean check? mcc config -help"},
		{"-mdns statsu", "mcc: hint: -mdns=true or -mdns=false\n"},
		{"-keep-blobs maybe", "mcc: hint: -keep-blobs=true or -keep-blobs=false\n"},
		{"-keep-blobs=maybe", "mcc: hint: -keep-blobs=true or -keep-blobs=false\n"},
		{"-loglevel x", "mcc: hint: mcc -help lists the flags\n"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			runWith(nil, strings.Fields(tt.line)...).wants(t, exitUsage, tt.want)
		})
	}
}

// TestTokenHint wants a node that asks for its token to be answered with the
// flag that gives it.
func TestTokenHint(t *testing.T) {
	const refusal = `{"title":"Unauthorized","detail":"this node asks for its token"}`
	const token = "the-token-of-the-node"
	right := "-http-token-file=" + writeTemp(t, "right", token)
	wrong := "-http-token-file=" + writeTemp(t, "wrong", "the-token-of-another")
	api := fakeHandler(t, func(w http.ResponseWriter, r *http.Request) {
		given := r.Header.Get("Authorization") + r.Header.Get("Proxy-Authorization")
		switch {
		case given == "Bearer "+token:
			answering(http.StatusOK, "{}")(w, r)
		case r.Method == http.MethodConnect:
			answering(http.StatusProxyAuthRequired, refusal)(w, r)
		default:
			answering(http.StatusUnauthorized, refusal)(w, r)
		}
	})
	const (
		missing = "mcc: this node asks for its token\nmcc: hint: -http-token-file or MCC_HTTP_TOKEN_FILE names"
		other   = "mcc: this node asks for its token\nmcc: hint: the token in the file of -http-token-file (MCC_HTTP_TOKEN_FILE) is not"
	)
	for _, line := range []string{"status", "blob rm " + someID, "blob get -json " + someID, "connect web", "forward web 0"} {
		args := append(strings.Fields(line), "-api", api)
		runWith(nil, args...).wants(t, exitFailure, missing)
		runWith(nil, append(args, wrong)...).wants(t, exitFailure, other)
	}
	runWith(nil, "status", "-api", api, right).wants(t, exitDone, "")
}

func TestSilentNodeIsNamed(t *testing.T) {
	path := "unix:" + filepath.Join(t.TempDir(), "missing")
	runWith(nil, "status", "-api", path).wants(t, exitFailure, "mcc: node at "+path+" does not answer")
	t.Setenv("MCC_API", path)
	runWith(nil, "status").wants(t, exitFailure, "mcc: node at "+path+" does not answer")
	runWith(nil, "connect", "web").wants(t, exitFailure, "mcc: node at "+path+" does not answer")
	runWith(nil, "status", "-api", "127.0.0.1:1").wants(t, exitFailure, "mcc: node at 127.0.0.1:1 does not answer")
}

package main

import (
	"bytes"
	"net/http"
	"os"
	"testing"
)

// openTerminal makes a terminal whose other side nobody reads.
func openTerminal(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestBlobGetOnATerminal(t *testing.T) {
	asked := 0
	api := fakeAPI(t, map[string]http.HandlerFunc{"GET /api/v1/blobs/" + someID: func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Content-Length", "0")
	}})
	get := func(out *os.File, args ...string) outcome {
		var errs bytes.Buffer
		code := run(append([]string{"blob", "get", someID, "-api", api}, args...), streams{out: out, err: &errs})
		return outcome{code: code, err: errs.String()}
	}
	terminal := openTerminal(t)
	get(terminal).wants(t, exitUsage, "mcc: hint: use -o FILE, or -o - for the terminal\n")
	if asked != 0 {
		t.Error("the node was asked for what is not written")
	}
	get(terminal, "-o", "-").wants(t, exitDone, "")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	get(null).wants(t, exitDone, "") // a device, but no terminal
	if asked != 2 {
		t.Errorf("%d downloads, want 2", asked)
	}
}

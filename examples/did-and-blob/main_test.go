package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/examples/internal/program"
)

func TestPublishAndRead(t *testing.T) {
	bin := program.Build(t, ".")
	content := make([]byte, 300<<10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	file := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	publisher := program.Start(t, bin, "publish", file)
	addr, did := publisher.Line("listening on "), publisher.Line("did ")
	if got := program.Output(t, bin, "-boot", addr, "read", did); got != string(content) {
		t.Errorf("read %d bytes that are not the %d published", len(got), len(content))
	}
}

// A record that says another thing than the document is noticed.
func TestDisagreement(t *testing.T) {
	node, err := mcc.New(mcc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	file := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	did := "did:mcc:" + node.ID().String()
	if err := publish(t.Context(), node, did, file); err != nil {
		t.Fatal(err)
	}
	other := bytes.Repeat([]byte{'0'}, 64)
	if _, err := node.PutRecord(t.Context(), "file", other, mcc.RecordOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := read(t.Context(), node, did); err == nil {
		t.Error("read a file that record and document do not agree on")
	}
}

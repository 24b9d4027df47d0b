package main

import (
	"regexp"
	"testing"

	"github.com/staex-mcc/mcc/examples/internal/program"
)

func TestAgainstANode(t *testing.T) {
	node := program.Start(t, program.Build(t, "../../cmd/mcc"), "-listen", "127.0.0.1:0", "-http", "127.0.0.1:0", "-data-folder", t.TempDir())
	url := node.Line("http ")
	out := program.Output(t, program.Build(t, "."), "-url", url)
	want := regexp.MustCompile(`^record of z6Mk\w+ version 1\nblob [0-9a-f]{64} a content of any size\nchannel hello through a channel\n$`)
	if !want.MatchString(out) {
		t.Errorf("printed %q, want %s", out, want)
	}
}

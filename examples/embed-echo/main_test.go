package main

import (
	"strings"
	"testing"

	"github.com/staex-mcc/mcc/examples/internal/program"
)

func TestEcho(t *testing.T) {
	bin := program.Build(t, ".")
	offer := program.Start(t, bin, "offer")
	addr := offer.Line("listening on ")
	text := strings.Repeat("hello, mesh ", 1000)
	if got := program.Output(t, bin, "-boot", addr, "call", text); got != text+"\n" {
		t.Errorf("the echo of %d bytes has %d: %.60q", len(text), len(got), got)
	}
	if caller := offer.Line("called by "); !strings.Contains(caller, "z6Mk") {
		t.Errorf("called by %q", caller)
	}
}

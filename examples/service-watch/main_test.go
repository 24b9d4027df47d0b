package main

import (
	"testing"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/examples/internal/program"
)

func TestWatch(t *testing.T) {
	bin := program.Build(t, ".")
	node, err := mcc.New(mcc.Options{Label: "gate"})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	watch := program.Start(t, bin, "-boot", node.Info().Addresses[0], "files")
	watch.Line("watching files")
	for _, tag := range []string{"blue", "green"} {
		s := mcc.Service{Name: "files", Address: "tcp://127.0.0.1:1", Tags: []string{tag}}
		if err := node.Register(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got, want := watch.Line("added "), "gate "+node.ID().String()+" ["+tag+"]"; got != want {
			t.Errorf("added %q, want %q", got, want)
		}
		if err := node.Unregister(t.Context(), "files"); err != nil {
			t.Fatal(err)
		}
		watch.Line("removed gate")
	}
}

package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/staex-mcc/mcc/examples/internal/program"
)

func TestGreeting(t *testing.T) {
	bin := program.Build(t, ".")
	addr := program.Start(t, bin).Line("listening on ")
	const want = "hello kitchen, you asked for /here\n"
	if got := program.Output(t, bin, "-boot", addr, "-label", "kitchen"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Whoever did not come through the mesh is nobody.
func TestStranger(t *testing.T) {
	w := httptest.NewRecorder()
	greet(w, httptest.NewRequest(http.MethodGet, "/here", nil))
	if w.Code != http.StatusForbidden {
		t.Errorf("status %d, want 403", w.Code)
	}
}

package rest

import (
	"encoding/json"
	"net/http"
	"strings"
)

// healthz says that the process serves requests, nothing more.
func (h *Handler) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]string{"status": "ok"})
}

// readyz says whether the node takes part in the mesh; 503 comes with reasons.
func (h *Handler) readyz(w http.ResponseWriter, _ *http.Request) {
	reasons := h.node.NotReady()
	if len(reasons) > 0 {
		p := newProblem(http.StatusServiceUnavailable, "not-ready", strings.Join(reasons, "; "))
		p.Reasons, p.Ready = reasons, new(bool)
		writeProblem(w, p)
		return
	}
	writeJSON(w, struct {
		Ready   bool     `json:"ready"`
		Reasons []string `json:"reasons"`
	}{true, []string{}})
}

// writeJSON answers 200 with v.
func writeJSON(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil { // BUG: our own types always marshal
		panic("rest: marshal answer: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(text, '\n')) // nobody is left to tell
}

package forward

import (
	"encoding/json"
	"net/http"
)

// problemType is how every error type of MCC's HTTP interface begins.
const problemType = "urn:mcc:error:"

// problem is an RFC 9457 problem detail.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// writeProblem answers a request with an error.
func writeProblem(w http.ResponseWriter, status int, code, detail string) {
	body, err := json.Marshal(problem{
		Type: problemType + code, Title: http.StatusText(status), Status: status, Detail: detail,
	})
	if err != nil {
		panic("BUG: problem does not encode: " + err.Error())
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

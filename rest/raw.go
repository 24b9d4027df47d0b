package rest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// bytesType is the media type of contents, whatever they are: a browser must
// not take what somebody stored for a page of this node.
const bytesType = "application/octet-stream"

// rawRoute is a route that moves bytes as they are. huma would hold whole
// bodies in memory and look into them.
type rawRoute struct {
	// op describes the route but for its responses.
	op huma.Operation
	// answers describes them. It is called when the document is written.
	answers func(doc *huma.OpenAPI) map[string]*huma.Response
	// anyQuery leaves the query to serve. Otherwise parameters that op does not
	// name are refused.
	anyQuery bool
	serve    http.HandlerFunc
}

// handleRaw adds a route to the mux and to the document.
func (h *Handler) handleRaw(route rawRoute) {
	pattern := route.op.Method + " " + route.op.Path
	h.raw[pattern] = &route
	h.mux.HandleFunc(pattern, route.serve)
}

// checkQuery refuses a query that is malformed, says a thing twice or has
// parameters that the route does not know: a typing error must not be taken for
// the default.
func (route *rawRoute) checkQuery(r *http.Request) *Problem {
	if route.anyQuery || r.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return newProblem(http.StatusBadRequest, "malformed", "the query is malformed")
	}
	p := newProblem(http.StatusUnprocessableEntity, "invalid", "validation failed")
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case !route.knows(name):
			p.Errors = append(p.Errors, FieldError{Location: "query." + clip(name), Message: "unknown query parameter"})
		case len(query[name]) > 1:
			p.Errors = append(p.Errors, FieldError{Location: "query." + name, Message: "is there more than once"})
		}
	}
	if p.Errors == nil {
		return nil
	}
	return p
}

// checkBody refuses a body that is not the content itself but something around
// it, which would be stored as it is: what a form or a compressor has made.
func (route *rawRoute) checkBody(r *http.Request) *Problem {
	if route.op.RequestBody == nil {
		return nil
	}
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if strings.EqualFold(strings.TrimSpace(mediaType), "multipart/form-data") {
		return newProblem(http.StatusUnprocessableEntity, "invalid",
			"the body is stored as it is: send the content itself, not a form (curl --data-binary @FILE, or curl -X "+route.op.Method+" -T FILE)")
	}
	for _, line := range r.Header.Values("Content-Encoding") {
		for coding := range strings.SplitSeq(line, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
				return newProblem(http.StatusUnprocessableEntity, "invalid",
					fmt.Sprintf("Content-Encoding %q: the body is stored as it is; decode it first, or leave the header out", clip(coding)))
			}
		}
	}
	return nil
}

func (route *rawRoute) knows(name string) bool {
	return slices.ContainsFunc(route.op.Parameters, func(p *huma.Param) bool { return p.In == "query" && p.Name == name })
}

// documentRaw describes the raw routes. What can be got can be asked for with
// HEAD.
func (h *Handler) documentRaw(doc *huma.OpenAPI) {
	for _, pattern := range slices.Sorted(maps.Keys(h.raw)) {
		route := h.raw[pattern]
		op := route.op
		op.Responses = route.answers(doc)
		doc.AddOperation(&op)
	}
}

// rawAnswers describes the answers of a raw route: successes with contents of
// one media type, and problems. A nil schema is for contents that are any bytes.
func (h *Handler) rawAnswers(mediaType string, schema reflect.Type, successes, problems []int) func(*huma.OpenAPI) map[string]*huma.Response {
	return func(doc *huma.OpenAPI) map[string]*huma.Response {
		content := &huma.Schema{}
		if schema != nil {
			content = doc.Components.Schemas.Schema(schema, true, schema.Name())
		}
		out := h.responses(doc, successes[0], http.StatusText(successes[0]), mediaType, content, problems...)
		for _, status := range successes[1:] {
			more := &huma.Response{Description: http.StatusText(status)}
			if status != http.StatusNotModified {
				more.Content = out[strconv.Itoa(successes[0])].Content
			}
			out[strconv.Itoa(status)] = more
		}
		return out
	}
}

// rawBody describes a body of any bytes.
func rawBody(what string) *huma.RequestBody {
	return &huma.RequestBody{
		Description: what, Required: true,
		Content: map[string]*huma.MediaType{bytesType: {Schema: &huma.Schema{}}},
	}
}

// answerJSON answers a raw route with JSON.
func (h *Handler) answerJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		h.fail(w, fmt.Errorf("write answer: %w", err))
		return
	}
	writeBytes(w, status, "application/json", append(text, '\n'))
}

// writeBytes answers with a whole body. To HEAD the server sends its header
// only.
func writeBytes(w http.ResponseWriter, status int, mediaType string, content []byte) {
	hd := w.Header()
	hd.Set("Content-Type", mediaType)
	hd.Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(status)
	_, _ = w.Write(content) // nobody is left to tell
}

// pathTo is the path of something under the API, its parts escaped. Even . and
// .. are names here, which every client would resolve.
func pathTo(parts ...string) string {
	var path strings.Builder
	path.WriteString(apiPrefix)
	for _, part := range parts {
		escaped := url.PathEscape(part)
		if part == "." || part == ".." {
			escaped = strings.ReplaceAll(part, ".", "%2E")
		}
		path.WriteString("/" + escaped)
	}
	return path.String()
}

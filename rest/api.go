package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// apiPrefix is where the API lives.
const apiPrefix = "/api/v1"

// bodyTimeout is how long the body of a JSON operation may take to arrive.
const bodyTimeout = 10 * time.Second

// body is the output of an operation with nothing but a body.
type body[T any] struct {
	Body T
}

// created is the output of a POST.
type created[T any] struct {
	Location string `header:"Location" doc:"Path of what was made"`
	Body     T
}

// nothing is the input or output of operations without any.
type nothing struct{}

// routes fills the mux: the JSON operations, the raw and the plain handlers, the
// pages and the document that describes them.
func (h *Handler) routes() error {
	h.mux = slashMux{http.NewServeMux()}
	api := humago.New(h.mux, h.apiConfig())
	h.registerNode(api)
	h.registerServices(api)
	h.registerDiscovery(api)
	h.registerWatch()
	h.registerListeners(api)
	h.registerRecords(api)
	h.registerValues(api)
	h.registerDIDs(api)
	h.registerIdentifiers()
	h.registerBlobs(api)
	h.registerEvents()
	h.sockets = h.registerChannels()
	if h.opts.LogLevel != nil {
		h.registerLogLevel(api)
	}
	h.mux.HandleFunc("GET /healthz", h.healthz)
	h.mux.HandleFunc("GET /readyz", h.readyz)
	h.mux.HandleFunc("POST /session", h.openSession)
	h.mux.HandleFunc("DELETE /session", h.endSession)
	if h.opts.Monitoring {
		h.mux.Handle("GET /metrics", h.metrics())
	}
	h.registerPages()
	return h.registerDocument(api)
}

// register adds one operation. Errors that it returns become problems, its time
// is bounded, and its body is read before huma sees the request.
func register[I, O any](h *Handler, api huma.API, op huma.Operation, do func(context.Context, *I) (*O, error)) {
	op.Path = apiPrefix + op.Path
	op.Errors = append(op.Errors, http.StatusForbidden)
	if h.tokens.required() {
		op.Errors = append(op.Errors, http.StatusUnauthorized)
	}
	if op.Method == http.MethodPost || op.Method == http.MethodPut {
		op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	slices.Sort(op.Errors)
	op.RejectUnknownQueryParameters = true
	// readBody has seen to both. A read deadline left behind by huma would look
	// like a client that went away while a slow operation runs.
	op.BodyReadTimeout, op.MaxBodyBytes = -1, -1
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, operationTimeout)
		defer cancel()
		out, err := do(ctx, in)
		if err != nil {
			return nil, h.problemOf(err)
		}
		return out, nil
	})
}

// readBody reads a body into memory, at most limit bytes of it.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, *Problem) {
	tooLarge := newProblem(http.StatusRequestEntityTooLarge, "too-large", fmt.Sprintf("the body may have %d bytes", limit))
	if r.ContentLength > limit {
		leaveBody(w)
		return nil, tooLarge
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // not every server has them
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		_ = rc.SetReadDeadline(time.Time{})
		return content, nil
	}
	leaveBody(w)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	return nil, bodyProblem(err)
}

// leaveBody ends the connection with the answer and keeps the server from
// reading what is left of a body, as it does otherwise, 256 KiB of it and for as
// long as the client likes.
func leaveBody(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
}

// bodyProblem is the answer to a body that did not arrive whole.
func bodyProblem(err error) *Problem {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return newProblem(http.StatusRequestTimeout, "timeout", "the body did not arrive in time")
	}
	return newProblem(http.StatusBadRequest, "malformed", "the body ended early")
}

// serveOwn serves what is not a service of the mesh.
func (h *Handler) serveOwn(w http.ResponseWriter, r *http.Request) {
	setOwnHeaders(w.Header())
	if r.Method == http.MethodOptions && r.RequestURI == "*" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	asked := r
	r = aliasSlash(r)
	found, pattern := h.mux.Handler(r)
	if pattern == "" {
		h.noRoute(w, asked, found)
		return
	}
	var p *Problem
	if raw, ok := h.raw[pattern]; ok {
		p = raw.checkQuery(r)
		if p == nil {
			if p = raw.checkBody(r); p != nil {
				leaveBody(w)
			}
		}
	} else if r.URL.Path != "/session" {
		p = h.bufferBody(w, r)
	}
	if p != nil {
		writeProblem(w, p)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// bufferBody gives r, the request of a JSON operation, a copy of its body.
func (h *Handler) bufferBody(w http.ResponseWriter, r *http.Request) *Problem {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	content, p := readBody(w, r, h.opts.MaxBody)
	if p != nil {
		return p
	}
	r.Body = io.NopCloser(bytes.NewReader(content))
	assumeJSON(r.Header)
	return nil
}

// assumeJSON takes the types that curl -d and fetch give a body on their own as
// what it is meant to be. No other site gains by it: the guard has turned
// foreign origins away.
func assumeJSON(header http.Header) {
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if mediaType == "application/x-www-form-urlencoded" || mediaType == "text/plain" {
		header.Set("Content-Type", "application/json")
	}
}

// noRoute turns the mux's plain 404 or 405 into a problem.
func (h *Handler) noRoute(w http.ResponseWriter, r *http.Request, found http.Handler) {
	said := &answer{header: http.Header{}}
	found.ServeHTTP(said, r)
	if allow := said.header.Get("Allow"); said.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allow)
		writeProblem(w, newProblem(said.status, "method", fmt.Sprintf("%q is not possible here, only %s", r.Method, allow)))
		return
	}
	writeProblem(w, newProblem(http.StatusNotFound, "not-found", fmt.Sprintf("there is no %q", r.URL.Path)))
}

// answer keeps status and header of a response and drops its body.
type answer struct {
	status int
	header http.Header
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return len(b), nil }

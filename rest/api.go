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

// routes fills the mux: the JSON operations, the plain handlers, the pages and
// the document that describes them.
func (h *Handler) routes() error {
	h.mux = http.NewServeMux()
	api := humago.New(h.mux, h.apiConfig())
	h.registerNode(api)
	h.registerServices(api)
	h.registerDiscovery(api)
	h.registerListeners(api)
	if h.opts.LogLevel != nil {
		h.registerLogLevel(api)
	}
	h.mux.HandleFunc("GET "+apiPrefix+"/discovery/{name}/watch", h.watch)
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

// readBody reads the body of a JSON operation into memory, at most MaxBody
// bytes of it, and gives r that copy.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) *Problem {
	tooLarge := newProblem(http.StatusRequestEntityTooLarge, "too-large",
		fmt.Sprintf("the body may have %d bytes", h.opts.MaxBody))
	if r.ContentLength > h.opts.MaxBody {
		w.Header().Set("Connection", "close") // what follows is not worth reading
		return tooLarge
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // not every server has them
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.opts.MaxBody))
	_ = rc.SetReadDeadline(time.Time{})
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge
	}
	if err != nil {
		w.Header().Set("Connection", "close")
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return newProblem(http.StatusRequestTimeout, "timeout", "the body did not arrive in time")
		}
		return newProblem(http.StatusBadRequest, "malformed", "the body ended early")
	}
	r.Body = io.NopCloser(bytes.NewReader(content))
	return nil
}

// serveOwn serves what is not a service of the mesh.
func (h *Handler) serveOwn(w http.ResponseWriter, r *http.Request) {
	setOwnHeaders(w.Header())
	if r.Method == http.MethodOptions && r.RequestURI == "*" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	found, pattern := h.mux.Handler(r)
	if pattern == "" {
		h.noRoute(w, r, found)
		return
	}
	if r.Body != nil && r.Body != http.NoBody && r.URL.Path != "/session" {
		if p := h.readBody(w, r); p != nil {
			writeProblem(w, p)
			return
		}
		assumeJSON(r.Header)
	}
	h.mux.ServeHTTP(w, r)
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

package rest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	mcc "github.com/staex-mcc/mcc"
)

// problemType is the media type of RFC 9457.
const problemType = "application/problem+json"

// Problem is how every error is answered (RFC 9457).
type Problem struct {
	// Type is urn:mcc:error:<code>; the codes are stable.
	Type   string `json:"type" doc:"Stable name of the kind of error" example:"urn:mcc:error:not-found"`
	Title  string `json:"title" doc:"The kind of error in words" example:"Not Found"`
	Status int    `json:"status" doc:"The HTTP status code" example:"404"`
	Detail string `json:"detail,omitempty" doc:"What went wrong this time" example:"service \"files\": not found"`
	// Errors point at the fields that are wrong, if any.
	Errors []FieldError `json:"errors,omitempty" nullable:"false" doc:"The fields that are wrong"`
	// Reasons say why the node is not ready.
	Reasons []string `json:"reasons,omitempty" nullable:"false" doc:"Why the node is not ready (of /readyz)"`
	// Ready is set by /readyz only.
	Ready *bool `json:"ready,omitempty" doc:"Always false (of /readyz)"`
}

// FieldError is one wrong field of a request.
type FieldError struct {
	Location string `json:"location,omitempty" doc:"Where: path, query or body, and the field" example:"body.name"`
	Message  string `json:"message" doc:"What is wrong with it" example:"expected string"`
}

// Error is the detail, or the title without one.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

// GetStatus makes a Problem an error that huma answers as it is.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType makes huma announce it by its own media type.
func (p *Problem) ContentType(string) string { return problemType }

// problemURN begins every type.
const problemURN = "urn:mcc:error:"

// code is the last part of the type.
func (p *Problem) code() string { return strings.TrimPrefix(p.Type, problemURN) }

// newProblem makes a Problem; code is the last part of its type.
func newProblem(status int, code, detail string) *Problem {
	return &Problem{Type: problemURN + code, Title: http.StatusText(status), Status: status, Detail: detail}
}

// conditions map errors of the node to answers; the first match wins.
var conditions = []struct {
	err    error
	status int
	code   string
}{
	// Before others that these may wrap.
	{mcc.ErrNoSpace, http.StatusInsufficientStorage, codeFull},
	{syscall.ENOSPC, http.StatusInsufficientStorage, codeFull},
	{syscall.EDQUOT, http.StatusInsufficientStorage, codeFull},
	{mcc.ErrDamaged, http.StatusInternalServerError, "damaged"},
	{mcc.ErrDeactivated, http.StatusGone, "deactivated"},
	{mcc.ErrUnsupported, http.StatusNotImplemented, "unsupported"},
	{mcc.ErrTooLarge, http.StatusRequestEntityTooLarge, "too-large"},
	{mcc.ErrInvalid, http.StatusUnprocessableEntity, "invalid"},
	{mcc.ErrNoProvider, http.StatusServiceUnavailable, "no-provider"},
	// Before denials and deadlines: of several providers that failed, each in
	// its own way, the sum is what counts.
	{mcc.ErrUnreachable, http.StatusBadGateway, "unreachable"},
	{mcc.ErrNotFound, http.StatusNotFound, "not-found"},
	{mcc.ErrDenied, http.StatusForbidden, "denied"},
	{mcc.ErrExists, http.StatusConflict, "exists"},
	{mcc.ErrAmbiguous, http.StatusConflict, "ambiguous"},
	{mcc.ErrInUse, http.StatusConflict, "in-use"},
	{mcc.ErrConflict, http.StatusConflict, "conflict"}, // 412 where the request had a precondition
	{mcc.ErrBusy, http.StatusServiceUnavailable, "busy"},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "deadline"},
	{os.ErrDeadlineExceeded, http.StatusGatewayTimeout, "deadline"},
	{net.ErrClosed, http.StatusServiceUnavailable, "closed"}, // mcc.ErrClosed is one
	{context.Canceled, http.StatusServiceUnavailable, "canceled"},
}

// codeFull is a data folder without room.
const codeFull = "full"

// problemOf turns an error into its answer. Errors without a known condition
// are ours, not the caller's: they are logged and their text is kept back. So is
// that of a full disk, which names files.
func (h *Handler) problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if p := conditionOf(err); p != nil {
		if p.code() == codeFull {
			h.log.Warn("request failed for want of room", zap.Error(err))
		}
		return p
	}
	h.log.Error("request failed", zap.Error(err))
	return newProblem(http.StatusInternalServerError, "internal", "internal error; the node's log says more")
}

// conditionOf is the answer to an error with a known condition, else nil.
func conditionOf(err error) *Problem {
	for _, c := range conditions {
		if errors.Is(err, c.err) {
			return newProblem(c.status, c.code, detail(err, c.code))
		}
	}
	return nil
}

// detail is the text of an error with a known condition.
func detail(err error, code string) string {
	if code == codeFull {
		return mcc.ErrNoSpace.Error()
	}
	return sayOnce(err.Error())
}

// sayOnce takes the name of a condition off the end of a text that has it before
// already, as when two rooms have each wrapped their own.
func sayOnce(text string) string {
	for _, c := range conditions {
		name := c.err.Error()
		rest, ends := strings.CutSuffix(text, ": "+name)
		if ends && (strings.HasPrefix(rest, name+": ") || strings.Contains(rest, ": "+name+": ")) {
			return rest
		}
	}
	return text
}

// fail answers a plain handler's request with err.
func (h *Handler) fail(w http.ResponseWriter, err error) { writeProblem(w, h.problemOf(err)) }

// writeProblem answers with p. A response that has begun stays as it is.
func writeProblem(w http.ResponseWriter, p *Problem) {
	body, err := json.Marshal(p)
	if err != nil { // BUG: plain strings and numbers always marshal
		panic("rest: marshal problem: " + err.Error())
	}
	hd := w.Header()
	hd.Set("Content-Type", problemType)
	hd.Set("Content-Length", strconv.Itoa(len(body)+1))
	hd.Set("Cache-Control", "no-store")
	hd.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // nobody is left to tell
}

// statusCodes name the conditions that huma finds by itself.
var statusCodes = map[int]string{
	http.StatusBadRequest:            "malformed",
	http.StatusNotFound:              "not-found",
	http.StatusMethodNotAllowed:      "method",
	http.StatusNotAcceptable:         "not-acceptable",
	http.StatusRequestTimeout:        "timeout",
	http.StatusRequestEntityTooLarge: "too-large",
	http.StatusUnsupportedMediaType:  "media-type",
	http.StatusUnprocessableEntity:   "invalid",
	http.StatusInternalServerError:   "internal",
}

// problemTransformer gives huma's own errors our shape. A transformer belongs to
// one API, where replacing huma.NewError would change every other user of huma
// in the process.
func problemTransformer(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	code, ok := statusCodes[m.Status]
	if !ok {
		code = "http-" + strconv.Itoa(m.Status)
	}
	p := newProblem(m.Status, code, m.Detail)
	for _, e := range m.Errors {
		// The value is left out: it is the caller's own and may be a secret.
		p.Errors = append(p.Errors, FieldError{Location: e.Location, Message: e.Message})
	}
	switch m.Status {
	case http.StatusUnsupportedMediaType:
		p.Detail = "send Content-Type: application/json"
	case http.StatusBadRequest:
		if len(p.Errors) > 0 {
			p.Detail = "the body is not JSON"
		}
	}
	return p, nil
}

// jsonFormat encodes without HTML escapes and ignores a client that has gone,
// for which huma would panic.
var jsonFormat = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		body, err := json.Marshal(v)
		if err != nil {
			return err
		}
		_, _ = w.Write(append(body, '\n'))
		return nil
	},
	Unmarshal: json.Unmarshal,
}

package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/rest/internal/wsconn"
)

// maxProblem bounds what is read of a refusal.
const maxProblem = 64 << 10

// problem is the API's error answer (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`
}

// conditions are what the codes of problems stand for, for errors.Is.
var conditions = map[string]error{
	"invalid":      mcc.ErrInvalid,
	"malformed":    mcc.ErrInvalid,
	"media-type":   mcc.ErrInvalid,
	"not-found":    mcc.ErrNotFound,
	"no-provider":  mcc.ErrNoProvider,
	"unreachable":  mcc.ErrUnreachable,
	"denied":       mcc.ErrDenied,
	"unauthorized": mcc.ErrDenied,
	"host":         mcc.ErrDenied,
	"origin":       mcc.ErrDenied,
	"exists":       mcc.ErrExists,
	"ambiguous":    mcc.ErrAmbiguous,
	"conflict":     mcc.ErrConflict,
	"too-large":    mcc.ErrTooLarge,
	"unsupported":  mcc.ErrUnsupported,
	"upgrade":      mcc.ErrUnsupported,
	"deactivated":  mcc.ErrDeactivated,
	"damaged":      mcc.ErrDamaged,
	"busy":         mcc.ErrBusy,
	"too-many":     mcc.ErrBusy,
	"full":         mcc.ErrNoSpace,
	"in-use":       mcc.ErrInUse,
	"closed":       mcc.ErrClosed,
	"canceled":     mcc.ErrClosed, // by the node, which is closing
	"deadline":     context.DeadlineExceeded,
	"timeout":      context.DeadlineExceeded,
}

// Error is a refusal of the node. errors.Is finds the condition of the mcc
// package that it stands for.
type Error struct {
	// Status is that of HTTP; zero if the refusal came in a stream of events.
	Status int
	// Code is the last part of the problem's type, such as "not-found"; empty
	// if the answer was no problem, as that of a proxy.
	Code string
	// Text is what the node says.
	Text string
}

// Error is the node's own text.
func (e *Error) Error() string { return e.Text }

// Unwrap is the condition of the mcc package, or nil.
func (e *Error) Unwrap() error { return conditions[e.Code] }

// readProblem makes an error of an answer that is no success.
func readProblem(status int, body []byte) error {
	e := &Error{Status: status, Text: fmt.Sprintf("the node answered %d %s", status, http.StatusText(status))}
	var p problem
	if json.Unmarshal(body, &p) != nil {
		return e
	}
	e.Code = strings.TrimPrefix(p.Type, "urn:mcc:error:")
	switch {
	case p.Detail != "":
		e.Text = p.Detail
	case p.Title != "":
		e.Text = p.Title
	}
	for _, f := range p.Errors {
		e.Text += fmt.Sprintf("; %s: %s", f.Location, f.Message)
	}
	return e
}

// dialError is why no WebSocket came about.
func (c *Client) dialError(ctx context.Context, err error) error {
	if refused, ok := errors.AsType[*wsconn.RefusedError](err); ok {
		return readProblem(refused.Status, refused.Body)
	}
	return c.lost(ctx, err)
}

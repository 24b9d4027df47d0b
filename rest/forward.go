package rest

import (
	"bufio"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/forward"
)

// newGateway makes the entrance to the services of the mesh.
func (h *Handler) newGateway() *forward.Gateway {
	return forward.NewGateway(forward.GatewayConfig{
		Dial: h.node.DialService, Logger: h.log.Named("forward"), Classify: classify,
	})
}

// classify is how an error on the way to a service is answered; zero leaves it
// to the gateway.
func classify(err error) (status int, code string) {
	switch {
	case errors.Is(err, forward.ErrInvalid):
		return http.StatusUnprocessableEntity, "invalid"
	case errors.Is(err, forward.ErrBusy), errors.Is(err, mcc.ErrBusy):
		return http.StatusServiceUnavailable, "busy"
	}
	if p := conditionOf(err); p != nil {
		return p.Status, p.code()
	}
	return 0, ""
}

// forward hands a request to the service it asks for.
func (h *Handler) forward(w http.ResponseWriter, r *http.Request, to target, cross bool) {
	if !isServiceName(to.service) {
		writeProblem(w, newProblem(http.StatusUnprocessableEntity, "invalid", fmt.Sprintf("%q is no service name", clip(to.service))))
		return
	}
	choice := forward.Choice{
		Policy: r.Header.Get(forward.HeaderPolicy),
		Node:   r.Header.Get(forward.HeaderNode),
		Tag:    r.Header.Get(forward.HeaderTag),
	}
	if err := forward.CheckPolicy(choice.Policy); err != nil {
		writeProblem(w, newProblem(http.StatusUnprocessableEntity, "invalid", forward.HeaderPolicy+": "+err.Error()))
		return
	}
	// Not Clone: the server fills in the trailers of r itself, at the end of its
	// body.
	out := r.WithContext(r.Context())
	out.Header = r.Header.Clone()
	h.tokens.strip(out.Header)
	sealed := &sealedWriter{ResponseWriter: w, seal: h.sealFor(r, to, cross)}
	if r.Method == http.MethodConnect {
		h.gateway.Connect(sealed, out, to.service, choice)
		return
	}
	h.gateway.ServeService(sealed, out, forward.Call{
		Service: to.service, RawPath: to.rawPath, Prefix: to.prefix, Choice: choice,
	})
}

// sandbox keeps what a service answers by path from acting as a page of this
// node, whose origin it shares.
const sandbox = "sandbox"

// sealFor returns what is done to the header of a service's answer just before
// it leaves, when the service can no longer undo it.
func (h *Handler) sealFor(r *http.Request, to target, cross bool) func(http.Header) {
	return func(hd http.Header) {
		if to.prefix != "" {
			if policies := hd["Content-Security-Policy"]; !slices.Contains(policies, sandbox) {
				hd["Content-Security-Policy"] = append(policies, sandbox)
			}
			// Ours, on this origin.
			hd.Del("Clear-Site-Data")
			hd["Set-Cookie"] = slices.DeleteFunc(hd["Set-Cookie"], isSessionCookie)
			if len(hd["Set-Cookie"]) == 0 {
				delete(hd, "Set-Cookie")
			}
		}
		if h.guard.configured() && !slices.Contains(hd["Vary"], "Origin") {
			hd.Add("Vary", "Origin")
		}
		if mediaType, _, _ := mime.ParseMediaType(hd.Get("Content-Type")); mediaType == eventStreamType {
			hd.Set("X-Accel-Buffering", "no")
		}
		if cross {
			h.guard.allowCross(hd, r.Header.Get("Origin"))
		}
	}
}

func isSessionCookie(line string) bool {
	name, _, _ := strings.Cut(line, "=")
	return strings.TrimSpace(name) == sessionCookie
}

// sealedWriter calls seal before each header that is sent: 1xx and the final
// one.
type sealedWriter struct {
	http.ResponseWriter
	seal func(http.Header)
	done bool
}

// WriteHeader implements http.ResponseWriter.
func (s *sealedWriter) WriteHeader(status int) {
	if !s.done {
		s.seal(s.Header())
		s.done = status >= 200
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *sealedWriter) Write(b []byte) (int, error) {
	if !s.done {
		s.WriteHeader(http.StatusOK)
	}
	return s.ResponseWriter.Write(b)
}

// FlushError is what http.ResponseController looks for.
func (s *sealedWriter) FlushError() error {
	if !s.done {
		s.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(s.ResponseWriter).Flush()
}

// Flush implements http.Flusher.
func (s *sealedWriter) Flush() { _ = s.FlushError() }

// Hijack implements http.Hijacker, for upgrades and CONNECT. Header is sealed
// first, since whoever hijacks may send it.
func (s *sealedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !s.done {
		s.seal(s.Header())
	}
	return http.NewResponseController(s.ResponseWriter).Hijack()
}

// Unwrap serves the other abilities of http.ResponseController.
func (s *sealedWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

package rest

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/staex-mcc/mcc/forward"
)

// registerStreams adds the way into services for clients that reach this node
// through proxies without CONNECT, and for browsers.
func (s *sockets) registerStreams() {
	s.h.handleRaw(rawRoute{
		op: huma.Operation{
			OperationID: "openStream", Method: http.MethodGet, Path: apiPrefix + "/streams/{service}", Tags: []string{"forward"},
			Summary: "A raw stream to a service", Description: "Dials a provider of the service. " + socketDescription,
			Parameters: []*huma.Param{
				textParam("service", "path", "The service, with or without a consortium", "files"),
				textParam(forward.HeaderPolicy, "header", "Chooses among providers: nearest, random, round-robin, weighted or sticky", "nearest"),
				textParam(forward.HeaderNode, "header", "Only this provider, by id or label", ""),
				textParam(forward.HeaderTag, "header", "Only providers with this tag", ""),
			},
		},
		answers: s.answers(http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity,
			http.StatusBadGateway, http.StatusGatewayTimeout),
		serve: s.stream,
	})
}

// socketDescription tells how a WebSocket carries a stream.
const socketDescription = "Errors are answered before the upgrade. Binary messages are bytes, their boundaries mean nothing; an empty " +
	"message ends one direction, the close code 1000 both, and 1011 is a reset."

// answers documents an upgrade and the problems before it.
func (s *sockets) answers(problems ...int) func(*huma.OpenAPI) map[string]*huma.Response {
	return func(doc *huma.OpenAPI) map[string]*huma.Response {
		problems = append(problems, http.StatusUpgradeRequired, http.StatusServiceUnavailable)
		return s.h.responses(doc, http.StatusSwitchingProtocols, "A WebSocket", "", nil, problems...)
	}
}

// stream serves GET /api/v1/streams/{service}.
func (s *sockets) stream(w http.ResponseWriter, r *http.Request) {
	if !s.upgrade(w, r) {
		return
	}
	defer s.leave()
	choice := forward.Choice{
		Policy: r.Header.Get(forward.HeaderPolicy),
		Node:   r.Header.Get(forward.HeaderNode),
		Tag:    r.Header.Get(forward.HeaderTag),
		Key:    clientOf(r),
	}
	if err := forward.CheckPolicy(choice.Policy); err != nil {
		writeProblem(w, newProblem(http.StatusUnprocessableEntity, "invalid", forward.HeaderPolicy+": "+err.Error()))
		return
	}
	ctx, cancel := s.dialContext(r)
	defer cancel()
	conn, err := s.h.node.DialService(ctx, r.PathValue("service"), choice)
	if err != nil {
		s.h.fail(w, err)
		return
	}
	s.bridge(w, r, conn)
}

// clientOf is who a sticky choice sticks to: the client's IP address, as a proxy
// on this machine tells it.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	trail := strings.Join(r.Header["X-Forwarded-For"], ",")
	if ip, err := netip.ParseAddr(host); trail == "" || err == nil && !ip.Unmap().IsLoopback() {
		return host
	}
	return strings.TrimSpace(trail[strings.LastIndexByte(trail, ',')+1:])
}

package rest

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// registerChannels adds the routes whose WebSockets carry streams of the mesh.
// The Handler drains and closes what is returned, with itself.
func (h *Handler) registerChannels() *sockets {
	s := newSockets(h)
	s.registerStreams()
	s.registerArrivals()
	h.handleRaw(rawRoute{
		op: huma.Operation{
			OperationID: "openChannel", Method: http.MethodGet, Path: apiPrefix + "/channels/{node}/{protocol}", Tags: []string{"channels"},
			Summary: "A channel to a program at another node", Description: "Dials what listens on the protocol there. " + socketDescription,
			Parameters: []*huma.Param{
				textParam("node", "path", "The node, by id, did:key or label", "gate"),
				textParam("protocol", "path", "What the program listens on, 1 to 200 bytes, escaped", "chat"),
			},
		},
		answers: s.answers(http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity,
			http.StatusBadGateway, http.StatusGatewayTimeout),
		serve: s.channel,
	})
	return s
}

// channel serves GET /api/v1/channels/{node}/{protocol}.
func (s *sockets) channel(w http.ResponseWriter, r *http.Request) {
	if !s.upgrade(w, r) {
		return
	}
	defer s.leave()
	ctx, cancel := s.dialContext(r)
	defer cancel()
	conn, err := s.h.node.DialNode(ctx, r.PathValue("node"), r.PathValue("protocol"))
	if err != nil {
		s.h.fail(w, err)
		return
	}
	s.bridge(w, r, conn)
}

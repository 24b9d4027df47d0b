package rest

import (
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	mcc "github.com/staex-mcc/mcc"
)

func (h *Handler) registerWatch() {
	h.handleRaw(rawRoute{
		op: huma.Operation{
			OperationID: "watchDiscovery", Method: http.MethodGet, Path: apiPrefix + "/discovery/{name}/watch", Tags: []string{"discovery"},
			Summary: "Watch who offers a service",
			Description: "Server-sent events added, updated and removed, with a Provider as data, starting with an added for each " +
				"that is there. A client that presents Last-Event-ID goes on from there; when that is too long ago, a reset event " +
				"voids what it knew and everything follows anew. A closed event carries the Problem that ended the watch.",
			Parameters: []*huma.Param{
				textParam("name", "path", "The service, with or without a consortium", "files"),
				textParam("Last-Event-ID", "header", "Id of the last event received", ""),
			},
		},
		answers: func(doc *huma.OpenAPI) map[string]*huma.Response {
			return h.responses(doc, http.StatusOK, "Events", eventStreamType, &huma.Schema{Type: "string"},
				http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
		},
		serve: h.watch,
	})
}

// watch serves GET /api/v1/discovery/{name}/watch as server-sent events (HTML
// standard 9.2): added, updated and removed with a Provider each. Every event
// has an id; a client that sends the last one as Last-Event-ID goes on from
// there. When that is too long ago, a reset event says that everything known so
// far is void, and an added for each provider follows.
func (h *Handler) watch(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if err := mcc.CheckServiceName(name); err != nil {
		h.fail(w, err)
		return
	}
	f, err := h.watches.join(name)
	if err != nil {
		h.fail(w, err)
		return
	}
	defer h.watches.leave(f)
	s := &feedStream{openEventStream(w), f}
	if r.Method == http.MethodHead {
		return
	}
	defer s.close()
	h.stream(s, r)
}

// stream writes until the client goes, the feed ends or the handler closes.
func (h *Handler) stream(s *feedStream, r *http.Request) {
	last := r.Header.Get("Last-Event-ID")
	seq, known := s.feed.position(last)
	resume := last != ""
	ticker := time.NewTicker(keepAlive)
	defer ticker.Stop()
	s.begin("watching")
	for {
		b := s.feed.since(seq, known)
		if b.whole && resume {
			h.watches.resets.Add(1)
		}
		s.add(b, resume)
		seq, known, resume = b.seq, true, true
		if b.ended != nil {
			s.event("closed", "", h.problemOf(b.ended))
		}
		if err := s.flush(); err != nil || b.ended != nil {
			return
		}
		select {
		case <-b.more:
		case <-ticker.C:
			s.keepAlive()
		case <-r.Context().Done():
			return
		}
	}
}

// feedStream tells a client what a feed has.
type feedStream struct {
	*eventStream
	feed *feed
}

// add appends a batch. A whole one voids what the reader knew, if anything.
func (s *feedStream) add(b batch, reader bool) {
	if b.whole && reader {
		s.event("reset", s.feed.eventID(b.seq, len(b.changes) > 0), struct{}{})
	}
	for i, c := range b.changes {
		id := s.feed.eventID(b.seq-uint64(len(b.changes)-1-i), false)
		if b.whole {
			id = s.feed.eventID(b.seq, i < len(b.changes)-1)
		}
		s.change(id, c)
	}
}

func (s *feedStream) change(id string, c mcc.Change) {
	s.event(string(c.Kind), id, providerJSON(c.Provider))
}

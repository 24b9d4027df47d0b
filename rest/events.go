package rest

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	mcc "github.com/staex-mcc/mcc"
)

// Event is the data of what GET /api/v1/events sends.
type Event struct {
	Seq     uint64    `json:"seq" doc:"Counts the node's events from 1" example:"7"`
	Time    time.Time `json:"time" doc:"When it happened, UTC" example:"2026-01-02T15:04:05Z"`
	Kind    string    `json:"kind" doc:"What it is about" example:"service-registered"`
	Subject string    `json:"subject" doc:"What it happened to" example:"files"`
	Detail  string    `json:"detail" doc:"More in words" example:""`
}

// eventGap is the data of a gap: events after After, and before Before unless
// that is zero, are lost to this client.
type eventGap struct {
	After  uint64 `json:"after"`
	Before uint64 `json:"before,omitempty"`
}

func (h *Handler) registerEvents() {
	h.handleRaw(rawRoute{
		op: huma.Operation{
			OperationID: "watchEvents", Method: http.MethodGet, Path: apiPrefix + "/events", Tags: []string{"node"},
			Summary: "What happens on this node",
			Description: "Server-sent events, named by their kind, with an Event as data, from now on. Events are not kept: a client " +
				"that presents Last-Event-ID, or that does not read fast enough, is told of a gap by an event gap with after " +
				"and before. A closed event carries the Problem that ended the stream.",
			Parameters: []*huma.Param{textParam("Last-Event-ID", "header", "Id of the last event received", "")},
		},
		answers: func(doc *huma.OpenAPI) map[string]*huma.Response {
			return h.responses(doc, http.StatusOK, "Events", eventStreamType, &huma.Schema{Type: "string"}, http.StatusServiceUnavailable)
		},
		serve: h.events,
	})
}

func (h *Handler) events(w http.ResponseWriter, r *http.Request) {
	ctx, leave, err := h.watches.admit(r.Context())
	if err != nil {
		h.fail(w, err)
		return
	}
	s := openEventStream(w)
	defer s.close()
	if r.Method == http.MethodHead {
		leave()
		return
	}
	news := make(chan mcc.Event)
	var running sync.WaitGroup
	running.Go(func() { h.follow(ctx, news) })
	defer running.Wait()
	defer leave() // ends follow
	s.begin("events")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		s.event("gap", "", gapAfter(last))
	}
	if h.streamEvents(ctx, s, news) && r.Context().Err() == nil {
		s.event("closed", "", h.problemOf(mcc.ErrClosed))
		_ = s.flush() // nobody is left to tell
	}
}

// follow passes the node's events on until ctx ends or the node closes. A
// reader that is slow makes the node drop events, and their numbers tell.
func (h *Handler) follow(ctx context.Context, news chan<- mcc.Event) {
	defer close(news)
	for e := range h.node.Events(ctx) {
		select {
		case news <- e:
		case <-ctx.Done():
			return
		}
	}
}

// streamEvents writes until the client goes, or the node or the handler closes,
// which it reports.
func (h *Handler) streamEvents(ctx context.Context, s *eventStream, news <-chan mcc.Event) (ended bool) {
	ticker := time.NewTicker(keepAlive)
	defer ticker.Stop()
	var last uint64 // zero before the first event
	for {
		if err := s.flush(); err != nil {
			return false
		}
		select {
		case e, ok := <-news:
			if !ok {
				return true
			}
			if last > 0 && e.Seq != last+1 {
				s.event("gap", "", eventGap{After: last, Before: e.Seq})
			}
			last = e.Seq
			s.event(string(e.Kind), strconv.FormatUint(e.Seq, 10), eventJSON(e))
		case <-ticker.C:
			s.keepAlive()
		case <-ctx.Done():
			return true
		}
	}
}

// gapAfter is the gap of a client that comes back. Whether anything happened
// meanwhile, nobody knows.
func gapAfter(last string) eventGap {
	seq, err := strconv.ParseUint(last, 10, 64)
	if err != nil {
		seq = 0 // not ours: all is lost
	}
	return eventGap{After: seq}
}

func eventJSON(e mcc.Event) Event {
	return Event{
		Seq: e.Seq, Time: e.Time.UTC().Truncate(time.Millisecond), Kind: string(e.Kind), Subject: e.Subject, Detail: e.Detail,
	}
}

package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	mcc "github.com/staex-mcc/mcc"
)

const (
	// keepAlive is how often a silent watch sends a comment, so that proxies
	// keep it open and a client that has gone is noticed.
	keepAlive = 15 * time.Second
	// watchWrite bounds one write to a client that does not read.
	watchWrite = 30 * time.Second
	// eventStreamType is the media type of server-sent events.
	eventStreamType = "text/event-stream"
)

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
	hd := w.Header()
	hd.Set("Content-Type", eventStreamType)
	hd.Set("Cache-Control", "no-store")
	hd.Set("X-Accel-Buffering", "no") // nginx would hold events back
	if r.Method == http.MethodHead {
		return
	}
	s := &eventStream{w: w, rc: http.NewResponseController(w), feed: f}
	defer s.rc.SetWriteDeadline(time.Time{})
	h.stream(s, r)
}

// stream writes until the client goes, the feed ends or the handler closes.
func (h *Handler) stream(s *eventStream, r *http.Request) {
	last := r.Header.Get("Last-Event-ID")
	seq, known := s.feed.position(last)
	resume := last != ""
	ticker := time.NewTicker(keepAlive)
	defer ticker.Stop()
	s.buf.WriteString(": watching\nretry: 1000\n\n")
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
			s.buf.WriteString(": keep-alive\n\n")
		case <-r.Context().Done():
			return
		}
	}
}

// eventStream writes events in batches.
type eventStream struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	feed *feed
	buf  bytes.Buffer
}

// add appends a batch. A whole one voids what the reader knew, if anything.
func (s *eventStream) add(b batch, reader bool) {
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

func (s *eventStream) change(id string, c mcc.Change) {
	s.event(string(c.Kind), id, providerJSON(c.Provider))
}

// event appends one event; JSON has no line breaks.
func (s *eventStream) event(kind, id string, data any) {
	text, err := json.Marshal(data)
	if err != nil { // BUG: our own types always marshal
		panic("rest: marshal event: " + err.Error())
	}
	if id != "" {
		fmt.Fprintf(&s.buf, "id: %s\n", id)
	}
	fmt.Fprintf(&s.buf, "event: %s\ndata: %s\n\n", kind, text)
}

func (s *eventStream) flush() error {
	if s.buf.Len() > 0 {
		_ = s.rc.SetWriteDeadline(time.Now().Add(watchWrite)) // not every server has them
		if _, err := s.w.Write(s.buf.Bytes()); err != nil {
			return err
		}
		s.buf.Reset()
	}
	return s.rc.Flush()
}

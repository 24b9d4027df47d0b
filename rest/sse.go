package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	// keepAlive is how often a silent stream sends a comment, so that proxies
	// keep it open and a client that has gone is noticed.
	keepAlive = 15 * time.Second
	// eventWrite bounds one write to a client that does not read.
	eventWrite = 30 * time.Second
	// eventStreamType is the media type of server-sent events.
	eventStreamType = "text/event-stream"
)

// eventStream writes server-sent events (HTML standard 9.2) in batches.
type eventStream struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	buf bytes.Buffer
}

// openEventStream prepares the header. The caller closes the stream.
func openEventStream(w http.ResponseWriter) *eventStream {
	hd := w.Header()
	hd.Set("Content-Type", eventStreamType)
	hd.Set("Cache-Control", "no-store")
	hd.Set("X-Accel-Buffering", "no") // nginx would hold events back
	return &eventStream{w: w, rc: http.NewResponseController(w)}
}

// begin greets the client and tells it to come back soon after a break.
func (s *eventStream) begin(greeting string) {
	fmt.Fprintf(&s.buf, ": %s\nretry: 1000\n\n", greeting)
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

func (s *eventStream) keepAlive() { s.buf.WriteString(": keep-alive\n\n") }

func (s *eventStream) flush() error {
	if s.buf.Len() > 0 {
		_ = s.rc.SetWriteDeadline(time.Now().Add(eventWrite)) // not every server has them
		if _, err := s.w.Write(s.buf.Bytes()); err != nil {
			return err
		}
		s.buf.Reset()
	}
	return s.rc.Flush()
}

// close gives the connection back without a deadline.
func (s *eventStream) close() { _ = s.rc.SetWriteDeadline(time.Time{}) }

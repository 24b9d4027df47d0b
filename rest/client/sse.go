package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	mcc "github.com/staex-mcc/mcc"
)

const (
	// maxEvent bounds one event of a stream in bytes.
	maxEvent = 256 << 10
	// silence is how long a stream may say nothing; the node says something
	// every 15 s.
	silence = time.Minute
	// A stream that breaks is opened again after firstRetry, then after ever
	// longer waits up to lastRetry, and given up when giveUp has passed.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
	giveUp     = time.Minute
)

// serverEvent is one server-sent event (HTML standard 9.2).
type serverEvent struct {
	kind, id string
	data     []byte
}

// errStop says that the reader of a stream wants no more.
var errStop = errors.New("stop")

// follow reads a stream of events and opens it again when it breaks, from where
// it was. It ends with the error of each, of the context, of a node that refuses
// or cannot be reached at the start, or that stays away.
func (c *Client) follow(ctx context.Context, path string, each func(serverEvent) error) error {
	ctx, cancel, err := c.alive(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	s := stream{client: c, path: path, each: each}
	since, wait := time.Time{}, firstRetry
	for {
		seen := s.seen
		err := s.read(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !s.opened || isFinal(err) {
			return err
		}
		switch {
		case s.seen != seen:
			since, wait = time.Now(), firstRetry
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > giveUp:
			return err
		}
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
		wait = min(2*wait, lastRetry)
	}
}

// isFinal tells what another try would not mend.
func isFinal(err error) bool {
	if _, ok := errors.AsType[*readerError](err); ok {
		return true
	}
	refused, ok := errors.AsType[*Error](err)
	return ok && refused.Status < http.StatusInternalServerError
}

// readerError is what the reader of a stream ended it with.
type readerError struct{ error }

func (e *readerError) Unwrap() error { return e.error }

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// stream is one stream of events over any number of connections.
type stream struct {
	client *Client
	path   string
	each   func(serverEvent) error
	lastID string
	opened bool // the node has answered once
	seen   int  // answers so far
}

// read reads one connection to its end.
func (s *stream) read(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := s.client.newRequest(ctx, http.MethodGet, s.path, nil)
	if err != nil {
		return err
	}
	if s.lastID != "" {
		r.Header.Set("Last-Event-ID", s.lastID)
	}
	idle := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer idle.Stop()
	resp, err := s.client.send(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	s.opened, s.seen = true, s.seen+1
	err = s.events(resp.Body, func() { idle.Reset(silence) })
	if _, ok := errors.AsType[*readerError](err); ok {
		return err
	}
	return s.client.lost(ctx, err)
}

var errSilent = fmt.Errorf("%w: the stream of events is silent", mcc.ErrUnreachable)

// events reads events until the connection ends, which is never in order.
func (s *stream) events(body io.Reader, alive func()) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4<<10), maxEvent)
	var e serverEvent
	for lines.Scan() {
		alive()
		if len(lines.Bytes()) > 0 {
			if e.add(lines.Bytes()); len(e.data) > maxEvent {
				return bufio.ErrTooLong
			}
			continue
		}
		if e.id != "" {
			s.lastID = e.id
		}
		if e.kind != "" {
			if err := s.each(e); err != nil {
				return &readerError{err}
			}
		}
		e = serverEvent{}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// add takes in one line. Comments and unknown fields are skipped.
func (e *serverEvent) add(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		e.kind = string(value)
	case "id":
		e.id = string(value)
	case "data":
		if e.data != nil {
			e.data = append(e.data, '\n')
		}
		e.data = append(e.data, value...)
	}
}

package rest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/rest/internal/wsconn"
)

const (
	// maxArrivals bounds the channels that wait to be claimed; a further one is
	// reset.
	maxArrivals = 128
	// claimTime is how long one waits.
	claimTime = 30 * time.Second
)

// Arrival is a message of GET /api/v1/accept/{protocol}.
type Arrival struct {
	ID    string `json:"id" doc:"Claims the channel at /api/v1/accepted/{id}, once and within 30 s" example:"QWEZ5PNY4GIQAM2TJ7SHS6VYQK"`
	Node  string `json:"node" doc:"Id of the node that dials" example:"z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"`
	Label string `json:"label" doc:"Its label" example:"gate"`
}

// arrival is a channel that waits to be claimed.
type arrival struct {
	conn  net.Conn
	timer *time.Timer
}

func (s *sockets) registerArrivals() {
	tags := []string{"channels"}
	s.h.handleRaw(rawRoute{
		op: huma.Operation{
			OperationID: "acceptChannels", Method: http.MethodGet, Path: apiPrefix + "/accept/{protocol}", Tags: tags,
			Summary: "Listen for channels",
			Description: "The node listens on the protocol while the WebSocket is open and sends a text message, an Arrival, for each " +
				"channel that comes in. One that is not claimed within 30 s, or when the WebSocket closes, is reset.",
			Parameters: []*huma.Param{textParam("protocol", "path", "What to listen on, 1 to 200 bytes, escaped", "chat")},
		},
		answers: func(doc *huma.OpenAPI) map[string]*huma.Response {
			doc.Components.Schemas.Schema(reflect.TypeFor[Arrival](), true, "Arrival")
			return s.answers(http.StatusConflict, http.StatusUnprocessableEntity)(doc)
		},
		serve: s.accept,
	})
	s.h.handleRaw(rawRoute{
		op: huma.Operation{
			OperationID: "acceptedChannel", Method: http.MethodGet, Path: apiPrefix + "/accepted/{id}", Tags: tags,
			Summary: "A channel that came in", Description: "It can be claimed once. " + socketDescription,
			Parameters: []*huma.Param{textParam("id", "path", "Of the Arrival", "QWEZ5PNY4GIQAM2TJ7SHS6VYQK")},
		},
		answers: s.answers(http.StatusNotFound),
		serve:   s.accepted,
	})
}

// accept serves GET /api/v1/accept/{protocol}.
func (s *sockets) accept(w http.ResponseWriter, r *http.Request) {
	if !s.upgrade(w, r) {
		return
	}
	defer s.leave()
	ctx, cancel := s.dialContext(r)
	ln, err := s.h.node.Listen(ctx, r.PathValue("protocol"))
	cancel()
	if err != nil {
		s.h.fail(w, err)
		return
	}
	defer ln.Close()
	ws, err := wsconn.AcceptMessages(w, r)
	if err != nil {
		s.h.log.Debug("upgrade failed", zap.String("addr", r.RemoteAddr), zap.Error(err))
		return
	}
	defer context.AfterFunc(s.ctx, func() { _ = ws.CloseNow() })()
	s.converse(ws, ln)
}

// converse tells of arrivals, and hears when the client goes.
func (s *sockets) converse(ws *websocket.Conn, ln net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	var hearing sync.WaitGroup
	defer hearing.Wait()
	hearing.Go(func() { hear(ws, cancel) })
	code := s.tell(ctx, cancel, ws, ln)
	_ = ws.Close(code, "") // the client may be gone
}

// hear reads what keeps a WebSocket going until the client goes. Who sends data
// has misunderstood and is cut at once: a closing handshake would have to read
// through it, and keep the protocol meanwhile.
func hear(ws *websocket.Conn, gone func()) {
	_, _, err := ws.Reader(context.Background())
	gone()
	if err == nil {
		_ = ws.CloseNow()
	}
}

// tell sends every arrival until the client goes, which ends ctx, or the
// listener ends.
func (s *sockets) tell(ctx context.Context, cancel context.CancelFunc, ws *websocket.Conn, ln net.Listener) websocket.StatusCode {
	defer cancel()
	defer context.AfterFunc(s.accepting, cancel)()
	context.AfterFunc(ctx, func() { _ = ln.Close() }) // ends Accept
	go wsconn.KeepAlive(ctx, ws, cancel)
	mine := map[string]bool{}
	defer func() { s.drop(mine) }()
	for {
		conn, err := ln.Accept()
		switch {
		case s.accepting.Err() != nil:
			return websocket.StatusGoingAway
		case ctx.Err() != nil:
			return websocket.StatusNormalClosure
		case err != nil:
			return websocket.StatusGoingAway // the node is closing
		}
		if err := s.announce(ctx, ws, conn, mine); err != nil {
			return websocket.StatusInternalError
		}
	}
}

// announce keeps a channel for whom it tells of it. Writing does not wait: who
// lets hundreds of messages pile up is cut.
func (s *sockets) announce(ctx context.Context, ws *websocket.Conn, conn net.Conn, mine map[string]bool) error {
	id, ok := s.keep(conn, mine)
	if !ok {
		s.full.Add(1)
		resetStream(conn)
		return nil
	}
	a := Arrival{ID: id}
	if p, ok := conn.(interface{ Peer() *identity.Peer }); ok && p.Peer() != nil {
		a.Node, a.Label = p.Peer().ID.String(), p.Peer().Label
	}
	text, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("write arrival: %w", err)
	}
	return ws.Write(ctx, websocket.MessageText, text)
}

// keep puts a channel where a claim finds it. The ids of its listener, mine, do
// not grow beyond what waits.
func (s *sockets) keep(conn net.Conn, mine map[string]bool) (id string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) >= maxArrivals {
		return "", false
	}
	for id := range mine {
		if s.waiting[id] == nil {
			delete(mine, id)
		}
	}
	id = rand.Text() // whoever knows it has the channel
	mine[id] = true
	s.waiting[id] = &arrival{conn: conn, timer: time.AfterFunc(claimTime, func() { s.expire(id) })}
	return id, true
}

// claim takes a channel out.
func (s *sockets) claim(id string) (net.Conn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.waiting[id]
	if !ok {
		return nil, false
	}
	a.timer.Stop()
	delete(s.waiting, id)
	return a.conn, true
}

func (s *sockets) expire(id string) {
	if conn, ok := s.claim(id); ok {
		s.expired.Add(1)
		resetStream(conn)
	}
}

// drop resets what nobody has claimed.
func (s *sockets) drop(ids map[string]bool) {
	for id := range ids {
		if conn, ok := s.claim(id); ok {
			resetStream(conn)
		}
	}
}

// accepted serves GET /api/v1/accepted/{id}.
func (s *sockets) accepted(w http.ResponseWriter, r *http.Request) {
	if !s.upgrade(w, r) {
		return
	}
	defer s.leave()
	conn, ok := s.claim(r.PathValue("id"))
	if !ok {
		s.h.fail(w, fmt.Errorf("accepted channel: %w: it was claimed, has expired or never was", mcc.ErrNotFound))
		return
	}
	s.bridge(w, r, conn)
}

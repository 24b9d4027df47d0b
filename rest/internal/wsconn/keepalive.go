package wsconn

import (
	"context"
	"errors"
	"time"

	"github.com/coder/websocket"
)

const (
	// pingEvery keeps proxies, which often cut what is silent for a minute,
	// from taking the connection for idle.
	pingEvery = 30 * time.Second
	// pingWait is how long an answer may take when nothing is in its way.
	pingWait = 30 * time.Second
	// stallWait is how long an answer may take when data is under way before it:
	// a reader that pauses looks dead from here.
	stallWait = 5 * time.Minute
)

// errDead is a connection whose other side answers no pings.
var errDead = errors.New("websocket: the other side does not answer any more")

// keepAlive pings until the connection ends, and ends it when its other side is
// gone. Data that was sent after the last answer may be what the other side has
// not read, and the ping behind it; then it gets the longer time.
func (c *Conn) keepAlive(ctx context.Context) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	var answered uint64 // what had been sent when the last answered ping was
	heard := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		sent := c.out.sent.Load()
		pauses, paused := c.in.pauses()
		if ping(ctx, c.ws) {
			answered, heard = sent, time.Now()
			continue
		}
		now, pausing := c.in.pauses()
		switch {
		case ctx.Err() != nil:
			return
		case paused || pausing || now != pauses:
			// The answer may be here, behind what nobody has read meanwhile.
			heard = time.Now()
		case sent == answered || time.Since(heard) > stallWait:
			c.broken(errDead)
			_ = c.ws.CloseNow()
			return
		}
	}
}

func ping(ctx context.Context, ws *websocket.Conn) (answered bool) {
	ctx, cancel := context.WithTimeout(ctx, pingWait)
	defer cancel()
	return ws.Ping(ctx) == nil
}

// KeepAlive pings on a WebSocket of messages, which somebody reads all the time,
// until ctx ends. It calls gone when there is no answer.
func KeepAlive(ctx context.Context, ws *websocket.Conn, gone func()) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !ping(ctx, ws) {
			gone()
			return
		}
	}
}

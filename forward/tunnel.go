package forward

import (
	"errors"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// Connect answers a CONNECT request with a raw tunnel to the service: 200 once
// a provider is connected, a problem otherwise. It returns when the tunnel has
// ended. RFC 9110 9.3.6.
func (g *Gateway) Connect(w http.ResponseWriter, r *http.Request, service string, choice Choice) {
	g.count.requests.Add(1)
	endConn(w, r) // of refusals; a tunnel has no headers
	if !g.enter(w) {
		return
	}
	defer g.requests.leave()
	watched, done := g.watchClient(w)
	defer done()
	choice = stickTo(r, choice)
	choice.HTTP = false
	stream, err := g.pool.open(r.Context(), r.Context(), Call{Service: service, Choice: choice})
	if err != nil {
		g.log.Debug("tunnel failed", zap.String("service", service), zap.Error(err))
		g.answerError(w, err)
		return
	}
	client, err := takeOver(w, watched)
	if err != nil {
		reset(stream)
		g.log.Debug("tunnel failed", zap.String("service", service), zap.Error(err))
		if errors.Is(err, http.ErrNotSupported) {
			writeProblem(w, http.StatusNotImplemented, "unsupported", "tunnels need HTTP/1.1")
		}
		return
	}
	if _, err := Join(client, stream); err != nil {
		g.log.Debug("tunnel ended early", zap.String("service", service), zap.Error(err))
	}
}

// takeOver turns the connection of a request into a raw one, and tells the
// client.
func takeOver(w http.ResponseWriter, client *clientPace) (net.Conn, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	conn = client.hijacked(conn)
	if err = conn.SetDeadline(time.Time{}); err == nil {
		_, err = conn.Write([]byte("HTTP/1.1 200 Connection Established\r\n\r\n"))
	}
	if err == nil {
		conn, err = unread(conn, rw.Reader)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

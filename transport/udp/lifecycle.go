package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
	"github.com/staex-mcc/mcc/transport/udp/mux"
)

// open makes the socket and everything on it.
func open(opts Options, cfg transport.Config) (*Transport, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Identity == nil {
		return nil, errors.New("no identity")
	}
	socket, err := opts.socket()
	if err != nil {
		return nil, err
	}
	t, err := start(opts, cfg, socket)
	if err != nil {
		if opts.Socket == nil {
			_ = socket.Close()
		}
		return nil, err
	}
	return t, nil
}

// wsaAddrInUse is Windows' own number for what package syscall calls EADDRINUSE;
// elsewhere nothing has it.
const wsaAddrInUse = syscall.Errno(10048)

// socket is the given one or a fresh one.
func (o Options) socket() (net.PacketConn, error) {
	if o.Socket != nil {
		return o.Socket, nil
	}
	addr, err := net.ResolveUDPAddr("udp", o.Listen)
	if err != nil {
		return nil, err
	}
	network := "udp"
	if addr.IP.To4() != nil {
		network = "udp4" // 0.0.0.0 means just that, not every family
	}
	socket, err := net.ListenUDP(network, addr)
	if errors.Is(err, wsaAddrInUse) {
		return nil, fmt.Errorf("%w: %w", syscall.EADDRINUSE, err)
	}
	if err != nil {
		return nil, err
	}
	return socket, nil
}

// start starts every part; the socket is the caller's until it succeeds.
func start(opts Options, cfg transport.Config, socket net.PacketConn) (*Transport, error) {
	t := assemble(opts, cfg, socket)
	if !t.local.IsValid() {
		return nil, fmt.Errorf("socket address %v is no UDP address", socket.LocalAddr())
	}
	if err := t.prepare(cfg); err != nil {
		t.cancel()
		return nil, err
	}
	t.tasks.Go(func() { t.calls.run(t.ctx) })
	t.tasks.Go(t.acceptConns)
	t.tasks.Go(t.sweep)
	t.log.Info("listening", zap.Stringer("addr", t.local))
	return t, nil
}

// assemble puts together what cannot fail.
func assemble(opts Options, cfg transport.Config, socket net.PacketConn) *Transport {
	t := &Transport{
		opts:   opts,
		log:    cfg.Logger,
		id:     cfg.Identity.ID(),
		local:  mux.AddrPort(socket.LocalAddr()),
		socket: socket,
		mux:    mux.New(socket),
		conns:  newTable(opts.MaxConnections),
		dials:  newDials(),
		turns:  newTurns(),
		offers: make(chan *offer, maxOffers),
		closed: make(chan struct{}),
	}
	if t.log == nil {
		t.log = zap.NewNop()
	}
	t.log = t.log.Named("udp")
	t.refusals = newRefusals(t.log, &t.counts)
	t.auth = &authenticator{
		cert:  identity.TLSCertificate(cfg.Identity),
		trust: cfg.Trust,
		refused: func(from net.Addr, err error) {
			t.refusals.note(mux.AddrPort(from), err, time.Now())
		},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// prepare does what can fail. From its success on quic-go reads the socket.
func (t *Transport) prepare(cfg transport.Config) (err error) {
	if t.calls, err = newCalls(cfg, t.mux, &t.counts, t.refusals); err != nil {
		return err
	}
	return t.startQUIC(cfg.Identity)
}

// Close implements transport.Transport. What closed streams wrote shortly
// before gets up to two seconds to be delivered.
func (t *Transport) Close() error {
	if t.closing.Swap(true) {
		<-t.closed
		return nil
	}
	t.cancel()
	all, recent := t.conns.shutdown(time.Now().Add(-flushRecent))
	flush(recent)
	_ = t.listener.Close() // ends the handshakes under way; never fails
	for _, c := range all {
		_ = c.qc.CloseWithError(closeShutdown, "")
	}
	err := t.quic.Close() // the reader returns
	<-t.calls.stopped     // it says goodbye
	err = errors.Join(err, t.socket.Close())
	t.tasks.wait()
	close(t.closed)
	if err != nil {
		return fmt.Errorf("close udp transport: %w", err)
	}
	return nil
}

// What a stream wrote before Close lies in QUIC's send buffer, and closing the
// connection would drop it. quic-go does not tell when it has been acknowledged.
// But as long as something is unacknowledged it sends again after a probe
// timeout (RFC 9002 section 6.2.1), so a connection that was silent for longer
// has delivered what the peer lets it.
const (
	flushRecent = 5 * time.Second // streams closed longer ago are not waited for
	flushLimit  = 2 * time.Second
	flushStep   = 5 * time.Millisecond
	flushMargin = 35 * time.Millisecond // the peer's delayed acknowledgement, 25 ms, and more
)

// flush waits until the connections are silent.
func flush(conns []*conn) {
	if len(conns) == 0 {
		return
	}
	end := time.Now().Add(flushLimit)
	ticker := time.NewTicker(flushStep)
	defer ticker.Stop()
	type watch struct {
		packets uint64
		since   time.Time
	}
	watched := make(map[*conn]*watch, len(conns))
	for _, c := range conns {
		watched[c] = &watch{since: time.Now()}
	}
	for now := range ticker.C {
		for c, w := range watched {
			stats := c.qc.ConnectionStats()
			if n := stats.PacketsSent + stats.PacketsReceived; n != w.packets {
				*w = watch{packets: n, since: now}
			}
			quiet := stats.SmoothedRTT + 4*stats.MeanDeviation + flushMargin
			if now.Sub(w.since) > quiet || c.qc.Context().Err() != nil {
				delete(watched, c)
			}
		}
		if len(watched) == 0 || now.After(end) {
			return
		}
	}
}

// tasks counts goroutines so that Close can wait for them.
type tasks struct {
	mu   sync.Mutex
	shut bool
	wg   sync.WaitGroup
}

// Go starts f. The caller is New, or a goroutine that is counted itself.
func (t *tasks) Go(f func()) { t.wg.Go(f) }

// Start starts f on behalf of a caller from outside, unless wait was called.
func (t *tasks) Start(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shut {
		return false
	}
	t.wg.Go(f)
	return true
}

// wait forbids further starts and waits for all goroutines.
func (t *tasks) wait() {
	t.mu.Lock()
	t.shut = true
	t.mu.Unlock()
	t.wg.Wait()
}

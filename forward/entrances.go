package forward

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Config configures [Entrances].
type Config struct {
	// Dial reaches the services; required.
	Dial Dialer
	// Logger gets what happens; nil is silent.
	Logger *zap.Logger
	// MaxConns bounds the open connections of one entrance; zero is 4096. At
	// the limit it stops accepting, so further clients wait in the backlog of
	// the system, and counts that in Stats.Waits.
	MaxConns int
	// DialTimeout bounds how long a client waits for a provider; zero is 30 s.
	DialTimeout time.Duration
	// Idle resets connections on which nothing moved for between Idle and twice
	// that; zero never does.
	Idle time.Duration
	// Stall is how long a write may make no progress, on either side, before
	// both are reset; zero is 2 min.
	Stall time.Duration
}

// Spec describes an entrance to add.
type Spec struct {
	// Service is what to dial for each client.
	Service string
	// Address is tcp://host:port or unix:path, see [ParseListen].
	Address string
	// Choice narrows the providers.
	Choice Choice
}

// Info describes an open entrance.
type Info struct {
	// ID names it in Remove: short, safe in a URL, and the same whenever the
	// same service has an entrance at the same address.
	ID      string
	Service string
	// Address is where it really listens, with the port it got.
	Address string
	Choice  Choice
	// Active is the number of its open connections.
	Active int
}

// Entrances are local ports that lead to services. All methods are safe for
// concurrent use.
//
// Each entrance has one goroutine that accepts and each connection two that
// copy; Entrances owns them all.
type Entrances struct {
	cfg   Config
	log   *zap.Logger
	ctx   context.Context // ends the dials
	stop  context.CancelFunc
	count counters
	conns connSet
	wg    sync.WaitGroup

	mu     sync.Mutex
	open   map[string]*entrance
	closed bool
}

// NewEntrances returns Entrances with nothing open. It takes no resources until
// the first Add. It panics without a Dialer.
func NewEntrances(cfg Config) *Entrances {
	if cfg.Dial == nil {
		panic("BUG: forward.Config without Dial")
	}
	cfg.MaxConns = cmp.Or(max(cfg.MaxConns, 0), 4096)
	cfg.DialTimeout = cmp.Or(max(cfg.DialTimeout, 0), 30*time.Second)
	cfg.Stall = cmp.Or(max(cfg.Stall, 0), defaultStall)
	ctx, stop := context.WithCancel(context.Background())
	return &Entrances{
		cfg: cfg, log: orSilent(cfg.Logger), ctx: ctx, stop: stop,
		open: make(map[string]*entrance),
	}
}

func orSilent(log *zap.Logger) *zap.Logger {
	if log == nil {
		return zap.NewNop()
	}
	return log
}

// Add opens an entrance. A malformed spec is ErrInvalid, a kind of address that
// is not carried ErrUnsupported, and an address that is taken a
// syscall.EADDRINUSE. The context is for looking up the address only.
func (e *Entrances) Add(ctx context.Context, spec Spec) (Info, error) {
	if spec.Service == "" {
		return Info{}, fmt.Errorf("%w listener: no service", ErrInvalid)
	}
	if err := CheckPolicy(spec.Choice.Policy); err != nil {
		return Info{}, err
	}
	addr, err := ParseListen(spec.Address)
	if err != nil {
		return Info{}, err
	}
	if e.isClosed() {
		return Info{}, ErrClosed
	}
	ln, err := listen(ctx, addr)
	if err != nil {
		return Info{}, fmt.Errorf("listen on %s: %w", addr, err)
	}
	one := newEntrance(e, spec, addr, ln)
	if err := e.start(one); err != nil {
		ln.Close()
		return Info{}, err
	}
	e.log.Info("listening", zap.String("service", spec.Service), zap.String("addr", one.info.Address))
	return one.info, nil
}

func (e *Entrances) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

func (e *Entrances) start(one *entrance) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	if _, taken := e.open[one.info.ID]; taken {
		return fmt.Errorf("listener for %q on %s: %w", one.info.Service, one.info.Address, ErrExists)
	}
	e.open[one.info.ID] = one
	e.wg.Go(one.accept)
	return nil
}

// Remove closes an entrance, or is ErrNotFound. Its address is free afterwards;
// connections that are open go on.
func (e *Entrances) Remove(id string) error {
	e.mu.Lock()
	one := e.open[id]
	delete(e.open, id)
	e.mu.Unlock()
	if one == nil {
		return fmt.Errorf("listener %q: %w", id, ErrNotFound)
	}
	one.close()
	e.log.Info("stopped listening", zap.String("service", one.info.Service), zap.String("addr", one.info.Address))
	return nil
}

// List returns the open entrances by service and address.
func (e *Entrances) List() []Info {
	e.mu.Lock()
	list := make([]Info, 0, len(e.open))
	for _, one := range e.open {
		info := one.info
		info.Active = int(one.active.Load())
		list = append(list, info)
	}
	e.mu.Unlock()
	slices.SortFunc(list, func(a, b Info) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Address, b.Address))
	})
	return list
}

// Stats returns the counts of all entrances together, closed ones included.
func (e *Entrances) Stats() Stats { return e.count.stats() }

// Drain closes every entrance, waits until the last connection has ended or ctx
// has, and then closes what is left. It returns ctx's error if connections were
// cut. Nothing can be added afterwards.
func (e *Entrances) Drain(ctx context.Context) error {
	e.stopAccepting()
	err := e.conns.wait(ctx)
	return errors.Join(err, e.Close())
}

// Close closes every entrance and connection and waits for their goroutines. It
// is idempotent.
func (e *Entrances) Close() error {
	e.stopAccepting()
	e.stop()
	e.conns.closeAll()
	e.wg.Wait()
	return nil
}

func (e *Entrances) stopAccepting() {
	e.mu.Lock()
	e.closed = true
	var all []*entrance
	for _, one := range e.open {
		all = append(all, one)
	}
	clear(e.open)
	e.mu.Unlock()
	for _, one := range all {
		one.close()
	}
}

// entranceID is 60 bits of a hash: nobody gains from a collision but a refusal
// of his own listener.
func entranceID(service, address string) string {
	sum := sha256.Sum256([]byte(service + "\x00" + address))
	return hex.EncodeToString(sum[:8])[:15]
}

// actual is the address in the form of a Spec, as the listener has it.
func actual(l ListenAddress, ln net.Listener) string {
	if l.Network == "tcp" {
		l.Address = ln.Addr().String()
	}
	return l.String()
}

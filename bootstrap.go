package mcc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

// Waits between tries to reach a bootnode, doubling from the first to the last.
const (
	bootRetryMin = 250 * time.Millisecond
	bootRetryMax = 5 * time.Second
	// bootCheck is how often a node that has joined looks whether it has lost
	// everybody.
	bootCheck = 15 * time.Second
	// bootAgain is how often, at least, a node asks its bootnodes again although
	// it knows others: that is what joins two halves of a mesh after a long cut,
	// and finds a bootnode that came back as somebody else.
	bootAgain = 3 * time.Minute
	// bootTry bounds one try.
	bootTry = 20 * time.Second
	// resolveTimeout bounds one look-up of a host name.
	resolveTimeout = 2 * time.Second
)

// seed is one entry of Options.Boot.
type seed struct {
	text string
	id   identity.ID // zero: whoever answers
	host string
	port uint16
}

// parseSeeds reads host:port and z6Mk…@host:port.
func parseSeeds(boot []string) ([]seed, error) {
	var seeds []seed
	for _, text := range boot {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		s := seed{text: text}
		hostport := text
		if idText, rest, ok := strings.Cut(text, "@"); ok {
			id, err := identity.ParseID(idText)
			if err != nil {
				return nil, fmt.Errorf("%w: bootnode %q: %w", ErrInvalid, text, err)
			}
			s.id, hostport = id, rest
		}
		host, port, err := net.SplitHostPort(hostport)
		if err != nil {
			return nil, fmt.Errorf("%w: bootnode %q: want host:port or z6Mk…@host:port", ErrInvalid, text)
		}
		number, err := net.LookupPort("udp", port)
		if err != nil || number == 0 || host == "" {
			return nil, fmt.Errorf("%w: bootnode %q: want host:port with a port from 1 to 65535", ErrInvalid, text)
		}
		s.host, s.port = host, uint16(number)
		seeds = append(seeds, s)
	}
	return seeds, nil
}

// contacts resolves the seed's host now.
func (s seed) contacts(ctx context.Context) ([]dht.Contact, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", s.host)
	if err != nil {
		return nil, err
	}
	var contacts []dht.Contact
	for _, a := range addrs {
		contacts = append(contacts, dht.Contact{ID: s.id, Addr: netip.AddrPortFrom(a.Unmap(), s.port)})
	}
	return contacts, nil
}

// checkReach refuses a node that listens on loopback only and is told to join
// through a remote one: the kernel would answer every packet with EINVAL.
func checkReach(opts Options, seeds []seed) error {
	if opts.Transport != nil || len(seeds) == 0 || !listensOnLoopback(opts.Listen) {
		return nil
	}
	for _, s := range seeds {
		contacts, err := s.contacts(context.Background())
		if err != nil || len(contacts) == 0 {
			continue // unknown today: joining keeps trying
		}
		local := false
		for _, c := range contacts {
			local = local || c.Addr.Addr().IsLoopback()
		}
		if !local {
			return fmt.Errorf("%w: listening on loopback cannot reach bootnode %s: use -listen 0.0.0.0:9376 (Options.Listen)", ErrInvalid, s.text)
		}
	}
	return nil
}

// listensOnLoopback reports whether the listen address is bound to this host;
// empty is the default 127.0.0.1:0.
func listensOnLoopback(listen string) bool {
	if listen == "" {
		return true
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil || host == "" {
		return false
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// bootstrap is how far a node has come with joining.
type bootstrap struct {
	seeds  []seed
	tried  chan struct{} // closed once: the first try is over, whatever came of it
	joined chan struct{} // closed once: the node has joined, or has no seeds

	mu           sync.Mutex
	last         error // why the last try failed
	over, inside bool  // tried and joined are closed
}

func newBootstrap(seeds []seed) *bootstrap {
	b := &bootstrap{seeds: seeds, tried: make(chan struct{}), joined: make(chan struct{})}
	if len(seeds) == 0 {
		b.note(nil)
	}
	return b
}

// note takes the outcome of a try: nil is having joined.
func (b *bootstrap) note(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = err
	if !b.over {
		b.over = true
		close(b.tried)
	}
	if err == nil && !b.inside {
		b.inside = true
		close(b.joined)
	}
}

func (b *bootstrap) lastError() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

func (b *bootstrap) done() bool {
	select {
	case <-b.joined:
		return true
	default:
		return false
	}
}

// runBootstrap joins through the seeds, tries for ever, and joins again from
// time to time and when the node has lost everybody.
func (n *Node) runBootstrap() {
	if len(n.boot.seeds) == 0 {
		return
	}
	wait, warned := bootRetryMin, false
	for n.alive() == nil {
		err := n.joinOnce()
		if err == nil {
			if !n.boot.done() || warned {
				n.log.Info("joined the mesh", zap.Int("contacts", len(n.parts.dht.Contacts())))
				n.events.emit(Event{Kind: EventJoined})
			}
			n.boot.note(nil)
			wait, warned = bootRetryMin, false
		}
		if err == nil || n.boot.done() && len(n.parts.dht.Contacts()) > 0 {
			if !n.idleWhileConnected() {
				return
			}
			continue
		}
		n.boot.note(err)
		if !warned && n.alive() == nil {
			n.log.Warn("no bootnode answered; trying on (it is down, or does not accept this node's certificate)", zapErr(err))
			warned = true
		}
		jittered := wait + rand.N(wait/4+1)
		if !sleep(n.life.ctx, min(jittered, bootRetryMax)) {
			return
		}
		wait = min(2*wait, bootRetryMax)
	}
}

// joinOnce resolves all seeds and asks them together.
func (n *Node) joinOnce() error {
	ctx, cancel := context.WithTimeout(n.life.ctx, bootTry)
	defer cancel()
	var contacts []dht.Contact
	var errs []error
	for _, s := range n.boot.seeds {
		found, err := s.contacts(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("bootnode %s: %w", s.text, err))
		}
		contacts = append(contacts, found...)
	}
	if len(contacts) == 0 {
		return errors.Join(errs...)
	}
	return n.parts.dht.Join(ctx, contacts...)
}

// idleWhileConnected returns true when it is time to join again, or the node has
// lost every contact, and false when it closes.
func (n *Node) idleWhileConnected() bool {
	rest := bootAgain + rand.N(bootAgain/4)
	for ; rest > 0; rest -= bootCheck {
		if !sleep(n.life.ctx, bootCheck) {
			return false
		}
		if len(n.parts.dht.Contacts()) == 0 {
			break
		}
	}
	return true
}

// sleep waits for d and reports whether ctx is still alive.
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

// NotReady lists why the node is not ready; nothing means it is.
func (n *Node) NotReady() []string {
	if n.alive() != nil {
		return []string{"the node is closed"}
	}
	if n.boot.done() {
		return nil
	}
	if err := n.boot.lastError(); err != nil {
		return []string{"no bootnode answered yet: " + err.Error()}
	}
	return []string{"joining: no bootnode has answered yet"}
}

// Ready waits until the node takes part: at once without Options.Boot, else
// when a bootnode has answered and the node has looked for itself. It fails
// when ctx ends or the node closes, saying what was missing.
func (n *Node) Ready(ctx context.Context) error {
	select {
	case <-n.boot.joined:
		return n.alive()
	case <-n.life.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("not ready (%s): %w", strings.Join(n.NotReady(), "; "), ctx.Err())
	}
}

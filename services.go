package mcc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/staex-mcc/mcc/dht/discovery"
	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/identity"
)

// defaultLimit bounds a Lookup whose Query names no limit.
const defaultLimit = 1000

// Register implements Services.
func (n *Node) Register(ctx context.Context, s Service) error {
	target, err := forward.ParseTarget(s.Address)
	if err != nil {
		return fmt.Errorf("%w: service %q: %w", ErrInvalid, s.Name, err)
	}
	o := &offer{service: cloneService(s), target: target}
	o.backend = forward.NewBackend(target, forward.BackendOptions{Service: s.Name, Logger: n.log.Named("forward")})
	if err := n.offer(ctx, o); err != nil {
		return err
	}
	if s.Persist {
		if err := n.saved.putService(o.service); err != nil {
			return errors.Join(err, n.Unregister(ctx, s.Name))
		}
	}
	return nil
}

// offer checks, adds and announces o, and starts its health check.
func (n *Node) offer(ctx context.Context, o *offer) error {
	if err := n.alive(); err != nil {
		return err
	}
	entry, err := n.checkService(o.service)
	if err != nil {
		return err
	}
	o.service.Weight = entry.Weight
	healthCtx, stopHealth := context.WithCancel(n.life.ctx)
	o.stopHealth = stopHealth
	if err := n.offers.add(o); err != nil {
		stopHealth()
		return err
	}
	if err := n.registry.Register(ctx, entry); err != nil {
		n.offers.remove(o.service.Name, o)
		return errors.Join(registerError(err), n.retire(o))
	}
	n.startHealth(healthCtx, o)
	n.events.emit(Event{Kind: EventServiceRegistered, Subject: o.service.Name})
	return nil
}

func registerError(err error) error {
	if errors.Is(err, discovery.ErrInvalid) || errors.Is(err, discovery.ErrFull) {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return publicError(err)
}

// checkService validates a service against this node's certificate and turns it
// into a directory entry.
func (n *Node) checkService(s Service) (discovery.Entry, error) {
	if err := s.validateEntry(); err != nil {
		return discovery.Entry{}, err
	}
	if need := "register:" + s.Name; !n.selfPeer().May(need) {
		return discovery.Entry{}, fmt.Errorf("%w: this node's certificate lacks %s", ErrDenied, need)
	}
	return s.entry(), nil
}

// allowMatches reports whether one rule of an allow list names the peer.
func allowMatches(rule string, peer *identity.Peer) bool {
	kind, pattern, _ := strings.Cut(rule, ":")
	switch kind {
	case "label":
		return identity.MatchGlob(pattern, peer.Label)
	case "id":
		return identity.MatchGlob(pattern, peer.ID.String())
	case "consortium":
		return identity.MatchGlob(pattern, peer.Consortium)
	}
	return false
}

// startHealth runs the service's check, if it has one, until ctx ends.
func (n *Node) startHealth(ctx context.Context, o *offer) {
	h := o.service.Health
	if h == nil {
		return
	}
	check := h.check()
	name, target := o.service.Name, o.target
	report := func(healthy bool, reason string) {
		if err := n.registry.Update(name, healthy); err != nil {
			return // withdrawn meanwhile
		}
		n.events.emit(Event{Kind: EventServiceHealth, Subject: name, Detail: fmt.Sprintf("healthy=%t %s", healthy, reason)})
	}
	n.life.wg.Go(func() {
		if err := forward.RunHealth(ctx, check, target, report); err != nil && ctx.Err() == nil {
			n.log.Error("health check cannot run", zap.String("service", name), zapErr(err))
		}
	})
}

// Unregister implements Services.
func (n *Node) Unregister(ctx context.Context, name string) error {
	if err := n.alive(); err != nil {
		return err
	}
	o := n.offers.remove(name, nil)
	if o == nil {
		return fmt.Errorf("service %q: %w", name, ErrNotFound)
	}
	return n.withdraw(ctx, o)
}

// withdraw ends an offer that has left the table.
func (n *Node) withdraw(ctx context.Context, o *offer) error {
	n.events.emit(Event{Kind: EventServiceWithdrawn, Subject: o.service.Name})
	return errors.Join(
		n.retire(o),
		n.saved.deleteService(o.service.Name),
		publicError(n.registry.Withdraw(ctx, o.service.Name)),
	)
}

// retire ends what an offer runs by itself, and its backend once the streams in
// use have ended or the node closes.
func (n *Node) retire(o *offer) error {
	o.end()
	if n.alive() != nil {
		return o.backend.Close()
	}
	n.life.wg.Go(func() {
		if err := o.backend.Drain(n.life.ctx); err != nil {
			n.log.Debug("streams cut", zap.String("service", o.service.Name), zapErr(err))
		}
	})
	return nil
}

// LocalServices are this node's registrations, by name.
func (n *Node) LocalServices() []Service { return n.offers.list() }

// ListenService registers s and returns a listener that accepts its
// connections; Address is ignored. WhoIs tells who called. Closing the listener
// withdraws the service.
func (n *Node) ListenService(s Service) (net.Listener, error) {
	if s.Health != nil || s.Persist {
		return nil, fmt.Errorf("%w: service %q: a listener has no health check and does not persist", ErrInvalid, s.Name)
	}
	s.Address = ""
	o := &offer{service: cloneService(s)}
	o.listener = newListener(transportAddr(n), func() error {
		if n.offers.remove(s.Name, o) == nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), withdrawWait)
		defer cancel()
		return n.withdraw(ctx, o)
	})
	o.backend = forward.NewFuncBackend(o.listener.dialPipe, forward.BackendOptions{Service: s.Name, Logger: n.log.Named("forward")})
	ctx, cancel := context.WithTimeout(n.life.ctx, announceWait)
	defer cancel()
	if err := n.offer(ctx, o); err != nil {
		return nil, err
	}
	return o.listener, nil
}

// Providers implements Services.
func (n *Node) Providers(ctx context.Context, name string) ([]Provider, error) {
	return n.Lookup(ctx, name, Query{})
}

// Lookup returns who offers the service and fits q, the best first: healthy
// ones, then by round trip, unknown ones last. Nobody is an empty slice.
func (n *Node) Lookup(ctx context.Context, service string, q Query) ([]Provider, error) {
	if err := n.alive(); err != nil {
		return nil, err
	}
	name, consortium, err := n.splitName(service)
	if err != nil {
		return nil, err
	}
	n.awaitJoin(ctx)
	choice := forward.Choice{Tag: q.Tag, Node: q.Node}
	only, err := n.choiceNodes(ctx, choice)
	if err != nil {
		return nil, err
	}
	found, err := n.registry.Find(ctx, consortium, name)
	if err != nil {
		return nil, publicError(err)
	}
	found = slices.DeleteFunc(found, func(p discovery.Provider) bool {
		return only != nil && !slices.Contains(only, p.ID) ||
			q.Tag != "" && !slices.Contains(p.Tags, q.Tag) || q.HealthyOnly && !p.Healthy
	})
	found, err = n.order(name, found, forward.Choice{})
	if err != nil {
		return nil, err
	}
	limit := q.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	rtts := n.rtts()
	providers := []Provider{}
	for _, p := range found[:min(limit, len(found))] {
		providers = append(providers, n.provider(p, rtts))
	}
	return providers, nil
}

// provider is the public form of a directory entry.
func (n *Node) provider(p discovery.Provider, rtts map[identity.ID]time.Duration) Provider {
	return Provider{
		Node: p.ID, Label: p.Label, Consortium: p.Consortium, Tags: p.Tags, Meta: p.Meta,
		Weight: p.Weight, Healthy: p.Healthy, RTT: rtts[p.ID], Expires: p.Expires,
	}
}

// Watch implements Services. Changes arrive within two seconds of reaching the
// holders of the name.
func (n *Node) Watch(ctx context.Context, service string) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if err := n.alive(); err != nil {
			yield(Change{}, err)
			return
		}
		name, consortium, err := n.splitName(service)
		if err != nil {
			yield(Change{}, err)
			return
		}
		n.awaitJoin(ctx)
		ctx, cancel := mergeDone(ctx, n.life.ctx)
		defer cancel()
		for change, err := range n.registry.Watch(ctx, consortium, name) {
			if n.alive() != nil {
				yield(Change{}, ErrClosed)
				return
			}
			if err != nil {
				yield(Change{}, publicError(err))
				return
			}
			if !yield(Change{Kind: ChangeKind(change.Kind), Provider: n.provider(change.Provider, n.rtts())}, nil) {
				return
			}
		}
	}
}

// mergeDone returns a context that ends with either.
func mergeDone(ctx, other context.Context) (context.Context, context.CancelFunc) {
	merged, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(other, func() { cancel(ErrClosed) })
	return merged, func() { stop(); cancel(context.Canceled) }
}

// cloneService copies what the caller could change later.
func cloneService(s Service) Service {
	s.Tags = slices.Clone(s.Tags)
	s.Allow = slices.Clone(s.Allow)
	s.Meta = maps.Clone(s.Meta)
	if s.Health != nil {
		h := *s.Health
		s.Health = &h
	}
	return s
}

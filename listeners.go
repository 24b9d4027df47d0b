package mcc

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/staex-mcc/mcc/forward"
)

// AddListener opens a local port that leads to a service and returns it with
// its ID and the address it got, which is also what a persistent one listens on
// after a restart. The service need not exist yet. An address that is taken is
// ErrInUse.
func (n *Node) AddListener(ctx context.Context, l Listener) (Listener, error) {
	if err := n.alive(); err != nil {
		return Listener{}, err
	}
	if _, _, err := n.splitName(l.Service); err != nil {
		return Listener{}, err
	}
	choice := forward.Choice{Policy: l.Policy, From: l.From}
	if _, err := n.choiceNodes(ctx, choice); err != nil {
		return Listener{}, err
	}
	info, err := n.entrances.Add(ctx, forward.Spec{Service: l.Service, Address: l.Address, Choice: choice})
	if err != nil {
		return Listener{}, listenerError(l, err)
	}
	added := fromEntrance(info)
	added.Persist = l.Persist
	if l.Persist {
		if err := n.saved.putListener(added.ID, added); err != nil {
			return Listener{}, errors.Join(err, n.entrances.Remove(info.ID))
		}
	}
	n.events.emit(Event{Kind: EventListenerAdded, Subject: added.ID})
	return added, nil
}

func listenerError(l Listener, err error) error {
	sentinel := ErrInvalid
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		sentinel = ErrInUse
	case errors.Is(err, forward.ErrExists):
		sentinel = ErrExists
	}
	return fmt.Errorf("listener %s for %s: %w: %w", l.Address, l.Service, sentinel, err)
}

// RemoveListener closes a listener, or is ErrNotFound. Its open connections go
// on.
func (n *Node) RemoveListener(_ context.Context, id string) error {
	if err := n.entrances.Remove(id); err != nil {
		return fmt.Errorf("listener %q: %w", id, ErrNotFound)
	}
	n.events.emit(Event{Kind: EventListenerRemoved, Subject: id})
	return n.saved.deleteListener(id)
}

// Listeners are the local ports that lead to services, by id.
func (n *Node) Listeners() []Listener {
	infos := n.entrances.List()
	listeners := make([]Listener, len(infos))
	for i, info := range infos {
		listeners[i] = fromEntrance(info)
		listeners[i].Persist = n.saved.hasListener(info.ID)
	}
	return listeners
}

func fromEntrance(info forward.Info) Listener {
	policy := info.Choice.Policy
	if policy == "" {
		policy = forward.Nearest
	}
	return Listener{ID: info.ID, Service: info.Service, Address: info.Address, Policy: policy, From: info.Choice.From}
}

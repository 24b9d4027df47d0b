package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
)

// Watch implements mcc.Services. When the connection to the node breaks it is
// made again; what happened meanwhile follows. The watch ends with an error when
// the node has stayed away for a minute, and silently when ctx ends.
func (c *Client) Watch(ctx context.Context, name string) iter.Seq2[mcc.Change, error] {
	return func(yield func(mcc.Change, error) bool) {
		if name == "" {
			yield(mcc.Change{}, fmt.Errorf("service: %w: a name has 1 to 63 characters", mcc.ErrInvalid))
			return
		}
		w := &watcher{known: map[identity.ID]mcc.Provider{}, yield: yield}
		err := c.follow(ctx, path("discovery", name, "watch"), w.event)
		if !errors.Is(err, errStop) && ctx.Err() == nil {
			yield(mcc.Change{}, err)
		}
	}
}

// watcher turns the events of a watch into changes.
type watcher struct {
	known map[identity.ID]mcc.Provider
	// anew, if not nil, is what is known again since a reset, which goes on as
	// long as the events' ids say that they are a part.
	anew  map[identity.ID]mcc.Provider
	yield func(mcc.Change, error) bool
}

// part ends the id of an event after which more of the same whole follows.
const part = "-part"

func (w *watcher) event(e serverEvent) error {
	switch kind := mcc.ChangeKind(e.kind); kind {
	case mcc.Added, mcc.Updated, mcc.Removed:
		var p provider
		if err := json.Unmarshal(e.data, &p); err != nil {
			return fmt.Errorf("watch: the event is not the API's: %w", err)
		}
		return w.change(mcc.Change{Kind: kind, Provider: p.public()}, strings.HasSuffix(e.id, part))
	case "reset":
		w.anew = map[identity.ID]mcc.Provider{}
		if !strings.HasSuffix(e.id, part) {
			return w.settle()
		}
	case "closed":
		return readProblem(0, e.data)
	}
	return nil
}

func (w *watcher) change(ch mcc.Change, more bool) error {
	if w.anew != nil {
		w.anew[ch.Provider.Node] = ch.Provider
		if more {
			return nil
		}
		return w.settle()
	}
	return w.tell(ch)
}

// settle tells how what is known anew differs from what was known.
func (w *watcher) settle() error {
	anew := w.anew
	w.anew = nil
	var changes []mcc.Change
	for id, was := range w.known {
		if _, there := anew[id]; !there {
			changes = append(changes, mcc.Change{Kind: mcc.Removed, Provider: was})
		}
	}
	for id, is := range anew {
		was, there := w.known[id]
		switch {
		case !there:
			changes = append(changes, mcc.Change{Kind: mcc.Added, Provider: is})
		case !reflect.DeepEqual(was, is):
			changes = append(changes, mcc.Change{Kind: mcc.Updated, Provider: is})
		}
	}
	slices.SortFunc(changes, func(a, b mcc.Change) int { return a.Provider.Node.Compare(b.Provider.Node) })
	for _, ch := range changes {
		if err := w.tell(ch); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) tell(ch mcc.Change) error {
	if ch.Kind == mcc.Removed {
		delete(w.known, ch.Provider.Node)
	} else {
		w.known[ch.Provider.Node] = ch.Provider
	}
	if !w.yield(ch, nil) {
		return errStop
	}
	return nil
}

// Events yields what happens on the node from now on, until ctx ends or the loop
// does; the last pair carries any other error that ended it. Events are not kept: a
// reader that is slow, or whose connection had to be made again, misses some,
// and Seq shows the gap.
func (c *Client) Events(ctx context.Context) iter.Seq2[mcc.Event, error] {
	return func(yield func(mcc.Event, error) bool) {
		err := c.follow(ctx, path("events"), func(e serverEvent) error {
			switch e.kind {
			case "gap":
				return nil
			case "closed":
				return readProblem(0, e.data)
			}
			var event mcc.Event // its fields have the names of the API's
			if err := json.Unmarshal(e.data, &event); err != nil {
				return fmt.Errorf("events: the event is not the API's: %w", err)
			}
			if !yield(event, nil) {
				return errStop
			}
			return nil
		})
		if !errors.Is(err, errStop) && ctx.Err() == nil {
			yield(mcc.Event{}, err)
		}
	}
}

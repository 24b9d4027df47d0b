package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	mcc "github.com/staex-mcc/mcc"
)

// NewListener is the body of POST /api/v1/listeners.
type NewListener struct {
	Service string   `json:"service" minLength:"1" maxLength:"253" doc:"The service to lead to, with or without a consortium" example:"files"`
	Address string   `json:"address" minLength:"1" maxLength:"1024" doc:"Where to listen: tcp://host:port or unix:path; port 0 is any" example:"tcp://localhost:5000"`
	Policy  string   `json:"policy,omitempty" maxLength:"32" doc:"Chooses among providers: nearest (the default), random, round-robin, weighted or sticky" example:"nearest"`
	From    []string `json:"from,omitempty" maxItems:"256" doc:"Only these providers; empty is all" example:"[\"id:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK\"]"`
	Persist bool     `json:"persist,omitempty" doc:"Keep the listener across restarts"`
}

// Listener is a local port that leads to a service.
type Listener struct {
	ID      string   `json:"id" doc:"Names the listener on this node" example:"1"`
	Service string   `json:"service" doc:"The service it leads to" example:"files"`
	Address string   `json:"address" doc:"Where it listens" example:"tcp://127.0.0.1:5000"`
	Policy  string   `json:"policy" doc:"Chooses among providers" example:"nearest"`
	From    []string `json:"from" nullable:"false" doc:"Only these providers; empty is all" example:"[\"id:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK\"]"`
	Persist bool     `json:"persist" doc:"Kept across restarts"`
}

// ListenerList is the answer of GET /api/v1/listeners.
type ListenerList struct {
	Listeners []Listener `json:"listeners" nullable:"false" doc:"By id"`
	Next      string     `json:"next,omitempty" doc:"Cursor of the next page; absent on the last"`
}

// byID is the input of operations on one listener.
type byID struct {
	ID string `path:"id" maxLength:"256" doc:"The listener" example:"1"`
}

func (h *Handler) registerListeners(api huma.API) {
	tags := []string{"listeners"}
	register(h, api, huma.Operation{
		OperationID: "listListeners", Method: http.MethodGet, Path: "/listeners", Tags: tags,
		Summary: "Local ports that lead to services",
	}, func(_ context.Context, in *Page) (*body[ListenerList], error) {
		part, next := page(*in, h.node.Listeners(), func(l mcc.Listener) string { return l.ID })
		return &body[ListenerList]{ListenerList{Listeners: list(part, listenerJSON), Next: next}}, nil
	})
	register(h, api, huma.Operation{
		OperationID: "getListener", Method: http.MethodGet, Path: "/listeners/{id}", Tags: tags,
		Summary: "One local port", Errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *byID) (*body[Listener], error) {
		for _, l := range h.node.Listeners() {
			if l.ID == in.ID {
				return &body[Listener]{listenerJSON(l)}, nil
			}
		}
		return nil, fmt.Errorf("listener %q: %w", in.ID, mcc.ErrNotFound)
	})
	register(h, api, huma.Operation{
		OperationID: "addListener", Method: http.MethodPost, Path: "/listeners", Tags: tags,
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusConflict, http.StatusServiceUnavailable},
		Summary: "Open a local port", Description: "The service need not exist yet. 409 says that the address is taken.",
	}, h.addListener)
	register(h, api, huma.Operation{
		OperationID: "removeListener", Method: http.MethodDelete, Path: "/listeners/{id}", Tags: tags,
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
		Summary: "Close a local port", Description: "Its open connections go on.",
	}, func(ctx context.Context, in *byID) (*nothing, error) {
		return nil, h.node.RemoveListener(ctx, in.ID)
	})
}

func (h *Handler) addListener(ctx context.Context, in *body[NewListener]) (*created[Listener], error) {
	l, err := h.node.AddListener(ctx, mcc.Listener{
		Service: in.Body.Service, Address: in.Body.Address, Policy: in.Body.Policy,
		From: in.Body.From, Persist: in.Body.Persist,
	})
	if err != nil {
		return nil, err
	}
	return &created[Listener]{Location: apiPrefix + "/listeners/" + url.PathEscape(l.ID), Body: listenerJSON(l)}, nil
}

func listenerJSON(l mcc.Listener) Listener {
	policy := l.Policy
	if policy == "" {
		policy = "nearest"
	}
	return Listener{
		ID: l.ID, Service: l.Service, Address: l.Address, Policy: policy,
		From: list(l.From, same[string]), Persist: l.Persist,
	}
}

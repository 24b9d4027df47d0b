package rest

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	mcc "github.com/staex-mcc/mcc"
)

// Provider is a node that offers a service.
type Provider struct {
	Node       string            `json:"node" doc:"Id of the node" example:"z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"`
	Label      string            `json:"label" doc:"Its name" example:"gate"`
	Consortium string            `json:"consortium" doc:"Name of the CA that certified it; empty in an open mesh" example:"acme"`
	Tags       []string          `json:"tags" nullable:"false" doc:"Tags of the service there" example:"[\"blue\"]"`
	Meta       map[string]string `json:"meta" doc:"What the provider says of it" example:"{\"version\":\"1.2\"}"`
	Weight     int               `json:"weight" doc:"For the weighted policy" example:"10"`
	Healthy    bool              `json:"healthy" doc:"Whether its health check passes" example:"true"`
	RTTMs      float64           `json:"rtt_ms" doc:"Round trip in milliseconds; 0 if none was measured" example:"12.5"`
	Expires    time.Time         `json:"expires" doc:"When the entry lapses unless it is renewed, UTC" example:"2026-01-02T15:04:05Z"`
}

// Discovery is the answer of GET /api/v1/discovery/{name}.
type Discovery struct {
	Name      string     `json:"name" doc:"The service asked for" example:"files"`
	Providers []Provider `json:"providers" nullable:"false" doc:"The best first; nobody is []"`
	Next      string     `json:"next,omitempty" doc:"Cursor of the next page; absent on the last"`
}

// discoverInput asks for providers.
type discoverInput struct {
	Name    string `path:"name" maxLength:"253" doc:"The service, with or without a consortium" example:"files"`
	Tag     string `query:"tag" maxLength:"63" doc:"Only providers with this tag"`
	Healthy bool   `query:"healthy" doc:"true: only providers whose health check passes"`
	Node    string `query:"node" maxLength:"64" doc:"Only this provider, by id or label"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"How many at most"`
	Cursor  string `query:"cursor" maxLength:"8" pattern:"^[0-9]*$" doc:"The next of an earlier answer; empty is the start"`
}

func (h *Handler) registerDiscovery(api huma.API) {
	register(h, api, huma.Operation{
		OperationID: "discover", Method: http.MethodGet, Path: "/discovery/{name}", Tags: []string{"discovery"},
		Errors:  []int{http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable, http.StatusGatewayTimeout},
		Summary: "Who offers a service",
		Description: "Providers of the service in the mesh, the best first. A name that nobody offers is an empty list. " +
			"404 and 409 speak of a node label that nobody or several nodes bear.",
	}, h.discover)
}

func (h *Handler) discover(ctx context.Context, in *discoverInput) (*body[Discovery], error) {
	// Providers are ranked anew each time, so the cursor is a position.
	from := 0
	if in.Cursor != "" {
		from, _ = strconv.Atoi(in.Cursor) // the pattern admits eight digits only
	}
	found, err := h.node.Lookup(ctx, in.Name, mcc.Query{
		Tag: in.Tag, HealthyOnly: in.Healthy, Node: in.Node, Limit: from + in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	out := Discovery{Name: in.Name}
	found = found[min(from, len(found)):]
	if len(found) > in.Limit {
		found, out.Next = found[:in.Limit], strconv.Itoa(from+in.Limit)
	}
	out.Providers = list(found, providerJSON)
	return &body[Discovery]{out}, nil
}

func providerJSON(p mcc.Provider) Provider {
	return Provider{
		Node: p.Node.String(), Label: p.Label, Consortium: p.Consortium, Tags: list(p.Tags, same[string]),
		Meta: notNil(p.Meta), Weight: max(p.Weight, 1), Healthy: p.Healthy,
		RTTMs: milliseconds(p.RTT), Expires: p.Expires.UTC().Truncate(time.Millisecond),
	}
}

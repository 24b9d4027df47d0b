package client

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
)

// service is a registration as the API says it.
type service struct {
	Name    string            `json:"name"`
	Address string            `json:"address"`
	Tags    []string          `json:"tags,omitempty"`
	Meta    map[string]string `json:"meta,omitempty"`
	Weight  int               `json:"weight,omitempty"`
	Health  *health           `json:"health,omitempty"`
	Allow   []string          `json:"allow,omitempty"`
	Persist bool              `json:"persist,omitempty"`
}

type health struct {
	Type      string  `json:"type"`
	Path      string  `json:"path,omitempty"`
	IntervalS float64 `json:"interval_s,omitempty"`
	TimeoutS  float64 `json:"timeout_s,omitempty"`
}

// provider is one as the API says it.
type provider struct {
	Node       identity.ID       `json:"node"`
	Label      string            `json:"label"`
	Consortium string            `json:"consortium"`
	Tags       []string          `json:"tags"`
	Meta       map[string]string `json:"meta"`
	Weight     int               `json:"weight"`
	Healthy    bool              `json:"healthy"`
	RTTMs      float64           `json:"rtt_ms"`
	Expires    time.Time         `json:"expires"`
}

func (p provider) public() mcc.Provider {
	return mcc.Provider{
		Node: p.Node, Label: p.Label, Consortium: p.Consortium, Tags: p.Tags, Meta: p.Meta,
		Weight: p.Weight, Healthy: p.Healthy, RTT: milliseconds(p.RTTMs), Expires: p.Expires,
	}
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Register implements mcc.Services. The Address is as the node sees it.
func (c *Client) Register(ctx context.Context, s mcc.Service) error {
	in := service{
		Name: s.Name, Address: s.Address, Tags: s.Tags, Meta: s.Meta, Weight: s.Weight, Allow: s.Allow, Persist: s.Persist,
	}
	if h := s.Health; h != nil {
		in.Health = &health{Type: h.Type, Path: h.Path, IntervalS: h.Interval.Seconds(), TimeoutS: h.Timeout.Seconds()}
	}
	return c.call(ctx, "POST", path("services"), in, nil)
}

// Unregister implements mcc.Services.
func (c *Client) Unregister(ctx context.Context, name string) error {
	return c.call(ctx, "DELETE", path("services", name), nil, nil)
}

// LocalServices are the registrations of the node, by name.
func (c *Client) LocalServices(ctx context.Context) ([]mcc.Service, error) {
	return all(ctx, func(ctx context.Context, query string) ([]mcc.Service, string, error) {
		var out struct {
			Services []service
			Next     string
		}
		err := c.call(ctx, "GET", path("services")+query, nil, &out)
		return convert(out.Services, service.public), out.Next, err
	})
}

func (s service) public() mcc.Service {
	p := mcc.Service{
		Name: s.Name, Address: s.Address, Tags: s.Tags, Meta: s.Meta, Weight: s.Weight, Allow: s.Allow, Persist: s.Persist,
	}
	if h := s.Health; h != nil {
		p.Health = &mcc.HealthCheck{Type: h.Type, Path: h.Path, Interval: seconds(h.IntervalS), Timeout: seconds(h.TimeoutS)}
	}
	return p
}

// Providers implements mcc.Services: the best first, at most 1000.
func (c *Client) Providers(ctx context.Context, name string) ([]mcc.Provider, error) {
	return c.Lookup(ctx, name, mcc.Query{})
}

// Lookup is Providers with a filter. The limit is at most 1000.
func (c *Client) Lookup(ctx context.Context, name string, q mcc.Query) ([]mcc.Provider, error) {
	query := url.Values{}
	if q.Tag != "" {
		query.Set("tag", q.Tag)
	}
	if q.HealthyOnly {
		query.Set("healthy", "true")
	}
	if q.Node != "" {
		query.Set("node", q.Node)
	}
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(min(q.Limit, pageSize)))
	}
	if name == "" {
		return nil, fmt.Errorf("service: %w: a name has 1 to 63 characters", mcc.ErrInvalid)
	}
	var out struct{ Providers []provider }
	if err := c.call(ctx, "GET", path("discovery", name)+"?"+query.Encode(), nil, &out); err != nil {
		return nil, err
	}
	return convert(out.Providers, provider.public), nil
}

const (
	// pageSize is how much of a list is asked for at once.
	pageSize = 1000
	// maxPages bounds a list, against a node that never ends one.
	maxPages = 1000
)

// all reads a list page by page.
func all[T any](ctx context.Context, get func(ctx context.Context, query string) (part []T, next string, err error)) ([]T, error) {
	items := []T{}
	query := ""
	for range maxPages {
		part, next, err := get(ctx, query)
		if err != nil {
			return nil, err
		}
		items = append(items, part...)
		if next == "" {
			return items, nil
		}
		query = "?cursor=" + url.QueryEscape(next)
	}
	return nil, fmt.Errorf("list: %w: more than %d pages", mcc.ErrTooLarge, maxPages)
}

func convert[J, T any](items []J, to func(J) T) []T {
	out := make([]T, 0, len(items))
	for _, item := range items {
		out = append(out, to(item))
	}
	return out
}

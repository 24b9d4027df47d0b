package rest

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	mcc "github.com/staex-mcc/mcc"
)

// NewService is the body of POST /api/v1/services.
type NewService struct {
	Name    string            `json:"name" minLength:"1" maxLength:"63" doc:"A DNS label: a-z, 0-9 and inner -" example:"files"`
	Address string            `json:"address" minLength:"1" maxLength:"1024" doc:"Where the service listens, as this node sees it: tcp://host:port, unix:path, http://host:port or https://host:port" example:"tcp://localhost:8000"`
	Tags    []string          `json:"tags,omitempty" maxItems:"16" doc:"Let callers choose" example:"[\"blue\"]"`
	Meta    map[string]string `json:"meta,omitempty" maxProperties:"16" doc:"Shown to callers" example:"{\"version\":\"1.2\"}"`
	Weight  int               `json:"weight,omitempty" minimum:"0" maximum:"1000" doc:"For the weighted policy; 0 is 1" example:"10"`
	Health  *NewHealth        `json:"health,omitempty" doc:"How to check the service; absent is no check"`
	Allow   []string          `json:"allow,omitempty" doc:"Who may call; empty is everybody whose certificate has call:<name>" example:"[\"label:web*\"]"`
	Persist bool              `json:"persist,omitempty" doc:"Keep the registration across restarts"`
}

// NewHealth asks for a health check.
type NewHealth struct {
	Type      string  `json:"type" enum:"tcp,http" doc:"tcp connects, http wants a 2xx or 3xx" example:"http"`
	Path      string  `json:"path,omitempty" maxLength:"1024" doc:"What an http check asks for; empty is /" example:"/healthz"`
	IntervalS float64 `json:"interval_s,omitempty" minimum:"0" maximum:"86400" doc:"Seconds between checks; 0 is 10" example:"10"`
	TimeoutS  float64 `json:"timeout_s,omitempty" minimum:"0" maximum:"3600" doc:"Seconds a check may take; 0 is 2" example:"2"`
}

// Service is a registration of this node.
type Service struct {
	Name    string            `json:"name" doc:"The name callers use" example:"files"`
	Address string            `json:"address" doc:"Where the service listens, as this node sees it" example:"tcp://localhost:8000"`
	Tags    []string          `json:"tags" nullable:"false" doc:"Let callers choose" example:"[\"blue\"]"`
	Meta    map[string]string `json:"meta" doc:"Shown to callers" example:"{\"version\":\"1.2\"}"`
	Weight  int               `json:"weight" doc:"For the weighted policy" example:"10"`
	Health  *Health           `json:"health,omitempty" doc:"How the service is checked; absent if it is not"`
	Allow   []string          `json:"allow" nullable:"false" doc:"Who may call; empty is everybody whose certificate has call:<name>" example:"[\"label:web*\"]"`
	Persist bool              `json:"persist" doc:"Kept across restarts"`
}

// Health is how a service is checked.
type Health struct {
	Type      string  `json:"type" doc:"tcp or http" example:"http"`
	Path      string  `json:"path" doc:"What an http check asks for" example:"/healthz"`
	IntervalS float64 `json:"interval_s" doc:"Seconds between checks" example:"10"`
	TimeoutS  float64 `json:"timeout_s" doc:"Seconds a check may take" example:"2"`
}

// ServiceList is the answer of GET /api/v1/services.
type ServiceList struct {
	Services []Service `json:"services" nullable:"false" doc:"By name"`
	Next     string    `json:"next,omitempty" doc:"Cursor of the next page; absent on the last"`
}

// byName is the input of operations on one service.
type byName struct {
	Name string `path:"name" maxLength:"63" doc:"The service" example:"files"`
}

func (h *Handler) registerServices(api huma.API) {
	tags := []string{"services"}
	register(h, api, huma.Operation{
		OperationID: "listServices", Method: http.MethodGet, Path: "/services", Tags: tags,
		Summary: "Services of this node", Description: "What this node offers to the mesh, by name.",
	}, func(_ context.Context, in *Page) (*body[ServiceList], error) {
		part, next := page(*in, h.node.LocalServices(), func(s mcc.Service) string { return s.Name })
		return &body[ServiceList]{ServiceList{Services: list(part, serviceJSON), Next: next}}, nil
	})
	register(h, api, huma.Operation{
		OperationID: "getService", Method: http.MethodGet, Path: "/services/{name}", Tags: tags,
		Summary: "One service of this node", Errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *byName) (*body[Service], error) {
		s, ok := h.localService(in.Name)
		if !ok {
			return nil, fmt.Errorf("service %q: %w", in.Name, mcc.ErrNotFound)
		}
		return &body[Service]{serviceJSON(s)}, nil
	})
	register(h, api, huma.Operation{
		OperationID: "registerService", Method: http.MethodPost, Path: "/services", Tags: tags,
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusConflict, http.StatusServiceUnavailable, http.StatusGatewayTimeout},
		Summary: "Offer a service", Description: "Announces a service that this node can reach to the mesh.",
	}, h.registerService)
	register(h, api, huma.Operation{
		OperationID: "unregisterService", Method: http.MethodDelete, Path: "/services/{name}", Tags: tags,
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
		Summary: "Withdraw a service", Description: "Open connections go on.",
	}, func(ctx context.Context, in *byName) (*nothing, error) {
		return nil, h.node.Unregister(ctx, in.Name)
	})
}

func (h *Handler) registerService(ctx context.Context, in *body[NewService]) (*created[Service], error) {
	s := in.Body.service()
	if err := h.node.Register(ctx, s); err != nil {
		return nil, err
	}
	if kept, ok := h.localService(s.Name); ok {
		s = kept
	}
	return &created[Service]{Location: apiPrefix + "/services/" + url.PathEscape(s.Name), Body: serviceJSON(s)}, nil
}

func (h *Handler) localService(name string) (mcc.Service, bool) {
	for _, s := range h.node.LocalServices() {
		if s.Name == name {
			return s, true
		}
	}
	return mcc.Service{}, false
}

func (n NewService) service() mcc.Service {
	s := mcc.Service{
		Name: n.Name, Address: n.Address, Tags: n.Tags, Meta: n.Meta,
		Weight: n.Weight, Allow: n.Allow, Persist: n.Persist,
	}
	if n.Health != nil {
		s.Health = &mcc.HealthCheck{
			Type: n.Health.Type, Path: n.Health.Path,
			Interval: seconds(n.Health.IntervalS), Timeout: seconds(n.Health.TimeoutS),
		}
	}
	return s
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func serviceJSON(s mcc.Service) Service {
	j := Service{
		Name: s.Name, Address: s.Address, Tags: list(s.Tags, same[string]), Meta: notNil(s.Meta),
		Weight: max(s.Weight, 1), Allow: list(s.Allow, same[string]), Persist: s.Persist,
	}
	if hc := s.Health; hc != nil {
		j.Health = &Health{
			Type: hc.Type, Path: hc.Path,
			IntervalS: cmp.Or(hc.Interval, 10*time.Second).Seconds(), TimeoutS: cmp.Or(hc.Timeout, 2*time.Second).Seconds(),
		}
		if hc.Type == "http" {
			j.Health.Path = cmp.Or(hc.Path, "/")
		}
	}
	return j
}

// notNil makes {} of a nil map, which would be null.
func notNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

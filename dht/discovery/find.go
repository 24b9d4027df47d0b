package discovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/staex-mcc/mcc/dht"
	"github.com/staex-mcc/mcc/identity"
)

// Find returns who offers a service now, in the order of their ids; nobody is an
// empty slice. Consortium is empty for an open mesh: there is no default here. A
// lease that cannot be read, or says another consortium, is left out and
// counted. It asks the network and blocks until that answers or ctx ends.
func (r *Registry) Find(ctx context.Context, consortium, name string) ([]Provider, error) {
	if err := errors.Join(ValidateName(name), checkConsortium(consortium)); err != nil {
		return nil, err
	}
	found, err := r.find(ctx, Key(consortium, name), func(b body) bool { return b.consortium == consortium })
	if err != nil {
		return nil, fmt.Errorf("find %q: %w", name, err)
	}
	providers := make([]Provider, 0, len(found))
	for _, l := range found {
		providers = append(providers, l.provider())
	}
	return providers, nil
}

// FindLabel returns the nodes that say they bear a label, of all consortia, in
// the order of their ids; none is an empty slice. Whether one really does is in
// its certificate. What identity.NormalizeLabel would change is no label and
// ErrInvalid.
func (r *Registry) FindLabel(ctx context.Context, label string) ([]identity.ID, error) {
	if normal, err := identity.NormalizeLabel(label); err != nil || normal != label {
		return nil, fmt.Errorf("label %.40q: %w", label, ErrInvalid)
	}
	found, err := r.find(ctx, LabelKey(label), func(b body) bool { return b.label == label })
	if err != nil {
		return nil, fmt.Errorf("find label %q: %w", label, err)
	}
	ids := make([]identity.ID, 0, len(found))
	for _, l := range found {
		ids = append(ids, l.Provider)
	}
	return ids, nil
}

// lease is one that could be read.
type lease struct {
	dht.FoundLease
	body body
}

// find returns the leases under key whose body is wanted there.
func (r *Registry) find(ctx context.Context, key dht.Key, wanted func(body) bool) ([]lease, error) {
	ctx, end, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	found, err := r.cfg.DHT.FindLeases(ctx, key)
	if err != nil {
		return nil, r.reason(err)
	}
	leases := make([]lease, 0, len(found))
	for _, l := range found {
		b, err := decodeBody(l.Body)
		if err != nil || !wanted(b) {
			r.dropped.Add(1)
			continue
		}
		leases = append(leases, lease{l, b})
	}
	slices.SortFunc(leases, func(a, b lease) int { return a.Provider.Compare(b.Provider) })
	return leases, nil
}

// provider returns a copy that its receiver may keep.
func (l lease) provider() Provider {
	return Provider{
		ID:         l.Provider,
		Label:      l.body.label,
		Consortium: l.body.consortium,
		Tags:       slices.Clone(l.body.tags),
		Meta:       maps.Clone(l.body.meta),
		Weight:     l.body.weight,
		Healthy:    l.body.healthy,
		Expires:    l.Expires,
		Addr:       l.Addr,
	}
}

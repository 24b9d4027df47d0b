package client

import (
	"context"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
)

// Info describes the node. Wire and Open are not told by the API and zero.
func (c *Client) Info(ctx context.Context) (mcc.Info, error) {
	var out struct {
		ID           identity.ID
		Label        string
		DID          string
		Consortium   string
		Addresses    []string
		Version      string
		UptimeS      float64 `json:"uptime_s"`
		Peers        int
		Reachability string
	}
	if err := c.call(ctx, "GET", path("node"), nil, &out); err != nil {
		return mcc.Info{}, err
	}
	return mcc.Info{
		ID: out.ID, Label: out.Label, DID: out.DID, Consortium: out.Consortium, Addresses: out.Addresses,
		Version: out.Version, Uptime: seconds(out.UptimeS), Peers: out.Peers, Reachability: out.Reachability,
	}, nil
}

// Peers are the authenticated peers of the node, by id.
func (c *Client) Peers(ctx context.Context) ([]mcc.PeerInfo, error) {
	type peer struct {
		ID         identity.ID
		Label      string
		Consortium string
		Address    string
		Path       string
		RTTMs      float64 `json:"rtt_ms"`
		State      string
	}
	public := func(p peer) mcc.PeerInfo {
		return mcc.PeerInfo{
			ID: p.ID, Label: p.Label, Consortium: p.Consortium, Address: p.Address,
			Path: p.Path, RTT: milliseconds(p.RTTMs), State: p.State,
		}
	}
	return all(ctx, func(ctx context.Context, query string) ([]mcc.PeerInfo, string, error) {
		var out struct {
			Peers []peer
			Next  string
		}
		err := c.call(ctx, "GET", path("peers")+query, nil, &out)
		return convert(out.Peers, public), out.Next, err
	})
}

// listener is a local port of the node as the API says it.
type listener struct {
	ID      string   `json:"id,omitempty"`
	Service string   `json:"service"`
	Address string   `json:"address"`
	Policy  string   `json:"policy,omitempty"`
	From    []string `json:"from,omitempty"`
	Persist bool     `json:"persist,omitempty"`
}

func (l listener) public() mcc.Listener { return mcc.Listener(l) }

// Listeners are the local ports of the node that lead to services, by id.
func (c *Client) Listeners(ctx context.Context) ([]mcc.Listener, error) {
	return all(ctx, func(ctx context.Context, query string) ([]mcc.Listener, string, error) {
		var out struct {
			Listeners []listener
			Next      string
		}
		err := c.call(ctx, "GET", path("listeners")+query, nil, &out)
		return convert(out.Listeners, listener.public), out.Next, err
	})
}

// AddListener opens a local port on the node's machine that leads to a service,
// and returns it with its ID and address. An address that is taken is
// mcc.ErrInUse. The ID of l is ignored.
func (c *Client) AddListener(ctx context.Context, l mcc.Listener) (mcc.Listener, error) {
	l.ID = ""
	var out listener
	err := c.call(ctx, "POST", path("listeners"), listener(l), &out)
	return out.public(), err
}

// RemoveListener closes a local port of the node, or is mcc.ErrNotFound. Its
// open connections go on.
func (c *Client) RemoveListener(ctx context.Context, id string) error {
	return c.call(ctx, "DELETE", path("listeners", id), nil, nil)
}

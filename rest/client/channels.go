package client

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	mcc "github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/forward"
	"github.com/staex-mcc/mcc/rest/internal/wsconn"
)

// DialNode implements mcc.Channels. The net.Conn has CloseWrite and Reset too.
func (c *Client) DialNode(ctx context.Context, node, protocol string) (net.Conn, error) {
	if node == "" || protocol == "" {
		return nil, fmt.Errorf("channel: %w: it needs a node and a protocol", mcc.ErrInvalid)
	}
	conn, err := c.dial(ctx, path("channels", node, protocol), nil)
	if err != nil {
		return nil, err // not a nil *Conn in a net.Conn
	}
	return conn, nil
}

// DialContext implements mcc.Services, and http.Transport.DialContext.
func (c *Client) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if !strings.HasPrefix(network, "tcp") {
		return nil, fmt.Errorf("dial %s %q: %w: the network must be tcp", network, address, mcc.ErrInvalid)
	}
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	address = strings.TrimSuffix(strings.ToLower(address), ".")
	return c.DialService(ctx, strings.TrimSuffix(address, ".mcc"), forward.Choice{})
}

// DialService is DialContext with a say in which provider is taken. Of the
// choice, Policy, Node and Tag count.
func (c *Client) DialService(ctx context.Context, service string, choice forward.Choice) (net.Conn, error) {
	if service == "" {
		return nil, fmt.Errorf("service: %w: no name", mcc.ErrInvalid)
	}
	header := http.Header{}
	for name, value := range map[string]string{
		forward.HeaderPolicy: choice.Policy, forward.HeaderNode: choice.Node, forward.HeaderTag: choice.Tag,
	} {
		if value != "" {
			header.Set(name, value)
		}
	}
	conn, err := c.dial(ctx, path("streams", service), header)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// dial opens a WebSocket, which outlives ctx and the client.
func (c *Client) dial(ctx context.Context, path string, header http.Header) (*wsconn.Conn, error) {
	ctx, cancel, err := c.alive(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if header == nil {
		header = http.Header{}
	}
	c.authorize(header)
	conn, err := wsconn.Dial(ctx, c.http, c.base+path, header)
	if err != nil {
		return nil, c.dialError(ctx, err)
	}
	return conn, nil
}

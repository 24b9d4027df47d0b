package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/spf13/cobra"
)

func newConnectCommand(std streams) *cobra.Command {
	var choice tunnelChoice
	cmd := &cobra.Command{
		Use: "connect SERVICE", Short: "connect standard input and output to a service", Args: exactArgs(1),
		Long: "Connect standard input and output to a service. The end of the input is passed on, and\n" +
			"what the service still says is printed; it ends when both sides have.",
		Example: "  ssh -o 'ProxyCommand mcc connect ssh.%h' host",
	}
	cmd.Flags().StringVar(&choice.policy, "policy", "", "chooses among providers: nearest (the default), random, round-robin, weighted, sticky")
	cmd.Flags().StringVar(&choice.node, "node", "", "only this provider: id, did:key or label")
	cmd.Flags().StringVar(&choice.tag, "tag", "", "only providers with this tag")
	return nodeCommand(cmd, std, func(ctx context.Context, s *session) error {
		t, err := s.openTunnel(ctx, s.args[0], choice)
		if err != nil {
			return err
		}
		defer t.Close()
		return t.join(ctx, s.std)
	})
}

// tunnel is a connection to a service through the node.
type tunnel struct {
	net.Conn
	buffered *bufio.Reader // reads Conn; what came with the answer is in it
}

// halfCloser ends one direction of a connection, as TCP, Unix sockets and TLS
// do.
type halfCloser interface{ CloseWrite() error }

// join copies both ways until both have ended. When the service ends first, the
// output is closed, so that whoever reads it knows, and the input is still
// passed on, unless a person types it, whom nothing would tell.
func (t *tunnel) join(ctx context.Context, std streams) error {
	defer context.AfterFunc(ctx, func() { t.Close() })()
	sent := make(chan error, 1)
	go func() { sent <- t.send(std.in) }()
	out := &sink{out: std.out}
	if _, err := io.Copy(out, t.buffered); err != nil {
		return cmp.Or(context.Cause(ctx), out.err, fmt.Errorf("the connection broke: %w", err))
	}
	if f, ok := std.in.(*os.File); ok && isTerminal(f) {
		return nil
	}
	if c, ok := std.out.(io.Closer); ok {
		_ = c.Close() // nothing follows
	}
	select {
	case err := <-sent:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// send passes the input on and its end. That the service takes no more is no
// failure: it may have all it needs.
func (t *tunnel) send(in io.Reader) error {
	from := &input{from: in}
	if _, err := io.Copy(t.Conn, from); err != nil && from.err() != nil {
		// Not the end of the input: the service must not take it for one.
		return errors.Join(from.err(), t.Close())
	}
	if h, ok := t.Conn.(halfCloser); ok {
		_ = h.CloseWrite() // of a connection that is gone
	}
	return nil
}

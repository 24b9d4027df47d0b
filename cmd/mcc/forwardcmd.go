package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const listenersPath = "/api/v1/listeners"

// localPort is a listener of the API.
type localPort struct {
	ID      string   `json:"id,omitempty"`
	Service string   `json:"service"`
	Address string   `json:"address"`
	Policy  string   `json:"policy,omitempty"`
	From    []string `json:"from,omitempty"`
}

func newForwardCommand(std streams) *cobra.Command {
	var want localPort
	cmd := &cobra.Command{
		Use: "forward SERVICE LOCAL-ADDRESS", Short: "open a local port of the node that leads to a service", Args: exactArgs(2),
		Long: "Open a local port of the node that leads to a service, print its address, and close it\n" +
			"when this command ends. The address is host:port, a port alone (on 127.0.0.1; 0 is any),\n" +
			"tcp://host:port or unix:path.",
		Example: "  mcc forward files 5000",
	}
	cmd.Flags().StringVar(&want.Policy, "policy", "", "chooses among providers: nearest (the default), random, round-robin, weighted, sticky")
	cmd.Flags().StringSliceVar(&want.From, "from", nil, "only these providers: id:z6Mk…")
	return nodeCommand(cmd, std, func(ctx context.Context, s *session) error {
		want.Service, want.Address = s.args[0], localAddress(s.args[1])
		port, raw, err := s.openPort(ctx, want)
		if err != nil {
			return err
		}
		err = s.print(raw, func(w io.Writer) { fmt.Fprintln(w, port.Address) })
		if err == nil {
			err = s.watchPort(ctx, port)
		}
		if errors.Is(err, errPortGone) {
			return err
		}
		return errors.Join(err, s.closePort(port))
	})
}

// localAddress completes what people type.
func localAddress(text string) string {
	switch {
	case strings.Contains(text, "://"), strings.HasPrefix(text, "unix:"):
		return text
	case !strings.Contains(text, ":"):
		return "tcp://" + net.JoinHostPort("127.0.0.1", text)
	}
	return "tcp://" + text
}

// openPort is not ended by a signal at once: the port may be open already, and
// then its id is needed to close it.
func (s *session) openPort(ctx context.Context, want localPort) (made localPort, raw []byte, err error) {
	ctx, release := outlast(ctx, closeWait)
	defer release()
	ctx, cancel := context.WithTimeout(ctx, s.flags.timeout)
	defer cancel()
	raw, err = s.do(ctx, http.MethodPost, listenersPath, want, &made)
	return made, raw, err
}

// outlast returns a context that ends some time after ctx, with its cause.
func outlast(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	late, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(by, func() { end(context.Cause(ctx)) })
	})
	return late, func() { stop(); end(nil) }
}

// How often the port is looked after, and how many times the node may be silent.
const (
	portCheck    = time.Second
	portFailures = 3
)

// errPortGone says that there is nothing left to close.
var errPortGone = errors.New("the node has closed the port")

// watchPort waits for a signal, which is no error, or until the port is gone.
func (s *session) watchPort(ctx context.Context, port localPort) error {
	tick := time.NewTicker(portCheck)
	defer tick.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := s.checkPort(ctx, port)
		switch {
		case ctx.Err() != nil || err == nil:
			failures = 0
		case errors.Is(err, errPortGone):
			return err
		default:
			if failures++; failures == portFailures {
				return fmt.Errorf("%w: %w", errPortGone, err)
			}
		}
	}
}

// checkPort asks whether the listener is still this one: a node that has been
// started again gives its numbers anew.
func (s *session) checkPort(ctx context.Context, port localPort) error {
	ctx, cancel := context.WithTimeout(ctx, s.flags.timeout)
	defer cancel()
	var now localPort
	_, err := s.do(ctx, http.MethodGet, portPath(port), nil, &now)
	if answer, ok := errors.AsType[*answerError](err); ok && answer.status == http.StatusNotFound {
		return errPortGone
	}
	if err == nil && (now.Address != port.Address || now.Service != port.Service) {
		return errPortGone
	}
	return err
}

func portPath(port localPort) string { return listenersPath + "/" + url.PathEscape(port.ID) }

// closeWait bounds the removal of the port: the user wants to leave.
const closeWait = 3 * time.Second

func (s *session) closePort(port localPort) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	err := s.checkPort(ctx, port)
	if err == nil {
		_, err = s.do(ctx, http.MethodDelete, portPath(port), nil, nil)
	}
	if errors.Is(err, errPortGone) {
		return nil
	}
	return err
}

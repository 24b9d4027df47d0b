// Command http-service serves an http.Handler into the mesh, which knows who
// calls, and calls it with an ordinary http.Client.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/identity"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "UDP address of this node")
	boot := flag.String("boot", "", "address of a node to join; without one this node serves")
	label := flag.String("label", "", "name of this node")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *boot, *label); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listen, boot, label string) error {
	opts := mcc.Options{Listen: listen, Label: label}
	if boot != "" {
		opts.Boot = []string{boot}
	}
	node, err := mcc.New(opts)
	if err != nil {
		return err
	}
	defer node.Close()
	if boot != "" {
		return call(ctx, node)
	}
	return serve(ctx, node)
}

// callerKey is where a request's context keeps who sent it.
type callerKey struct{}

// serve offers the handler as the service "greeter".
func serve(ctx context.Context, node *mcc.Node) error {
	ln, err := node.ListenService(mcc.Service{Name: "greeter"})
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: http.HandlerFunc(greet),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			caller, _ := node.WhoIs(conn)
			return context.WithValue(ctx, callerKey{}, caller)
		},
	}
	fmt.Println("listening on", node.Info().Addresses[0])
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func greet(w http.ResponseWriter, r *http.Request) {
	caller, _ := r.Context().Value(callerKey{}).(*identity.Peer)
	if caller == nil {
		http.Error(w, "who are you?", http.StatusForbidden)
		return
	}
	fmt.Fprintf(w, "hello %s, you asked for %s\n", caller.Label, r.URL.Path)
}

// call reaches it by name: DialContext fits http.Transport.
func call(ctx context.Context, node *mcc.Node) error {
	transport := &http.Transport{DialContext: node.DialContext}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://greeter.mcc/here", nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

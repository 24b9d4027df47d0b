// Command embed-echo embeds a node in a program: one offers an echo service
// over raw TCP, the other calls it by name.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/staex-mcc/mcc"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "UDP address of this node")
	boot := flag.String("boot", "", "address of a node to join; the caller needs one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *boot, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listen, boot string, args []string) error {
	opts := mcc.Options{Listen: listen}
	if boot != "" {
		opts.Boot = []string{boot}
	}
	node, err := mcc.New(opts)
	if err != nil {
		return err
	}
	defer node.Close()
	switch {
	case len(args) == 1 && args[0] == "offer":
		return offer(ctx, node)
	case len(args) == 2 && args[0] == "call":
		return call(ctx, node, args[1])
	}
	return errors.New("usage: embed-echo [flags] offer | call <text>")
}

// offer answers every connection with what it says.
func offer(ctx context.Context, node *mcc.Node) error {
	ln, err := node.ListenService(mcc.Service{Name: "echo"})
	if err != nil {
		return err
	}
	fmt.Println("listening on", node.Info().Addresses[0])
	go func() {
		<-ctx.Done()
		ln.Close()
	}()
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if caller, ok := node.WhoIs(conn); ok {
			fmt.Println("called by", caller.Label, caller.ID)
		}
		go echo(conn)
	}
}

func echo(conn net.Conn) {
	defer conn.Close()
	if _, err := io.Copy(conn, conn); err != nil {
		log.Print(err)
	}
}

// call sends text and prints what comes back. It says that it has nothing more
// to send, so the echo ends too.
func call(ctx context.Context, node *mcc.Node, text string) error {
	conn, err := node.DialContext(ctx, "tcp", "echo")
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil {
			return err
		}
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", answer)
	return nil
}

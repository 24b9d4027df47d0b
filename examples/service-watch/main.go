// Command service-watch prints who begins and ceases to offer a service.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/staex-mcc/mcc"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "UDP address of this node")
	boot := flag.String("boot", "127.0.0.1:9376", "address of a node to join")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: service-watch [flags] <service>")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	node, err := mcc.New(mcc.Options{Listen: *listen, Boot: []string{*boot}})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	if err := watch(ctx, node, flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
}

// watch prints each change until ctx ends. Any mcc.Mesh will do: a node, or a
// client of one in another process.
func watch(ctx context.Context, mesh mcc.Services, name string) error {
	fmt.Println("watching", name)
	for change, err := range mesh.Watch(ctx, name) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		p := change.Provider
		fmt.Println(change.Kind, p.Label, p.Node, p.Tags)
	}
	return nil
}

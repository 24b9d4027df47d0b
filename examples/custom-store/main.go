// Command custom-store runs a node on a store of its own: one file of JSON
// lines, which jsonlines.go keeps.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"

	"github.com/staex-mcc/mcc"
)

func main() {
	path := flag.String("file", "node.jsonl", "where the node keeps its records")
	listen := flag.String("listen", "127.0.0.1:0", "UDP address of this node")
	flag.Parse()
	if err := run(context.Background(), *path, *listen, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, path, listen string, words []string) error {
	kept, err := openLines(path)
	if err != nil {
		return err
	}
	defer kept.Close() // after the node, which leaves it open
	node, err := mcc.New(mcc.Options{Listen: listen, Store: kept})
	if err != nil {
		return err
	}
	defer node.Close()
	for _, word := range words {
		id, err := node.PutValue(ctx, []byte(word))
		if err != nil {
			return err
		}
		value, err := node.GetValue(ctx, id)
		if err != nil {
			return err
		}
		fmt.Printf("%s is kept as %s\n", value, id)
	}
	entries := 0
	for _, err := range kept.Scan(nil) {
		if err != nil {
			return err
		}
		entries++
	}
	fmt.Println("entries in the store:", entries)
	return nil
}

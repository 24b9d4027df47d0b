// Command remote-client uses the mesh through a node in another process: the
// client of its REST API is an mcc.Mesh like the node itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/staex-mcc/mcc"
	"github.com/staex-mcc/mcc/rest/client"
)

func main() {
	url := flag.String("url", "http://127.0.0.1:8080", "API of a running node, or unix:path")
	token := flag.String("token", os.Getenv("MCC_TOKEN"), "the API's token, if it asks for one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := client.New(client.Options{URL: *url, Token: *token})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := use(ctx, c); err != nil {
		log.Fatal(err)
	}
}

// use does a little of everything. It does not care where the node runs: given
// a *mcc.Node it does the same.
func use(ctx context.Context, mesh mcc.Mesh) error {
	record, err := mesh.PutRecord(ctx, "greeting", []byte("hello"), mcc.RecordOptions{})
	if err != nil {
		return err
	}
	fmt.Println("record of", record.Owner, "version", record.Seq)
	blob, err := mesh.PutBlob(ctx, strings.NewReader("a content of any size"), mcc.BlobOptions{Name: "example"})
	if err != nil {
		return err
	}
	content, err := readBlob(ctx, mesh, blob.ID)
	if err != nil {
		return err
	}
	fmt.Println("blob", blob.ID, content)
	if _, err := mesh.GetRecord(ctx, record.Owner.String(), "never put"); !errors.Is(err, mcc.ErrNotFound) {
		return fmt.Errorf("a record that nobody put: %w", err)
	}
	return talk(ctx, mesh, record.Owner.String())
}

func readBlob(ctx context.Context, mesh mcc.Blobs, id mcc.Hash) (string, error) {
	blob, err := mesh.OpenBlob(ctx, id)
	if err != nil {
		return "", err
	}
	defer blob.Close()
	content, err := io.ReadAll(blob)
	return string(content), err
}

// talk opens a channel from the node to itself and sends a line through it.
func talk(ctx context.Context, mesh mcc.Channels, node string) error {
	ln, err := mesh.Listen(ctx, "example/1")
	if err != nil {
		return err
	}
	defer ln.Close()
	go func() {
		conn, err := mesh.DialNode(ctx, node, "example/1")
		if err != nil {
			log.Print(err)
			ln.Close()
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "hello through a channel") // a failure shows at the other end
	}()
	conn, err := ln.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	said, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	fmt.Printf("channel %s\n", said)
	return nil
}

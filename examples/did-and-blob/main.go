// Command did-and-blob publishes a file so that whoever knows the node's DID
// finds it: the DID document names the content, a signed record says it again.
package main

import (
	"context"
	"encoding/json"
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
)

// endpoint begins the endpoint of the service in the document; the hash
// follows.
const endpoint = "urn:blake3:"

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "UDP address of this node")
	boot := flag.String("boot", "", "address of a node to join; the reader needs one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *boot, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listen, boot string, args []string) error {
	if len(args) != 2 || args[0] != "publish" && args[0] != "read" {
		return errors.New("usage: did-and-blob [flags] publish <file> | read <did>")
	}
	opts := mcc.Options{Listen: listen}
	if boot != "" {
		opts.Boot = []string{boot}
	}
	node, err := mcc.New(opts)
	if err != nil {
		return err
	}
	defer node.Close()
	if args[0] == "read" {
		return read(ctx, node, args[1])
	}
	did := "did:mcc:" + node.ID().String()
	if err := publish(ctx, node, did, args[1]); err != nil {
		return err
	}
	fmt.Println("listening on", node.Info().Addresses[0])
	fmt.Println("did", did)
	<-ctx.Done() // the content is here, so stay
	return nil
}

func publish(ctx context.Context, mesh mcc.Mesh, did, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	blob, err := mesh.PutBlob(ctx, f, mcc.BlobOptions{Name: file})
	if err != nil {
		return err
	}
	if _, err := mesh.PutRecord(ctx, "file", []byte(blob.ID.String()), mcc.RecordOptions{}); err != nil {
		return err
	}
	document, err := json.Marshal(map[string]any{
		"@context": "https://www.w3.org/ns/did/v1",
		"id":       did,
		"service":  []map[string]string{{"id": did + "#file", "type": "File", "serviceEndpoint": endpoint + blob.ID.String()}},
	})
	if err != nil {
		return err
	}
	_, err = mesh.PutDID(ctx, did, document)
	return err
}

// read follows the DID to the content and writes it to standard output. The
// node verifies every byte against the hash, and documents and records against
// the key that the DID is.
func read(ctx context.Context, mesh mcc.Mesh, did string) error {
	resolved, err := mesh.ResolveDID(ctx, did)
	if err != nil {
		return err
	}
	var document struct {
		Service []struct{ ServiceEndpoint string }
	}
	if err := json.Unmarshal(resolved.Document, &document); err != nil || len(document.Service) == 0 {
		return fmt.Errorf("%s names no file: %w", did, errors.Join(err, mcc.ErrNotFound))
	}
	id, err := mcc.ParseHash(strings.TrimPrefix(document.Service[0].ServiceEndpoint, endpoint))
	if err != nil {
		return err
	}
	record, err := mesh.GetRecord(ctx, strings.TrimPrefix(did, "did:mcc:"), "file")
	if err != nil {
		return err
	}
	if err := record.Verify(); err != nil || string(record.Value) != id.String() {
		return fmt.Errorf("the record does not agree with the document: %w", errors.Join(err, mcc.ErrInvalid))
	}
	blob, err := mesh.OpenBlob(ctx, id)
	if err != nil {
		return err
	}
	defer blob.Close()
	_, err = io.Copy(os.Stdout, blob)
	return err
}

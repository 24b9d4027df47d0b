// Command demo shows a small mesh at work: three nodes with certificates of one
// CA, a fourth of a foreign CA that gets nothing, an HTTP file server and a TCP
// echo reached by name through the third node, a record, a DID document and a
// BLOB read on another node than they were put on, and a provider that stops
// while others take over. Every step is checked; the first that fails ends the
// demo with exit code 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	mcc := flag.String("mcc", "./mcc", "the mcc program")
	keep := flag.Bool("keep", false, "leave the mesh running until interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *mcc, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo: FAILED:", err)
		os.Exit(1)
	}
}

// demo is the stage: folder, processes and what the steps hand on.
type demo struct {
	mcc, dir string
	started  time.Time
	steps    int

	echo, filesA, filesB string // addresses of the local services
	first, second, third *process
	foreign              *process
	stored               stored
}

// step runs one part of the demo and prints it with its time.
func (d *demo) step(what string, do func() (detail string, err error)) error {
	begin := time.Now()
	d.steps++
	detail, err := do()
	if err != nil {
		return fmt.Errorf("step %d, %s: %w", d.steps, what, err)
	}
	fmt.Printf("%2d. %-58s %6d ms  %s\n", d.steps, what, time.Since(begin).Milliseconds(), detail)
	return nil
}

func run(ctx context.Context, mcc string, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "mcc-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d := &demo{mcc: mcc, dir: dir, started: time.Now()}
	defer d.stopAll()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, s := range []struct {
		what string
		do   func(context.Context) (string, error)
	}{
		{"make a CA and sign three certificates", d.makeCertificates},
		{"start a file server (twice) and a TCP echo", d.startServices},
		{"start the first node: offers files and echo", d.startFirst},
		{"start the second node: offers files too", d.startSecond},
		{"start the third node: a local port leads to echo", d.startThird},
		{"look up files on the third node: two providers", d.lookUp},
		{"fetch a file over HTTP through the third node", d.fetchFile},
		{"fetch it by Host name on the same connection as the API", d.fetchByHost},
		{"talk to the echo through the third node's local port", d.talkToEcho},
		{"start a fourth node with a foreign CA: it is refused", d.startForeign},
		{"put a record on the second node, read it on the third", d.shareRecord},
		{"put a DID document there too, resolve it on the third", d.shareDID},
		{"put a BLOB of 100 MiB on the second node", d.putBlob},
		{"read it on the third node", d.readBlobOnThird},
		{"stop the second node: files fail over to the first", d.failOver},
		{"read the BLOB on the first node: the third has it", d.readBlobOnFirst},
	} {
		if err := d.step(s.what, func() (string, error) { return s.do(ctx) }); err != nil {
			return err
		}
	}
	fmt.Printf("done: %d steps in %.1f s\n", d.steps, time.Since(d.started).Seconds())
	if keep {
		d.showURLs()
		<-ctx.Done()
	}
	return nil
}

func (d *demo) showURLs() {
	fmt.Println("\nThe mesh keeps running until you press Ctrl-C:")
	for _, p := range []*process{d.first, d.third} {
		fmt.Printf("  %-7s %s   API %s/swagger/\n", p.name, p.url, p.url)
	}
	api := d.third.url + "/api/v1"
	fmt.Printf("  files   curl %s/forward/files/hello.txt\n", api)
	fmt.Printf("  record  curl -i %s/records/%s/state\n", api, d.second.id)
	fmt.Printf("  DID     curl %s/dids/%s\n", api, d.did())
	fmt.Printf("          curl %s/1.0/identifiers/%s\n", d.third.url, d.did())
	fmt.Printf("  BLOB    curl -o demo.bin %s/blobs/%s\n", api, d.stored.blob)
	fmt.Printf("          curl %s/blobs/%s/seeders\n", api, d.stored.blob)
	fmt.Println("The second node has been stopped, and the foreign one keeps knocking in vain.")
}

func (d *demo) stopAll() {
	for _, p := range []*process{d.foreign, d.third, d.second, d.first} {
		if p != nil {
			p.kill()
		}
	}
}

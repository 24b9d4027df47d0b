package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// blobSize is 100 MiB.
const blobSize = 100 << 20

// stored is what the second node keeps for the others.
type stored struct {
	blob, sum string // id, and SHA-256 of the content
}

// shareRecord puts a signed record on the second node and reads it on the third
// by the second's label.
func (d *demo) shareRecord(context.Context) (string, error) {
	const value = "{\"state\": \"open\"}\n"
	if err := writeFile(d.path("record.json"), value); err != nil {
		return "", err
	}
	put, err := d.tool("record", "put", "state", d.path("record.json"), "-api", d.second.url)
	if err != nil {
		return "", err
	}
	got, err := d.tool("record", "get", "second", "state", "-api", d.third.url)
	if err == nil && got != value {
		err = fmt.Errorf("the third node reads %q", got)
	}
	_, sequence, _ := strings.Cut(put, ", ")
	return fmt.Sprintf("%s, %s", strings.TrimSpace(got), strings.TrimSpace(sequence)), err
}

// did is the DID of the second node.
func (d *demo) did() string { return "did:mcc:" + d.second.id }

// shareDID stores the second node's DID document and resolves it on the third.
func (d *demo) shareDID(context.Context) (string, error) {
	document, err := d.tool("did", "create", "-api", d.second.url)
	if err != nil {
		return "", err
	}
	if err := writeFile(d.path("did.json"), document); err != nil {
		return "", err
	}
	if _, err := d.tool("did", "put", d.did(), d.path("did.json"), "-api", d.second.url); err != nil {
		return "", err
	}
	got, err := d.tool("did", "get", d.did(), "-api", d.third.url)
	if err == nil && got != document {
		err = fmt.Errorf("the third node resolves %q", got)
	}
	return d.did()[:20] + "…", err
}

// putBlob streams a BLOB to the second node; no file is made of it here.
func (d *demo) putBlob(ctx context.Context) (string, error) {
	sum := sha256.New()
	content := io.LimitReader(rand.NewChaCha8([32]byte([]byte("the content of the demo's BLOB.."))), blobSize)
	var id bytes.Buffer
	err := d.pipe(ctx, io.TeeReader(content, sum), &id, "blob", "put", "-name", "demo.bin", "-api", d.second.url)
	d.stored = stored{blob: strings.TrimSpace(id.String()), sum: hex.EncodeToString(sum.Sum(nil))}
	return d.stored.blob[:min(len(d.stored.blob), 16)] + "…", err
}

// readBlob compares the BLOB as a node gives it with what was put, and wants
// the node to be a seeder afterwards.
func (d *demo) readBlob(ctx context.Context, at *process) (string, error) {
	begin := time.Now()
	sum := sha256.New()
	if err := d.pipe(ctx, nil, sum, "blob", "get", d.stored.blob, "-api", at.url); err != nil {
		return "", err
	}
	speed := blobSize / (1 << 20) / time.Since(begin).Seconds()
	if got := hex.EncodeToString(sum.Sum(nil)); got != d.stored.sum {
		return "", fmt.Errorf("the content has SHA-256 %s, put was %s", got, d.stored.sum)
	}
	labels, err := d.seeders(ctx, at)
	return fmt.Sprintf("%.0f MiB/s, same hash; seeders: %s", speed, strings.Join(labels, ", ")), err
}

// seeders waits until a node is one itself and returns the labels of all.
func (d *demo) seeders(ctx context.Context, at *process) (labels []string, err error) {
	err = until(ctx, func() error {
		text, err := d.tool("blob", "seeders", d.stored.blob, "-api", at.url)
		if err != nil {
			return err
		}
		labels = nil
		for line := range strings.Lines(text) {
			if columns := strings.Fields(line); len(columns) == 2 && columns[0] != "NODE" {
				labels = append(labels, columns[1])
			}
		}
		slices.Sort(labels)
		if !slices.Contains(labels, at.name) {
			return fmt.Errorf("the seeders are %v, without %s", labels, at.name)
		}
		return nil
	})
	return labels, err
}

func (d *demo) readBlobOnThird(ctx context.Context) (string, error) { return d.readBlob(ctx, d.third) }

// readBlobOnFirst finds the BLOB although the node it was put on is gone.
func (d *demo) readBlobOnFirst(ctx context.Context) (string, error) { return d.readBlob(ctx, d.first) }

// pipe runs an mcc subcommand between in and out.
func (d *demo) pipe(ctx context.Context, in io.Reader, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, d.mcc, args...)
	log := &tail{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("mcc %s: %w: %s", strings.Join(args, " "), err, log)
	}
	return nil
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/staex-mcc/mcc"
)

const blobsPath = "/api/v1/blobs"

func newBlobCommand(std streams) *cobra.Command {
	return family("blob", "store and fetch BLOBs: contents of any size by their hash",
		newBlobPutCommand(std), newBlobGetCommand(std), newBlobListCommand(std),
		newBlobRemoveCommand(std), newBlobSeedersCommand(std))
}

// hashArgument checks an id before the node is asked.
func hashArgument(text string) (string, error) {
	id, err := mcc.ParseHash(text)
	if err != nil {
		return "", usage("mcc blob ls lists the BLOBs of the node", "%q is no id: %w", text, err)
	}
	return id.String(), nil
}

func newBlobPutCommand(std streams) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "put [FILE|-]", Short: "store a file or standard input, print the id", Args: rangeArgs(0, 1),
		Long: "Store a file or standard input on the node and print the id: the BLAKE3 hash of the\n" +
			"content, as b3sum prints it. The content is durable when the id appears.",
		Example: "  mcc blob put film.mkv\n  tar c folder | mcc blob put -name folder.tar",
	}
	cmd.Flags().StringVar(&name, "name", "", "name for people; default is the file's")
	return nodeCommand(cmd, std, func(ctx context.Context, s *session) error {
		in, err := openInput(s.std, argument(s.args, 0))
		if err != nil {
			return err
		}
		defer in.Close()
		if !cmd.Flags().Changed("name") && in.name != "" {
			name = filepath.Base(in.name)
		}
		answer, err := s.upload(ctx, in, name)
		if err != nil {
			return err
		}
		var made struct{ ID string }
		if err := s.decode(answer, &made); err != nil {
			return err
		}
		return s.print(answer, func(w io.Writer) { fmt.Fprintln(w, made.ID) })
	})
}

func newBlobGetCommand(std streams) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "get ID", Short: "write a BLOB to standard output or a file", Args: exactArgs(1),
		Long: "Fetch a BLOB from the node, which takes it from its seeders if it does not have it and\n" +
			"verifies every byte. With -o the file appears only when it is whole, and replaces one that\n" +
			"has its name. -o - is standard output, which is where a BLOB goes without -o too, unless\n" +
			"that is a terminal. With -json and without -o the BLOB is described, not written.",
		Example: "  mcc blob get 9d8f… -o film.mkv",
	}
	cmd.Flags().StringVar(&out, "o", "", "`file` to write to and to overwrite; - is standard output")
	return nodeCommand(cmd, std, func(ctx context.Context, s *session) error {
		id, err := hashArgument(s.args[0])
		if err != nil {
			return err
		}
		switch {
		case out == "-" && s.flags.json:
			return usage("", "-json and -o - would mix on standard output")
		case out == "-":
			return s.download(ctx, id, s.std.out)
		case out != "":
			return s.save(ctx, id, out)
		case s.flags.json:
			return s.describe(ctx, id)
		case onTerminal(s.std.out):
			return usage("use -o FILE, or -o - for the terminal", "a BLOB may be anything, so a terminal gets none unasked")
		}
		return s.download(ctx, id, s.std.out)
	})
}

// onTerminal tells a terminal from other devices, as /dev/null.
func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && terminalWidth(f) > 0
}

// blobEntry is one BLOB of the API's list.
type blobEntry struct {
	ID    string    `json:"id"`
	Size  int64     `json:"size"`
	Name  string    `json:"name,omitempty"`
	Added time.Time `json:"added"`
}

func newBlobListCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Short: "list the BLOBs of the node", Args: exactArgs(0)}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, _ []string) ([]byte, func(io.Writer), error) {
		list, err := c.blobs(ctx)
		if err != nil {
			return nil, nil, err
		}
		raw, err := json.Marshal(map[string]any{"blobs": list})
		return raw, func(w io.Writer) {
			table(w, "ID\tSIZE\tADDED\tNAME", func(add func(string, ...any)) {
				for _, b := range list {
					add("%s\t%s\t%s\t%s", b.ID, bytesText(b.Size), b.Added.UTC().Format(time.RFC3339), orDash(oneLine(b.Name)))
				}
			})
		}, err
	}, std)
}

// mostBlobs bounds a list that is held to be printed.
const mostBlobs = 1_000_000

// blobs reads all pages of the list.
func (c *apiClient) blobs(ctx context.Context) ([]blobEntry, error) {
	all := []blobEntry{}
	for cursor := ""; ; {
		var page struct {
			Blobs []blobEntry
			Next  string
		}
		if _, err := c.do(ctx, http.MethodGet, blobsPath+"?cursor="+url.QueryEscape(cursor), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Blobs...)
		if page.Next == "" {
			return all, nil
		}
		if page.Next == cursor || len(all) > mostBlobs {
			return nil, errors.New("the node's list does not end")
		}
		cursor = page.Next
	}
}

func newBlobRemoveCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rm ID...", Short: "remove the node's copies of BLOBs", Args: rangeArgs(1, mostBlobs),
		Long: "Remove the copies of the node, which stops announcing them. Other nodes keep theirs.",
	}
	return nodeCommand(cmd, std, func(ctx context.Context, s *session) error {
		ids := make([]string, len(s.args))
		for i, text := range s.args {
			var err error
			if ids[i], err = hashArgument(text); err != nil {
				return err
			}
		}
		var failed error
		for _, id := range ids {
			failed = errors.Join(failed, s.removeBlob(ctx, id))
		}
		return failed
	})
}

func (s *session) removeBlob(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, s.flags.timeout)
	defer cancel()
	raw, err := s.do(ctx, http.MethodDelete, blobsPath+"/"+id, nil, nil)
	if err != nil {
		return err
	}
	return s.print(raw, func(w io.Writer) { fmt.Fprintf(w, "removed %s\n", id) })
}

func newBlobSeedersCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "seeders ID", Short: "list the nodes that have a BLOB", Args: exactArgs(1)}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error) {
		id, err := hashArgument(args[0])
		if err != nil {
			return nil, nil, err
		}
		var found struct {
			Seeders []struct{ Node, Label string }
		}
		raw, err := c.do(ctx, http.MethodGet, blobsPath+"/"+id+"/seeders", nil, &found)
		return raw, func(w io.Writer) {
			if len(found.Seeders) == 0 {
				fmt.Fprintln(std.err, "mcc: no seeders")
				return
			}
			table(w, "NODE\tLABEL", func(add func(string, ...any)) {
				for _, s := range found.Seeders {
					add("%s\t%s", s.Node, orDash(s.Label))
				}
			})
		}, err
	}, std)
}

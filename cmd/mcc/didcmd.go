package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/identity/did"
)

const didsPath = "/api/v1/dids/"

func newDIDCommand(std streams) *cobra.Command {
	return family("did", "resolve DIDs and keep the node's own document",
		newDIDCreateCommand(std), newDIDGetCommand(std), newDIDPutCommand(std), newDIDDeactivateCommand(std))
}

func newDIDCreateCommand(std streams) *cobra.Command {
	var put bool
	cmd := &cobra.Command{
		Use: "create", Short: "make the default document of the node's did:mcc", Args: exactArgs(0),
		Long: "Print the document that the node makes of its key and its services, to edit and store\n" +
			"with mcc did put. With -put it is stored as it is. A document that was stored by hand is\n" +
			"no longer changed by the node when its services change.",
		Example: "  mcc did create > did.json\n  mcc did put did.json",
	}
	cmd.Flags().BoolVar(&put, "put", false, "store the document")
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, _ []string) ([]byte, func(io.Writer), error) {
		name, document, err := c.defaultDocument(ctx)
		if err != nil {
			return nil, nil, err
		}
		if put {
			return c.putDID(ctx, name, document)
		}
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, document, "", "  "); err != nil {
			return nil, nil, err
		}
		return document, func(w io.Writer) { fmt.Fprintf(w, "%s\n", &pretty) }, nil
	}, std)
}

// defaultDocument is what the node would publish of itself now.
func (c *apiClient) defaultDocument(ctx context.Context) (name string, document []byte, err error) {
	id, err := c.nodeID(ctx)
	if err != nil {
		return "", nil, err
	}
	var offered struct{ Services []did.Service }
	if _, err := c.do(ctx, http.MethodGet, "/api/v1/services", nil, &offered); err != nil {
		return "", nil, err
	}
	return ownDID(id.String()), did.ForNode(id, offered.Services), nil
}

func (c *apiClient) nodeID(ctx context.Context) (identity.ID, error) {
	var node struct{ ID string }
	if _, err := c.do(ctx, http.MethodGet, "/api/v1/node", nil, &node); err != nil {
		return identity.ID{}, err
	}
	id, err := identity.ParseID(node.ID)
	if err != nil {
		err = fmt.Errorf("the answer of %s is not the API's: %w", c.name, err)
	}
	return id, err
}

// ownDID is the DID whose document the node of an id keeps.
func ownDID(id string) string { return "did:mcc:" + id }

// namedDID is the DID that was given, or the node's own when none was.
func (c *apiClient) namedDID(ctx context.Context, given []string) (string, error) {
	if len(given) > 0 {
		return given[0], nil
	}
	id, err := c.nodeID(ctx)
	return ownDID(id.String()), err
}

// cutDID tells a DID from a file in [DID] [FILE|-]: one argument alone is a DID
// if it begins as one. An empty one is the mistake of a script, not a file.
func cutDID(args []string) (given, rest []string) {
	if len(args) == 2 || len(args) == 1 && (args[0] == "" || strings.HasPrefix(args[0], "did:")) {
		return args[:1], args[1:]
	}
	return nil, args
}

// putDID stores a document and says which version it became.
func (c *apiClient) putDID(ctx context.Context, name string, document []byte) ([]byte, func(io.Writer), error) {
	hd := rawHeader()
	hd.Set("Content-Type", "application/did+json")
	raw, _, err := c.raw(ctx, apiRequest{
		method: http.MethodPut, path: didsPath + segment(name), body: bytes.NewReader(document), header: hd,
	})
	if err != nil {
		return nil, nil, err
	}
	var made struct {
		DID     string
		Version uint64
	}
	return raw, func(w io.Writer) { fmt.Fprintf(w, "stored %s, version %d\n", made.DID, made.Version) }, c.decode(raw, &made)
}

// checkDID refuses what no node would look up. None is the node's own.
func checkDID(given []string) error {
	for _, name := range given {
		if _, err := did.Parse(name); err != nil {
			return usage("", "%q is no DID: %w", name, err)
		}
	}
	return nil
}

func newDIDGetCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "get [DID]", Short: "resolve a DID and print its document", Args: rangeArgs(0, 1),
		Long: "Print the document of a did:mcc from the mesh, or of a did:key, which is made from the\n" +
			"key, byte for byte. Without a DID it is the node's own did:mcc. -json adds the DID and the\n" +
			"version.",
	}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error) {
		if err := checkDID(args); err != nil {
			return nil, nil, err
		}
		name, err := c.namedDID(ctx, args)
		if err != nil {
			return nil, nil, err
		}
		document, hd, err := c.raw(ctx, apiRequest{method: http.MethodGet, path: didsPath + segment(name)})
		if err != nil {
			return nil, nil, err
		}
		version, _ := strconv.ParseUint(strings.Trim(hd.Get("ETag"), `"`), 10, 64) // a did:key has none
		raw, err := json.Marshal(struct {
			DID      string          `json:"did"`
			Version  uint64          `json:"version"`
			Document json.RawMessage `json:"document"`
		}{name, version, document})
		if err != nil {
			return nil, nil, fmt.Errorf("the answer of %s is not the API's: %w", c.name, err)
		}
		return raw, func(w io.Writer) { fmt.Fprintf(w, "%s\n", trimNewline(document)) }, nil
	}, std)
}

func newDIDPutCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "put [DID] [FILE|-]", Short: "store the document of the node's own did:mcc", Args: rangeArgs(0, 2),
		Long: "Store a file or standard input as the document of the node's own did:mcc, which may be\n" +
			"named for certainty. An argument that begins with did: is the DID; a file that is called\n" +
			"so is ./did:….",
		Example: "  mcc did put did.json",
	}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error) {
		given, rest := cutDID(args)
		if err := checkDID(given); err != nil {
			return nil, nil, err
		}
		document, err := readValue(ctx, std, argument(rest, 0))
		if err != nil {
			return nil, nil, err
		}
		name, err := c.namedDID(ctx, given)
		if err != nil {
			return nil, nil, err
		}
		return c.putDID(ctx, name, document)
	}, std)
}

func newDIDDeactivateCommand(std streams) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "deactivate [DID]", Short: "give the node's own did:mcc up for good", Args: rangeArgs(0, 1),
		Long: "Give the node's own did:mcc up, which may be named for certainty. This is final: a\n" +
			"deactivated DID never has a document again, so it takes -yes.",
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, for good")
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error) {
		if err := checkDID(args); err != nil {
			return nil, nil, err
		}
		if !yes {
			return nil, nil, usage("add -yes if you mean it", "a deactivated DID never comes back")
		}
		name, err := c.namedDID(ctx, args)
		if err != nil {
			return nil, nil, err
		}
		raw, err := c.do(ctx, http.MethodDelete, didsPath+segment(name), nil, nil)
		return raw, func(w io.Writer) { fmt.Fprintf(w, "deactivated %s\n", name) }, err
	}, std)
}

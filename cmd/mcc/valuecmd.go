package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"lukechampine.com/blake3"

	"github.com/staex-mcc/mcc"
)

const valuesPath = "/api/v1/values"

func newValueCommand(std streams) *cobra.Command {
	return family("value", "keep small immutable values by their hash",
		newValuePutCommand(std), newValueGetCommand(std), newValueRemoveCommand(std))
}

func newValuePutCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "put [FILE|-]", Short: "store a value, print its id", Args: rangeArgs(0, 1),
		Long: "Store a file or standard input, at most 65,536 bytes, at the nodes nearest to its\n" +
			"position and print the id: the BLAKE3 hash of the content.",
	}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error) {
		value, err := readValue(ctx, std, argument(args, 0))
		if err != nil {
			return nil, nil, err
		}
		raw, _, err := c.raw(ctx, apiRequest{method: http.MethodPost, path: valuesPath, body: bytes.NewReader(value), header: rawHeader()})
		if err != nil {
			return nil, nil, err
		}
		var made struct{ ID string }
		return raw, func(w io.Writer) { fmt.Fprintln(w, made.ID) }, c.decode(raw, &made)
	}, std)
}

func newValueGetCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "get ID", Short: "write a value to standard output", Args: exactArgs(1),
		Long: "Write a value to standard output as it is, or with -json in base64.",
	}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error) {
		id, err := hashArgument(args[0])
		if err != nil {
			return nil, nil, err
		}
		value, _, err := c.raw(ctx, apiRequest{method: http.MethodGet, path: valuesPath + "/" + id})
		if err != nil {
			return nil, nil, err
		}
		if got := mcc.Hash(blake3.Sum256(value)); got.String() != id {
			return nil, nil, fmt.Errorf("what %s sent is not value %s: %w", c.name, id, mcc.ErrDamaged)
		}
		raw, err := json.Marshal(map[string]any{"id": id, "value": value})
		return raw, func(w io.Writer) { _, _ = w.Write(value) }, err
	}, std)
}

func newValueRemoveCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rm ID", Short: "stop keeping a value alive", Args: exactArgs(1),
		Long: "Stop keeping a value of the node alive: it is gone there, and the nodes that hold it\n" +
			"forget it within 48 h, unless another node keeps it alive.",
	}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error) {
		id, err := hashArgument(args[0])
		if err != nil {
			return nil, nil, err
		}
		raw, err := c.do(ctx, http.MethodDelete, valuesPath+"/"+id, nil, nil)
		return raw, func(w io.Writer) { fmt.Fprintln(w, released(id, time.Now())) }, err
	}, std)
}

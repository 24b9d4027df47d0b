package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const recordsPath = "/api/v1/records/"

func newRecordCommand(std streams) *cobra.Command {
	return family("record", "keep small signed values of this node under names",
		newRecordPutCommand(std), newRecordGetCommand(std), newRecordRemoveCommand(std))
}

// named refuses an empty argument, which would change the path.
func named(what, text string) error {
	if text == "" {
		return usage("", "%s is empty", what)
	}
	return nil
}

// recordCondition is what a put asks for.
type recordCondition struct {
	ifSeq uint64
	ttl   time.Duration
	asked bool // ifSeq was given
}

func newRecordPutCommand(std streams) *cobra.Command {
	var o recordCondition
	cmd := &cobra.Command{
		Use: "put NAME [FILE|-]", Short: "sign and store the next version of a record", Args: rangeArgs(1, 2),
		Long: "Sign a file or standard input, at most 65,536 bytes, as the next version of the node's\n" +
			"record and store it at the nodes nearest to its position.",
		Example: "  echo up | mcc record put state\n  mcc record put state new.json -if-seq 3",
	}
	cmd.Flags().Uint64Var(&o.ifSeq, "if-seq", 0, "`sequence` that the record must have now; 0 = there must be none")
	cmd.Flags().DurationVar(&o.ttl, "ttl", 0, "how long the version lives, at most 48h; default is as long as the node runs")
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error) {
		o.asked = cmd.Flags().Changed("if-seq")
		if err := cmp.Or(named("NAME", args[0]), o.check(cmd.Flags().Changed("ttl"))); err != nil {
			return nil, nil, err
		}
		value, err := readValue(ctx, std, argument(args, 1))
		if err != nil {
			return nil, nil, err
		}
		var made struct {
			Owner, Name string
			Seq         uint64
		}
		raw, _, err := c.raw(ctx, o.request(args[0], value))
		if err != nil {
			return nil, nil, err
		}
		return raw, func(w io.Writer) {
			fmt.Fprintf(w, "stored %s of %s, sequence %d\n", oneLine(made.Name), made.Owner, made.Seq)
		}, c.decode(raw, &made)
	}, std)
}

// check refuses a lifetime that the API has no number for.
func (o recordCondition) check(ttlGiven bool) error {
	if ttlGiven && o.ttl < time.Second {
		return usage("", "-ttl %s: want at least 1s", o.ttl)
	}
	return nil
}

func (o recordCondition) request(name string, value []byte) apiRequest {
	r := apiRequest{
		method: http.MethodPut, path: recordsPath + segment(name),
		body: bytes.NewReader(value), header: rawHeader(),
	}
	if o.ttl > 0 {
		r.path += "?ttl_s=" + strconv.FormatInt(int64(o.ttl/time.Second), 10)
	}
	switch {
	case o.asked && o.ifSeq == 0:
		r.header.Set("If-None-Match", "*")
	case o.asked:
		r.header.Set("If-Match", strconv.Quote(strconv.FormatUint(o.ifSeq, 10)))
	}
	return r
}

func newRecordGetCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "get OWNER NAME", Short: "write the newest version of a node's record", Args: exactArgs(2),
		Long: "Write the value of a record to standard output as it is; -json shows all there is to\n" +
			"know, with the value in base64. The owner is an id, did:key or label.",
	}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error) {
		if err := cmp.Or(named("OWNER", args[0]), named("NAME", args[1])); err != nil {
			return nil, nil, err
		}
		value, hd, err := c.raw(ctx, apiRequest{method: http.MethodGet, path: recordsPath + segment(args[0]) + "/" + segment(args[1])})
		if err != nil {
			return nil, nil, err
		}
		raw, err := recordJSON(args[1], value, hd)
		return raw, func(w io.Writer) { _, _ = w.Write(value) }, err
	}, std)
}

// recordJSON puts together what the API tells in header and body.
func recordJSON(name string, value []byte, hd http.Header) ([]byte, error) {
	seq, err := strconv.ParseUint(strings.Trim(hd.Get("ETag"), `"`), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the answer is not the API's: sequence %q", hd.Get("ETag"))
	}
	return json.Marshal(struct {
		Owner     string `json:"owner"`
		Name      string `json:"name"`
		Seq       uint64 `json:"seq"`
		Expires   string `json:"expires"`
		Value     []byte `json:"value"`
		Signature string `json:"signature"`
	}{hd.Get("Mcc-Owner"), name, seq, hd.Get("Mcc-Expires"), value, hd.Get("Mcc-Signature")})
}

func newRecordRemoveCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rm NAME", Short: "stop keeping a record alive", Args: exactArgs(1),
		Long: "Stop keeping a record of the node alive: it is gone there, and the nodes that hold it\n" +
			"forget it within 48 h.",
	}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error) {
		if err := named("NAME", args[0]); err != nil {
			return nil, nil, err
		}
		raw, err := c.do(ctx, http.MethodDelete, recordsPath+segment(args[0]), nil, nil)
		return raw, func(w io.Writer) { fmt.Fprintln(w, released(oneLine(args[0]), time.Now())) }, err
	}, std)
}

// longestLife is how long other nodes may hold a record or value that nobody
// prolongs any more (docs/spec.md section 6).
const longestLife = 48 * time.Hour

// released says that the copies of others are not gone yet.
func released(what string, now time.Time) string {
	end := now.Add(longestLife + time.Minute).Truncate(time.Minute).UTC() // no earlier than it is
	return fmt.Sprintf("no longer kept alive: %s; others forget it by %s", what, end.Format(time.RFC3339))
}

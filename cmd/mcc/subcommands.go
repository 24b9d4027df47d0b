package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func newStatusCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "show the running node", Args: exactArgs(0)}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, _ []string) ([]byte, func(io.Writer), error) {
		var node struct {
			ID, Label, DID, Consortium, Version, Reachability string
			Addresses                                         []string
			UptimeS                                           float64 `json:"uptime_s"`
			Peers                                             int
		}
		raw, err := c.do(ctx, "GET", "/api/v1/node", nil, &node)
		return raw, func(w io.Writer) {
			table(w, "id\t"+node.ID, func(add func(string, ...any)) {
				add("did\t%s", ownDID(node.ID))
				add("label\t%s", node.Label)
				add("consortium\t%s", orDash(node.Consortium))
				for _, a := range node.Addresses {
					add("address\t%s", a)
				}
				add("version\t%s", node.Version)
				add("uptime\t%.0f s", node.UptimeS)
				add("peers\t%d", node.Peers)
				add("reachability\t%s", node.Reachability)
			})
		}, err
	}, std)
}

func newPeersCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "peers", Short: "list the authenticated peers", Args: exactArgs(0)}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, _ []string) ([]byte, func(io.Writer), error) {
		var list struct {
			Peers []struct {
				ID, Label, Consortium, Address, Path, State string
				RTT                                         float64 `json:"rtt_ms"`
			}
		}
		raw, err := c.do(ctx, "GET", "/api/v1/peers", nil, &list)
		return raw, func(w io.Writer) {
			table(w, "ID\tLABEL\tCONSORTIUM\tADDRESS\tPATH\tRTT\tSTATE", func(add func(string, ...any)) {
				for _, p := range list.Peers {
					add("%s\t%s\t%s\t%s\t%s\t%.1f ms\t%s", p.ID, orDash(p.Label), orDash(p.Consortium), p.Address, p.Path, p.RTT, p.State)
				}
			})
		}, err
	}, std)
}

func newServicesCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "services", Short: "list the services this node offers", Args: exactArgs(0)}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, _ []string) ([]byte, func(io.Writer), error) {
		var list struct {
			Services []struct {
				Name, Address string
				Tags          []string
				Weight        int
			}
		}
		raw, err := c.do(ctx, "GET", "/api/v1/services", nil, &list)
		return raw, func(w io.Writer) {
			table(w, "NAME\tADDRESS\tTAGS\tWEIGHT", func(add func(string, ...any)) {
				for _, s := range list.Services {
					add("%s\t%s\t%s\t%d", s.Name, orDash(s.Address), orDash(strings.Join(s.Tags, ",")), s.Weight)
				}
			})
		}, err
	}, std)
}

func newLookupCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "lookup NAME", Short: "list the providers of a service", Args: exactArgs(1)}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error) {
		var found struct {
			Providers []struct {
				Node, Label, Consortium string
				Tags                    []string
				Healthy                 bool
				RTT                     float64 `json:"rtt_ms"`
			}
		}
		raw, err := c.do(ctx, "GET", "/api/v1/discovery/"+segment(args[0]), nil, &found)
		return raw, func(w io.Writer) {
			table(w, "NODE\tLABEL\tCONSORTIUM\tTAGS\tHEALTHY\tRTT", func(add func(string, ...any)) {
				for _, p := range found.Providers {
					add("%s\t%s\t%s\t%s\t%t\t%.1f ms", p.Node, orDash(p.Label), orDash(p.Consortium), orDash(strings.Join(p.Tags, ",")), p.Healthy, p.RTT)
				}
			})
		}, err
	}, std)
}

func newRegisterCommand(std streams) *cobra.Command {
	var body struct {
		Name    string   `json:"name"`
		Address string   `json:"address"`
		Tags    []string `json:"tags,omitempty"`
		Allow   []string `json:"allow,omitempty"`
		Weight  int      `json:"weight,omitempty"`
		Persist bool     `json:"persist,omitempty"`
	}
	cmd := &cobra.Command{
		Use: "register NAME ADDRESS", Short: "offer a service", Args: exactArgs(2),
		Example: "  mcc register files tcp://localhost:9000",
	}
	cmd.Flags().StringSliceVar(&body.Tags, "tags", nil, "tags callers can choose by")
	cmd.Flags().StringSliceVar(&body.Allow, "allow", nil, "who may call: label:…, id:…, consortium:…")
	cmd.Flags().IntVar(&body.Weight, "weight", 0, "weight among providers, 1 to 1000")
	cmd.Flags().BoolVar(&body.Persist, "persist", false, "keep the registration across restarts of the node")
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error) {
		body.Name, body.Address = args[0], args[1]
		raw, err := c.do(ctx, "POST", "/api/v1/services", body, nil)
		return raw, func(w io.Writer) { fmt.Fprintf(w, "registered %s\n", args[0]) }, err
	}, std)
}

func newUnregisterCommand(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "unregister NAME", Short: "withdraw a service", Args: exactArgs(1)}
	return apiCommand(cmd, func(ctx context.Context, c *apiClient, args []string) ([]byte, func(io.Writer), error) {
		raw, err := c.do(ctx, "DELETE", "/api/v1/services/"+segment(args[0]), nil, nil)
		return raw, func(w io.Writer) { fmt.Fprintf(w, "unregistered %s\n", args[0]) }, err
	}, std)
}

package rest

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap/zapcore"

	mcc "github.com/staex-mcc/mcc"
)

// NodeInfo is the answer of GET /api/v1/node.
type NodeInfo struct {
	ID           string   `json:"id" doc:"Node id: the Ed25519 public key" example:"z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"`
	Label        string   `json:"label" doc:"Human-readable name" example:"gate"`
	DID          string   `json:"did" doc:"The node's static DID" example:"did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"`
	Consortium   string   `json:"consortium" doc:"Name of the CA that certified the node; empty in an open mesh" example:"acme"`
	Addresses    []string `json:"addresses" nullable:"false" doc:"Where the node listens, then where others have seen it" example:"[\"127.0.0.1:9376\"]"`
	Version      string   `json:"version" doc:"Version of the software" example:"0.1.0"`
	UptimeS      float64  `json:"uptime_s" doc:"Seconds since the start" example:"3600"`
	Peers        int      `json:"peers" doc:"Number of authenticated peers" example:"12"`
	Reachability string   `json:"reachability" doc:"\"unknown\" until others have dialled back" example:"unknown"`
}

// Peer is an authenticated peer.
type Peer struct {
	ID         string  `json:"id" doc:"Node id" example:"z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"`
	Label      string  `json:"label" doc:"Human-readable name" example:"gate"`
	Consortium string  `json:"consortium" doc:"Name of the CA that certified the peer; empty in an open mesh" example:"acme"`
	Address    string  `json:"address" doc:"host:port" example:"192.0.2.7:9376"`
	Path       string  `json:"path" doc:"How it is reached: tcp, quic, punched or relayed" example:"quic"`
	RTTMs      float64 `json:"rtt_ms" doc:"Round trip in milliseconds; 0 if none was measured" example:"12.5"`
	State      string  `json:"state" doc:"active if heard of in the last minute, else idle" example:"active"`
}

// PeerList is the answer of GET /api/v1/peers.
type PeerList struct {
	Peers []Peer `json:"peers" nullable:"false" doc:"By id"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent on the last"`
}

// LogLevel is the body of GET and PUT /api/v1/loglevel.
type LogLevel struct {
	Level string `json:"level" enum:"panic,fatal,error,warn,info,debug,trace" doc:"What is logged: this and everything graver" example:"info"`
}

// traceLevel is one below zap's lowest, for -loglevel 6.
const traceLevel = zapcore.DebugLevel - 1

// levels are the words of LogLevel.
var levels = map[string]zapcore.Level{
	"panic": zapcore.PanicLevel, "fatal": zapcore.FatalLevel, "error": zapcore.ErrorLevel, "warn": zapcore.WarnLevel,
	"info": zapcore.InfoLevel, "debug": zapcore.DebugLevel, "trace": traceLevel,
}

func levelName(l zapcore.Level) string {
	for name, level := range levels {
		if level == l {
			return name
		}
	}
	if l < traceLevel {
		return "trace"
	}
	return "panic" // zap's DPANIC, which lets panics and worse through
}

func (h *Handler) registerNode(api huma.API) {
	register(h, api, huma.Operation{
		OperationID: "getNode", Method: http.MethodGet, Path: "/node", Tags: []string{"node"},
		Summary: "This node", Description: "Who the node is, where it listens and how long it runs.",
	}, func(context.Context, *nothing) (*body[NodeInfo], error) {
		return &body[NodeInfo]{nodeInfo(h.node.Info())}, nil
	})
	register(h, api, huma.Operation{
		OperationID: "listPeers", Method: http.MethodGet, Path: "/peers", Tags: []string{"node"},
		Summary: "Peers of this node", Description: "Authenticated peers only, by id.",
	}, func(_ context.Context, in *Page) (*body[PeerList], error) {
		part, next := page(*in, h.node.Peers(), func(p mcc.PeerInfo) string { return p.ID.String() })
		return &body[PeerList]{PeerList{Peers: list(part, peerJSON), Next: next}}, nil
	})
}

func (h *Handler) registerLogLevel(api huma.API) {
	register(h, api, huma.Operation{
		OperationID: "getLogLevel", Method: http.MethodGet, Path: "/loglevel", Tags: []string{"node"},
		Summary: "The log level",
	}, func(context.Context, *nothing) (*body[LogLevel], error) {
		return &body[LogLevel]{LogLevel{levelName(h.opts.LogLevel.Level())}}, nil
	})
	register(h, api, huma.Operation{
		OperationID: "setLogLevel", Method: http.MethodPut, Path: "/loglevel", Tags: []string{"node"},
		Summary: "Set the log level", Description: "Holds until the node stops.",
	}, func(_ context.Context, in *body[LogLevel]) (*body[LogLevel], error) {
		h.opts.LogLevel.SetLevel(levels[in.Body.Level])
		return in, nil
	})
}

func nodeInfo(i mcc.Info) NodeInfo {
	return NodeInfo{
		ID: i.ID.String(), Label: i.Label, DID: i.DID, Consortium: i.Consortium, Addresses: list(i.Addresses, same[string]),
		Version: i.Version, UptimeS: math.Floor(i.Uptime.Seconds()), Peers: i.Peers, Reachability: i.Reachability,
	}
}

func peerJSON(p mcc.PeerInfo) Peer {
	return Peer{
		ID: p.ID.String(), Label: p.Label, Consortium: p.Consortium, Address: p.Address,
		Path: p.Path, RTTMs: milliseconds(p.RTT), State: p.State,
	}
}

// milliseconds of d, to the microsecond.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// same is the identity, for list.
func same[T any](v T) T { return v }

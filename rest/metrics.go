package rest

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics serves Prometheus from a registry of its own, so that an embedder's
// is left alone.
func (h *Handler) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		statsCollector{h},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// statsCollector turns mcc.Stats into metrics at every scrape. No label names a
// peer: a mesh has too many.
type statsCollector struct{ h *Handler }

// Describe says nothing, since the node decides which counters there are.
func (c statsCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c statsCollector) Collect(out chan<- prometheus.Metric) {
	m := metrics{out}
	c.h.collectNode(m)
	c.h.collectAPI(m)
	c.h.collectGateway(m)
}

// metrics takes figures, each under its name without the prefix.
type metrics struct{ out chan<- prometheus.Metric }

func (m metrics) gauge(name, help string, v float64) {
	m.out <- prometheus.MustNewConstMetric(prometheus.NewDesc("mcc_"+name, help, nil, nil), prometheus.GaugeValue, v)
}

func (m metrics) counter(name, help string, v uint64) {
	name = "mcc_" + strings.TrimSuffix(name, "_total") + "_total"
	m.out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, float64(v))
}

// collectNode tells what the node tells of itself.
func (h *Handler) collectNode(m metrics) {
	stats, info := h.node.Stats(), h.node.Info()
	build := prometheus.Labels{"version": info.Version, "wire": strconv.Itoa(info.Wire), "goversion": runtime.Version()}
	m.out <- prometheus.MustNewConstMetric(
		prometheus.NewDesc("mcc_build_info", "Always 1; the labels say what runs.", nil, build), prometheus.GaugeValue, 1)
	ready := 0.0
	if len(h.node.NotReady()) == 0 {
		ready = 1
	}
	m.gauge("ready", "1 if the node takes part in the mesh.", ready)
	m.gauge("uptime_seconds", "Time since the node's start.", info.Uptime.Seconds())
	m.gauge("peers", "Authenticated peers.", float64(stats.Peers))
	m.gauge("contacts", "Nodes in the routing table.", float64(stats.Contacts))
	m.gauge("services", "Services registered on this node.", float64(stats.Services))
	m.gauge("listeners", "Local ports that lead to services.", float64(stats.Listeners))
	m.gauge("blobs", "BLOBs of this node.", float64(stats.Blobs))
	m.gauge("blob_bytes", "Contents of the BLOBs of this node.", float64(stats.BlobBytes))
	for name, v := range stats.Counters {
		m.counter(metricName(name), "Counter "+name+" of the node.", v)
	}
}

// collectAPI tells who uses the API.
func (h *Handler) collectAPI(m metrics) {
	feeds, readers := h.watches.counts()
	m.gauge("rest_sockets", "Open WebSockets of channels and streams.", float64(h.sockets.opened()))
	m.gauge("rest_arrivals", "Channels that wait for a program to take them.", float64(h.sockets.arrivals()))
	m.counter("rest_sockets_refused", "WebSockets refused because too many were open.", h.sockets.full.Load())
	m.counter("rest_arrivals_expired", "Channels that no program took in time.", h.sockets.expired.Load())
	m.gauge("rest_watched_names", "Service names watched through the API.", float64(feeds))
	m.gauge("rest_watchers", "Open watches and event streams of the API.", float64(readers))
	m.counter("rest_watch_resets", "Watchers that were too far behind and got everything anew.", h.watches.resets.Load())
	m.counter("rest_watches_refused", "Watches refused because too many were open.", h.watches.full.Load())
	m.counter("rest_requests_refused", "Requests refused for their Host, Origin or token.", h.refused.Load())
	m.gauge("rest_transfers", "BLOBs on their way through the API.", float64(h.transfers.count()))
	m.counter("rest_transfers_refused", "BLOBs refused because too many were on their way.", h.transfers.refused.Load())
	m.counter("rest_transfers_stalled", "Contents cut because the client neither sent nor read.", h.transfers.stalled.Load())
}

// collectGateway tells what went to services over HTTP.
func (h *Handler) collectGateway(m metrics) {
	through := h.gateway.Stats()
	m.gauge("gateway_active", "Open streams of HTTP to services.", float64(through.Active))
	m.counter("gateway_requests", "HTTP requests to services.", through.Requests)
	m.counter("gateway_to_service_bytes", "Bytes sent to services over HTTP.", through.ToService)
	m.counter("gateway_from_service_bytes", "Bytes received from services over HTTP.", through.FromService)
	m.counter("gateway_dial_failures", "HTTP requests whose service could not be reached.", through.DialFailures)
	m.counter("gateway_refused", "HTTP requests to services refused because too many were under way.", through.Refused)
}

// metricName keeps what a metric's name may have.
func metricName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, strings.ToLower(name))
}

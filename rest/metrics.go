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
	stats, info := c.h.node.Stats(), c.h.node.Info()
	feeds, readers := c.h.watches.counts()
	gauge := func(name, help string, v float64, labels prometheus.Labels) {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc("mcc_"+name, help, nil, labels), prometheus.GaugeValue, v)
	}
	counter := func(name, help string, v uint64) {
		name = "mcc_" + strings.TrimSuffix(name, "_total") + "_total"
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, float64(v))
	}
	gauge("build_info", "Always 1; the labels say what runs.", 1, prometheus.Labels{
		"version": info.Version, "wire": strconv.Itoa(info.Wire), "goversion": runtime.Version(),
	})
	ready := 0.0
	if len(c.h.node.NotReady()) == 0 {
		ready = 1
	}
	gauge("ready", "1 if the node takes part in the mesh.", ready, nil)
	gauge("uptime_seconds", "Time since the node's start.", info.Uptime.Seconds(), nil)
	gauge("peers", "Authenticated peers.", float64(stats.Peers), nil)
	gauge("contacts", "Nodes in the routing table.", float64(stats.Contacts), nil)
	gauge("services", "Services registered on this node.", float64(stats.Services), nil)
	gauge("listeners", "Local ports that lead to services.", float64(stats.Listeners), nil)
	gauge("rest_watched_names", "Service names watched through the API.", float64(feeds), nil)
	gauge("rest_watchers", "Open watches and event streams of the API.", float64(readers), nil)
	counter("rest_watch_resets", "Watchers that were too far behind and got everything anew.", c.h.watches.resets.Load())
	counter("rest_watches_refused", "Watches refused because too many were open.", c.h.watches.full.Load())
	counter("rest_requests_refused", "Requests refused for their Host, Origin or token.", c.h.refused.Load())
	gauge("rest_transfers", "BLOBs on their way through the API.", float64(c.h.transfers.count()), nil)
	counter("rest_transfers_refused", "BLOBs refused because too many were on their way.", c.h.transfers.refused.Load())
	counter("rest_transfers_stalled", "Contents cut because the client neither sent nor read.", c.h.transfers.stalled.Load())
	through := c.h.gateway.Stats()
	gauge("gateway_active", "Open streams of HTTP to services.", float64(through.Active), nil)
	counter("gateway_requests", "HTTP requests to services.", through.Requests)
	counter("gateway_to_service_bytes", "Bytes sent to services over HTTP.", through.ToService)
	counter("gateway_from_service_bytes", "Bytes received from services over HTTP.", through.FromService)
	counter("gateway_dial_failures", "HTTP requests whose service could not be reached.", through.DialFailures)
	counter("gateway_refused", "HTTP requests to services refused because too many were under way.", through.Refused)
	for name, v := range stats.Counters {
		counter(metricName(name), "Counter "+name+" of the node.", v)
	}
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

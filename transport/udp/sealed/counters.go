package sealed

import "github.com/staex-mcc/mcc/transport"

// counter is an index of the Endpoint's counts.
type counter int

// What is counted. dropped* are packets that had no effect.
const (
	sessionsMade counter = iota
	sessionsEvicted
	sessionsMoved
	handshakesStarted
	handshakesAnswered
	cookiesAsked
	rekeys
	recoveries
	callsSent
	callsRepeated
	callsAnswered
	callsUnanswered
	requestsTaken
	requestsRepeated
	requestsLapsed
	requestsDeclined
	droppedMalformed
	droppedVersion
	droppedType
	droppedJunk
	droppedOverBudget
	droppedHandshake
	droppedForeignID
	droppedReplayedInit
	droppedUnexpected
	droppedNoSession
	droppedReplay
	droppedForged
	droppedExpired
	droppedUncertified
	droppedBusy
	droppedLateAnswer
	refusedPeers
	halfOpenEvicted
	chainsServed
	chainsFetched
	counterCount
)

var counterNames = [counterCount]string{
	sessionsMade:        "sessions_made",
	sessionsEvicted:     "sessions_evicted",
	sessionsMoved:       "sessions_moved",
	handshakesStarted:   "handshakes_started",
	handshakesAnswered:  "handshakes_answered",
	cookiesAsked:        "cookies_asked",
	rekeys:              "rekeys",
	recoveries:          "recoveries",
	callsSent:           "calls_sent",
	callsRepeated:       "calls_repeated",
	callsAnswered:       "calls_answered",
	callsUnanswered:     "calls_unanswered",
	requestsTaken:       "requests_taken",
	requestsRepeated:    "requests_repeated",
	requestsLapsed:      "requests_lapsed",
	requestsDeclined:    "requests_declined",
	droppedMalformed:    "dropped_malformed",
	droppedVersion:      "dropped_version",
	droppedType:         "dropped_type",
	droppedJunk:         "dropped_junk",
	droppedOverBudget:   "dropped_over_budget",
	droppedHandshake:    "dropped_handshake",
	droppedForeignID:    "dropped_foreign_id",
	droppedReplayedInit: "dropped_replayed_init",
	droppedUnexpected:   "dropped_unexpected",
	droppedNoSession:    "dropped_no_session",
	droppedReplay:       "dropped_replay",
	droppedForged:       "dropped_forged",
	droppedExpired:      "dropped_expired",
	droppedUncertified:  "dropped_uncertified",
	droppedBusy:         "dropped_busy",
	droppedLateAnswer:   "dropped_late_answer",
	refusedPeers:        "refused_peers",
	halfOpenEvicted:     "half_open_evicted",
	chainsServed:        "chains_served",
	chainsFetched:       "chains_fetched",
}

// Counters are the counts since New, always the same names in the same order.
func (e *Endpoint) Counters() []transport.Counter {
	list := make([]transport.Counter, counterCount)
	for i, name := range counterNames {
		list[i] = transport.Counter{Name: name, Value: e.counts[i]}
	}
	return list
}

package swarm

import "sync/atomic"

// Stats is what a swarm does and has done. Bytes are those of groups, without
// the nodes of the tree.
type Stats struct {
	Fetches int // BLOBs being fetched now
	Readers int // open readers now

	Completed uint64 // BLOBs fetched whole
	Failed    uint64 // fetches that ended with an error
	Refused   uint64 // Opens and Stats turned away with ErrBusy

	FetchedBytes   uint64 // verified and new
	DuplicateBytes uint64 // verified, but another seeder was faster
	Banned         uint64 // seeders that sent a wrong byte
	Unlinked       uint64 // seeders that failed or fell silent
	Outpaced       uint64 // seeders replaced by quicker ones
	Dropped        uint64 // seeders found beyond the 256 remembered for a BLOB

	Serving     int    // streams served now
	Served      uint64 // requests answered
	ServedBytes uint64
	Malformed   uint64 // streams ended for a malformed request

	Mended uint64 // times that groups were damaged on disk and fetched again
	Swept  uint64 // partial BLOBs deleted for their age
}

// counters are the parts of Stats that only grow, and the streams served now.
type counters struct {
	completed, failed, refused               atomic.Uint64
	fetched, duplicate                       atomic.Uint64
	mended, banned, unlinked, dropped        atomic.Uint64
	outpaced                                 atomic.Uint64
	served, servedBytes, malformed, sweptOut atomic.Uint64
	serving                                  atomic.Int64
}

// Stats never blocks for long; its parts are not of one instant.
func (s *Swarm) Stats() Stats {
	c := &s.counters
	stats := Stats{
		Completed: c.completed.Load(), Failed: c.failed.Load(), Refused: c.refused.Load(),
		FetchedBytes: c.fetched.Load(), DuplicateBytes: c.duplicate.Load(),
		Banned: c.banned.Load(), Unlinked: c.unlinked.Load(), Outpaced: c.outpaced.Load(), Dropped: c.dropped.Load(),
		Serving: int(c.serving.Load()), Served: c.served.Load(), ServedBytes: c.servedBytes.Load(),
		Malformed: c.malformed.Load(), Mended: c.mended.Load(), Swept: c.sweptOut.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stats.Fetches, stats.Readers = len(s.fetches), s.readers
	return stats
}

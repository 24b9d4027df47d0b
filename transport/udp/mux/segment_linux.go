package mux

import "golang.org/x/sys/unix"

// segmented reports whether control messages ask for segmentation offload
// (udp(7), UDP_SEGMENT). An EIO for a send that did not ask would send quic-go
// into an endless loop, so it is looked up, not guessed.
func segmented(oob []byte) bool {
	for len(oob) > 0 {
		hdr, _, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return false
		}
		if hdr.Level == unix.IPPROTO_UDP && hdr.Type == unix.UDP_SEGMENT {
			return true
		}
		oob = rest
	}
	return false
}

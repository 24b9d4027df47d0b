//go:build !linux

package mux

// segmented is false where quic-go does not use segmentation offload.
func segmented([]byte) bool { return false }

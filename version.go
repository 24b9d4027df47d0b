package mcc

// Version is that of the module; releases follow semantic versioning.
const Version = "0.1.0"

// WireVersion is that of the protocol between nodes (docs/spec.md). Nodes of
// different wire versions do not talk.
const WireVersion = 1

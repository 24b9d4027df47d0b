package sealed

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/crypto/cryptobyte"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// frameKind is the first byte of what a DATA packet seals: spec 3.5.
type frameKind byte

const (
	// frameRequest: try 1 · number 8 · data. The highest bit of try is set if
	// the request is idempotent; the others count the sendings, from 0, and
	// stay at 127.
	frameRequest frameKind = 1
	// frameAnswer: try 1 · number 8 · observed address · data. The try is the
	// one of the request that is answered, without the highest bit.
	frameAnswer frameKind = 2
	// frameWorking: number 8. The request came again and is being worked on.
	frameWorking frameKind = 3
	// frameConfirm: nothing. It proves the initiator's address.
	frameConfirm frameKind = 4
	// frameChallenge: token 8. Asks a new source address for an echo.
	frameChallenge frameKind = 5
	// frameEcho: token 8.
	frameEcho frameKind = 6
	// frameChainGet: parts 2. Bit i asks for part i of the receiver's chain.
	frameChainGet frameKind = 7
	// frameChainPart: index 1 · 1 … 1024 bytes of the sender's chain.
	frameChainPart frameKind = 8
	// frameClose: nothing. The session is gone.
	frameClose frameKind = 9
)

// partSize is the length of every part of a chain but the last; 16 of them are
// the longest chain.
const (
	partSize = 1024
	maxParts = identity.MaxChainBytes / partSize
)

// idempotentBit in the try of a request; the try itself is what is below it.
const (
	idempotentBit = 0x80
	maxTry        = 0x7F
)

// frame is any of them; kind says which fields mean something.
type frame struct {
	kind       frameKind
	try        uint8
	idempotent bool
	number     uint64
	observed   netip.AddrPort
	token      [8]byte
	parts      uint16
	index      uint8
	data       []byte
}

func appendFrame(dst []byte, f frame) []byte {
	dst = append(dst, byte(f.kind))
	switch f.kind {
	case frameRequest:
		try := f.try
		if f.idempotent {
			try |= idempotentBit
		}
		dst = binary.BigEndian.AppendUint64(append(dst, try), f.number)
		dst = append(dst, f.data...)
	case frameAnswer:
		dst = binary.BigEndian.AppendUint64(append(dst, f.try), f.number)
		dst = append(appendAddr(dst, f.observed), f.data...)
	case frameWorking:
		dst = binary.BigEndian.AppendUint64(dst, f.number)
	case frameChallenge, frameEcho:
		dst = append(dst, f.token[:]...)
	case frameChainGet:
		dst = binary.BigEndian.AppendUint16(dst, f.parts)
	case frameChainPart:
		dst = append(append(dst, f.index), f.data...)
	}
	return dst
}

// decodeFrame reads a whole frame. The data of the frame points into b.
func decodeFrame(b []byte) (f frame, err error) {
	s := cryptobyte.String(b)
	var kind uint8
	ok := s.ReadUint8(&kind)
	f.kind = frameKind(kind)
	switch f.kind {
	case frameRequest:
		ok = s.ReadUint8(&f.try) && s.ReadUint64(&f.number) && len(s) <= transport.MaxRequest
		f.idempotent, f.try = f.try&idempotentBit != 0, f.try&maxTry
		f.data, s = s, nil
	case frameAnswer:
		ok = s.ReadUint8(&f.try) && f.try <= maxTry && s.ReadUint64(&f.number)
		if ok {
			f.observed, ok = readAddr(&s)
		}
		ok = ok && len(s) <= transport.MaxAnswer
		f.data, s = s, nil
	case frameWorking:
		ok = s.ReadUint64(&f.number)
	case frameChallenge, frameEcho:
		ok = s.CopyBytes(f.token[:])
	case frameChainGet:
		ok = s.ReadUint16(&f.parts)
	case frameChainPart:
		ok = s.ReadUint8(&f.index) && f.index < maxParts && len(s) > 0 && len(s) <= partSize
		f.data, s = s, nil
	case frameConfirm, frameClose:
	default:
		ok = false
	}
	if !ok || len(s) != 0 {
		return frame{}, errMalformed
	}
	return f, nil
}

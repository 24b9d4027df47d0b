package sealed

import (
	"encoding/binary"
	"errors"

	"github.com/staex-mcc/mcc/identity"
)

// Packets on the wire: spec 3.2. Numbers are
// big-endian. Every packet but DATA starts with
//
//	0  type     0x04 … 0x09
//	1  version  1
//	2  zero     2 bytes
//
// and is dropped if it has another length, version or filling than given here.
const (
	typeHello       = 0x04
	typeHelloAnswer = 0x05
	typeInit        = 0x06
	typeResp        = 0x07
	typeCookie      = 0x08
	typeData        = 0x09

	wireVersion = 1
)

// Lengths in bytes.
const (
	// maxPacket is the longest packet, and the only length of those that go to
	// an unproven address unasked: whatever answers them is not longer.
	maxPacket = 1200

	macSize   = 16
	nonceSize = 16
	tagSize   = 16

	headSize        = 4
	helloAnswerSize = headSize + nonceSize + 32 + macSize
	cookieSize      = headSize + 4 + macSize + macSize

	initHead    = headSize + 4
	initMessage = maxPacket - initHead - 2*macSize
	initPayload = initMessage - 32 - (32 + tagSize) - tagSize // IK: e, s, payload

	respHead    = headSize + 4 + 4
	respPayload = maxPacket - respHead - 32 - tagSize // IK: e, payload

	dataHead = 1 + 4 + 8
	maxFrame = maxPacket - dataHead - tagSize
)

var (
	errMalformed = errors.New("malformed packet")
	errVersion   = errors.New("another wire version")
)

// Both ways to hold 16 bytes, for what travels in packets.
type (
	nonce [nonceSize]byte
	mac   [macSize]byte
)

// appendHead writes what all packets but DATA start with.
func appendHead(dst []byte, kind byte) []byte { return append(dst, kind, wireVersion, 0, 0) }

// readHead checks and cuts off what appendHead wrote.
func readHead(b []byte, kind byte) ([]byte, error) {
	switch {
	case len(b) < headSize || b[0] != kind:
		return nil, errMalformed
	case b[1] != wireVersion:
		return nil, errVersion
	case b[2] != 0 || b[3] != 0:
		return nil, errMalformed
	}
	return b[headSize:], nil
}

// HELLO asks who is there.
//
//	 0  head    4
//	 4  nonce  16  repeated in the answer
//	20  zero 1180
func appendHello(dst []byte, n nonce) []byte {
	dst = append(appendHead(dst, typeHello), n[:]...)
	return append(dst, make([]byte, maxPacket-headSize-nonceSize)...)
}

func decodeHello(b []byte) (nonce, error) {
	rest, err := readHead(b, typeHello)
	if err != nil {
		return nonce{}, err
	}
	if len(b) != maxPacket || !allZero(rest[nonceSize:]) {
		return nonce{}, errMalformed
	}
	return nonce(rest[:nonceSize]), nil
}

// helloAnswer says who is there, without proof.
//
//	 0  head    4
//	 4  nonce  16  of the HELLO
//	20  id     32  Ed25519 public key
//	52  cookie 16  lets an INIT from the same address pass under load
type helloAnswer struct {
	nonce  nonce
	id     identity.ID
	cookie mac
}

func appendHelloAnswer(dst []byte, a helloAnswer) []byte {
	dst = append(appendHead(dst, typeHelloAnswer), a.nonce[:]...)
	dst = append(dst, a.id[:]...)
	return append(dst, a.cookie[:]...)
}

func decodeHelloAnswer(b []byte) (helloAnswer, error) {
	rest, err := readHead(b, typeHelloAnswer)
	if err != nil {
		return helloAnswer{}, err
	}
	if len(b) != helloAnswerSize {
		return helloAnswer{}, errMalformed
	}
	return helloAnswer{
		nonce:  nonce(rest[:16]),
		id:     identity.ID(rest[16:48]),
		cookie: mac(rest[48:]),
	}, nil
}

// initPacket opens a session.
//
//	   0  head      4
//	   4  sender    4  index at which the initiator takes packets
//	   8  message 1160  Noise IK message 1
//	1168  mac1     16  over all before, keyed with the responder's id
//	1184  mac2     16  over all before, keyed with a cookie; else zero
type initPacket struct {
	sender  uint32
	message []byte
	mac1    mac
	mac2    mac
}

// appendInit writes an INIT with both MACs zero; seal1 and seal2 fill them in.
func appendInit(dst []byte, sender uint32, message []byte) []byte {
	dst = binary.BigEndian.AppendUint32(appendHead(dst, typeInit), sender)
	dst = append(dst, message...)
	return append(dst, make([]byte, 2*macSize)...)
}

func decodeInit(b []byte) (initPacket, error) {
	rest, err := readHead(b, typeInit)
	if err != nil {
		return initPacket{}, err
	}
	if len(b) != maxPacket {
		return initPacket{}, errMalformed
	}
	return initPacket{
		sender:  binary.BigEndian.Uint32(rest),
		message: rest[4 : 4+initMessage],
		mac1:    mac(b[mac1At:mac2At]),
		mac2:    mac(b[mac2At:]),
	}, nil
}

// Where the MACs of an INIT are.
const (
	mac2At = maxPacket - macSize
	mac1At = mac2At - macSize
)

// respPacket answers an INIT.
//
//	 0  head      4
//	 4  receiver  4  the sender index of the INIT
//	 8  sender    4  index at which the responder takes packets
//	12  message  48 … 1188  Noise IK message 2
type respPacket struct {
	receiver, sender uint32
	message          []byte
}

// appendRespHead writes all but the message, which follows.
func appendRespHead(dst []byte, receiver, sender uint32) []byte {
	dst = binary.BigEndian.AppendUint32(appendHead(dst, typeResp), receiver)
	return binary.BigEndian.AppendUint32(dst, sender)
}

func decodeResp(b []byte) (respPacket, error) {
	rest, err := readHead(b, typeResp)
	if err != nil {
		return respPacket{}, err
	}
	if len(b) < respHead+32+tagSize || len(b) > maxPacket {
		return respPacket{}, errMalformed
	}
	return respPacket{
		receiver: binary.BigEndian.Uint32(rest),
		sender:   binary.BigEndian.Uint32(rest[4:]),
		message:  rest[8:],
	}, nil
}

// cookiePacket asks for the INIT again, with a mac2.
//
//	 0  head      4
//	 4  receiver  4  the sender index of the INIT
//	 8  mac1     16  of the INIT
//	24  cookie   16
type cookiePacket struct {
	receiver uint32
	mac1     mac
	cookie   mac
}

func appendCookie(dst []byte, c cookiePacket) []byte {
	dst = binary.BigEndian.AppendUint32(appendHead(dst, typeCookie), c.receiver)
	dst = append(dst, c.mac1[:]...)
	return append(dst, c.cookie[:]...)
}

func decodeCookie(b []byte) (cookiePacket, error) {
	rest, err := readHead(b, typeCookie)
	if err != nil {
		return cookiePacket{}, err
	}
	if len(b) != cookieSize {
		return cookiePacket{}, errMalformed
	}
	return cookiePacket{
		receiver: binary.BigEndian.Uint32(rest),
		mac1:     mac(rest[4:20]),
		cookie:   mac(rest[20:]),
	}, nil
}

// dataPacket carries one frame of a session.
//
//	 0  type      1  0x09; the handshake fixed the version
//	 1  receiver  4  the other side's index
//	 5  counter   8  the nonce, used once
//	13  sealed   17 … 1187  ChaCha20-Poly1305 of a frame; the head is bound
type dataPacket struct {
	receiver uint32
	counter  uint64
	sealed   []byte
}

func appendDataHead(dst []byte, receiver uint32, counter uint64) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, typeData), receiver)
	return binary.BigEndian.AppendUint64(dst, counter)
}

func decodeData(b []byte) (dataPacket, error) {
	if len(b) < dataHead+1+tagSize || len(b) > maxPacket || b[0] != typeData {
		return dataPacket{}, errMalformed
	}
	return dataPacket{
		receiver: binary.BigEndian.Uint32(b[1:]),
		counter:  binary.BigEndian.Uint64(b[5:]),
		sealed:   b[dataHead:],
	}, nil
}

func allZero(b []byte) bool {
	var or byte
	for _, x := range b {
		or |= x
	}
	return or == 0
}

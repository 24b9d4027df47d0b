package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/staex-mcc/mcc/transport"
)

// A stream begins with an opening header from the dialer (spec 4.4):
//
//	 0         1         2            2+P         4+P           4+P+L
//	+---------+---------+------------+-----------+-------------+
//	| version | P       | protocol   | L, 16 bit | payload     |
//	+---------+---------+------------+-----------+-------------+
//
// and the acceptor answers, before any other byte, one of (spec 4.4):
//
//	 0         1         2         3         3+T
//	+---------+
//	| 0x01    |                              ACCEPT
//	+---------+---------+---------+-----------+
//	| 0x02    | reason  | T       | text      |  REFUSE
//	+---------+---------+---------+-----------+
//
// Numbers are big-endian. After ACCEPT both directions are the users' bytes.
const (
	headerVersion = 1
	answerAccept  = 0x01
	answerRefuse  = 0x02
	maxRefusal    = 200 // bytes of text
)

var (
	errHeaderVersion = errors.New("unknown version of the opening header")
	errNoProtocol    = errors.New("opening header without protocol")
	errBadAnswer     = errors.New("neither accept nor refuse")
)

// checkOpen bounds a header before it is sent.
func checkOpen(o transport.Open) error {
	switch {
	case o.Protocol == "":
		return errNoProtocol
	case len(o.Protocol) > transport.MaxProtocol:
		return fmt.Errorf("protocol of %d bytes: %w", len(o.Protocol), transport.ErrTooLong)
	case len(o.Payload) > transport.MaxPayload:
		return fmt.Errorf("payload of %d bytes: %w", len(o.Payload), transport.ErrTooLong)
	}
	return nil
}

// appendOpen writes a header that checkOpen has passed.
func appendOpen(dst []byte, o transport.Open) []byte {
	dst = append(dst, headerVersion, byte(len(o.Protocol)))
	dst = append(dst, o.Protocol...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(o.Payload)))
	return append(dst, o.Payload...)
}

// readOpen reads a header and not a byte more.
func readOpen(r io.Reader) (transport.Open, error) {
	var fixed [2]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return transport.Open{}, cut(err)
	}
	if fixed[0] != headerVersion {
		return transport.Open{}, fmt.Errorf("%w: %d", errHeaderVersion, fixed[0])
	}
	if fixed[1] == 0 {
		return transport.Open{}, errNoProtocol
	}
	rest := make([]byte, int(fixed[1])+2)
	if _, err := io.ReadFull(r, rest); err != nil {
		return transport.Open{}, cut(err)
	}
	protocol, size := rest[:fixed[1]], binary.BigEndian.Uint16(rest[fixed[1]:])
	if size > transport.MaxPayload {
		return transport.Open{}, fmt.Errorf("payload of %d bytes: %w", size, transport.ErrTooLong)
	}
	o := transport.Open{Protocol: string(protocol)}
	if size == 0 {
		return o, nil
	}
	o.Payload = make([]byte, size)
	_, err := io.ReadFull(r, o.Payload)
	return o, cut(err)
}

// appendRefuse writes a refusal; text over the limit is cut at a character.
func appendRefuse(dst []byte, reason transport.Reason, text string) []byte {
	text = clip(text)
	dst = append(dst, answerRefuse, byte(reason), byte(len(text)))
	return append(dst, text...)
}

func clip(text string) string {
	if len(text) <= maxRefusal {
		return text
	}
	n := maxRefusal
	for n > maxRefusal-utf8.UTFMax && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// readAnswer reads the acceptor's answer and not a byte more: nil is ACCEPT, a
// *transport.RefusedError is REFUSE.
func readAnswer(r io.Reader) error {
	var kind [1]byte
	if _, err := io.ReadFull(r, kind[:]); err != nil {
		return cut(err)
	}
	switch kind[0] {
	case answerAccept:
		return nil
	case answerRefuse:
		return readRefusal(r)
	}
	return fmt.Errorf("%w: %#02x", errBadAnswer, kind[0])
}

func readRefusal(r io.Reader) error {
	var fixed [2]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return cut(err)
	}
	if fixed[1] > maxRefusal {
		return fmt.Errorf("%w: refusal of %d bytes", errBadAnswer, fixed[1])
	}
	text := make([]byte, fixed[1])
	if _, err := io.ReadFull(r, text); err != nil {
		return cut(err)
	}
	return &transport.RefusedError{Reason: transport.Reason(fixed[0]), Text: string(text)}
}

// cut turns an end in the middle into io.ErrUnexpectedEOF.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

package sealed

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"testing"

	"golang.org/x/crypto/cryptobyte"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

func TestIsOurs(t *testing.T) {
	for first := range 256 {
		if got, want := IsOurs([]byte{byte(first), 1}), first >= 4 && first <= 15; got != want {
			t.Errorf("first byte %#x: %v", first, got)
		}
	}
	if IsOurs(nil) {
		t.Error("nothing is ours")
	}
}

var (
	v4 = netip.MustParseAddrPort("192.0.2.7:9376")
	v6 = netip.MustParseAddrPort("[2001:db8::7]:9376")
)

// Samples of everything that is encoded; also the seeds of the fuzz tests.
var (
	sampleCredentials = []credential{
		{kind: credentialLabel},
		{kind: credentialLabel, label: "abc012"},
		{kind: credentialChain, chain: []byte{0x30, 0}},
		{kind: credentialHash, hash: [32]byte{1, 2, 3}, size: 16384},
	}
	sampleFrames = []frame{
		{kind: frameRequest, try: 5, idempotent: true, number: 1 << 60, data: []byte("question")},
		{kind: frameRequest, try: 127, number: 7, data: []byte{}},
		{kind: frameAnswer, try: 3, number: 8, observed: v4, data: []byte("answer")},
		{kind: frameAnswer, number: 8, observed: v6, data: []byte{}},
		{kind: frameWorking, number: 9},
		{kind: frameConfirm},
		{kind: frameChallenge, token: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}},
		{kind: frameEcho, token: [8]byte{8, 7, 6, 5, 4, 3, 2, 1}},
		{kind: frameChainGet, parts: 0x8001},
		{kind: frameChainPart, index: 15, data: []byte{1}},
		{kind: frameClose},
	}
	sampleReplies = []reply{
		{credential: sampleCredentials[1], observed: v4},
		{credential: sampleCredentials[2], observed: v6, answered: true, answer: []byte("a")},
		{credential: sampleCredentials[3], observed: v6, answered: true, wantChain: true},
	}
	sampleOpenings = []opening{
		{id: identity.ID{1}, credential: sampleCredentials[1]},
		{id: identity.ID{2}, credential: sampleCredentials[2], early: true, number: 77, request: []byte("q")},
		{id: identity.ID{3}, credential: sampleCredentials[3], early: true, request: make([]byte, transport.MaxEarlyRequest)},
	}
)

func TestFrames(t *testing.T) {
	for _, f := range sampleFrames {
		b := appendFrame(nil, f)
		got, err := decodeFrame(b)
		if f.data == nil {
			got.data = nil
		}
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%+v became %+v, %v", f, got, err)
		}
		switch f.kind {
		case frameRequest, frameAnswer, frameChainPart: // the rest is data
		default:
			if _, err := decodeFrame(append(b, 0)); err == nil {
				t.Errorf("%+v with a byte too many", f)
			}
		}
		if _, err := decodeFrame(b[:len(b)-1-len(f.data)]); err == nil {
			t.Errorf("%+v with a byte too few", f)
		}
	}
	for name, f := range map[string]frame{
		"long request": {kind: frameRequest, data: make([]byte, transport.MaxRequest+1)},
		"long answer":  {kind: frameAnswer, observed: v4, data: make([]byte, transport.MaxAnswer+1)},
		"mapped":       {kind: frameAnswer, observed: netip.MustParseAddrPort("[::ffff:1.2.3.4]:5")},
		"try":          {kind: frameAnswer, observed: v4, try: 128},
		"part 16":      {kind: frameChainPart, index: 16, data: []byte{1}},
		"empty part":   {kind: frameChainPart},
		"long part":    {kind: frameChainPart, data: make([]byte, partSize+1)},
		"kind 0":       {},
		"kind 10":      {kind: 10},
	} {
		if got, err := decodeFrame(appendFrame(nil, f)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestLongestFramesFit(t *testing.T) {
	for _, f := range []frame{
		{kind: frameRequest, data: make([]byte, transport.MaxRequest)},
		{kind: frameAnswer, observed: v6, data: make([]byte, transport.MaxAnswer)},
		{kind: frameChainPart, data: make([]byte, partSize)},
	} {
		if n := len(appendFrame(nil, f)); n > maxFrame {
			t.Errorf("frame of kind %d has %d bytes", f.kind, n)
		}
	}
}

func TestPayloads(t *testing.T) {
	for _, o := range sampleOpenings {
		b, fits := appendOpening(nil, o)
		got, err := decodeOpening(b)
		if !fits || err != nil || len(b) != initPayload || got.id != o.id || got.number != o.number || !bytes.Equal(got.request, o.request) || got.early != o.early {
			t.Errorf("%+v became %+v, %v", o, got, err)
		}
		if _, err := decodeOpening(b[:len(b)-1]); err == nil {
			t.Error("opening with a byte too few")
		}
		b[len(b)-1] = 1
		if _, err := decodeOpening(b); err == nil && len(o.request) < 500 {
			t.Error("opening filled with something")
		}
	}
	if _, fits := appendOpening(nil, opening{early: true, request: make([]byte, transport.MaxEarlyRequest+1)}); fits {
		t.Error("a request over MaxEarlyRequest fits")
	}
	for _, r := range sampleReplies {
		b, fits := appendReply(nil, r)
		got, err := decodeReply(b)
		if !fits || err != nil || got.observed != r.observed || got.answered != r.answered || got.wantChain != r.wantChain || !bytes.Equal(got.answer, r.answer) {
			t.Errorf("%+v became %+v, %v", r, got, err)
		}
	}
	b, _ := appendReply(nil, sampleReplies[0])
	if _, err := decodeReply(append(b, 1)); err == nil {
		t.Error("an answer that the flags do not announce")
	}
	full := reply{credential: credential{kind: credentialLabel}, observed: v4, answered: true}
	full.answer = make([]byte, transport.MaxAnswer)
	if _, fits := appendReply(nil, full); !fits {
		t.Error("the longest answer does not fit without a label")
	}
}

func TestCredentialsRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":      {},
		"kind 3":       {3, 0},
		"upper case":   {0, 1, 'A'},
		"long label":   append([]byte{0, 31}, bytes.Repeat([]byte{'a'}, 31)...),
		"cut label":    {0, 2, 'a'},
		"empty chain":  {1, 0, 0},
		"cut chain":    {1, 0, 2, 0x30},
		"hash of none": append([]byte{2}, make([]byte, 34)...),
		"huge chain":   append(append([]byte{2}, make([]byte, 32)...), 0x40, 0x01),
	} {
		s := cryptobyte.String(b)
		if c, ok := readCredential(&s); ok {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestPackets(t *testing.T) {
	hello := appendHello(nil, nonce{1, 2})
	if n, err := decodeHello(hello); err != nil || n != (nonce{1, 2}) || len(hello) != maxPacket {
		t.Errorf("hello: %v, %v", n, err)
	}
	a := helloAnswer{nonce: nonce{3}, id: identity.ID{4}, cookie: mac{5}}
	packet := appendHelloAnswer(nil, a)
	if got, err := decodeHelloAnswer(packet); err != nil || got != a || len(packet) != 68 {
		t.Errorf("hello answer: %+v, %v", got, err)
	}
	c := cookiePacket{receiver: 6, mac1: mac{7}, cookie: mac{8}}
	packet = appendCookie(nil, c)
	if got, err := decodeCookie(packet); err != nil || got != c || len(packet) != 40 {
		t.Errorf("cookie: %+v, %v", got, err)
	}
	packet = appendInit(nil, 9, make([]byte, initMessage))
	packet[mac1At], packet[mac2At] = 10, 11
	if got, err := decodeInit(packet); err != nil || got.sender != 9 || len(got.message) != initMessage || got.mac1 != (mac{10}) || got.mac2 != (mac{11}) || len(packet) != maxPacket {
		t.Errorf("init: %+v, %v", got, err)
	}
	packet = append(appendRespHead(nil, 12, 13), make([]byte, 48)...)
	if got, err := decodeResp(packet); err != nil || got.receiver != 12 || got.sender != 13 || len(got.message) != 48 {
		t.Errorf("resp: %+v, %v", got, err)
	}
	packet = append(appendDataHead(nil, 14, 15), make([]byte, 17)...)
	if got, err := decodeData(packet); err != nil || got.receiver != 14 || got.counter != 15 || len(got.sealed) != 17 {
		t.Errorf("data: %+v, %v", got, err)
	}
}

// samplePackets is one packet of each type.
func samplePackets() [][]byte {
	return [][]byte{
		appendHello(nil, nonce{1}),
		appendHelloAnswer(nil, helloAnswer{id: identity.ID{1}}),
		appendInit(nil, 1, make([]byte, initMessage)),
		append(appendRespHead(nil, 1, 2), make([]byte, 100)...),
		appendCookie(nil, cookiePacket{receiver: 1}),
		append(appendDataHead(nil, 1, 2), make([]byte, 30)...),
	}
}

// decodePacket runs the decoder of the packet's type, and encodes again.
func decodePacket(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errMalformed
	}
	switch b[0] {
	case typeHello:
		n, err := decodeHello(b)
		return appendHello(nil, n), err
	case typeHelloAnswer:
		a, err := decodeHelloAnswer(b)
		return appendHelloAnswer(nil, a), err
	case typeInit:
		p, err := decodeInit(b)
		if err != nil {
			return nil, err
		}
		again := appendInit(nil, p.sender, p.message)
		copy(again[mac1At:], p.mac1[:])
		copy(again[mac2At:], p.mac2[:])
		return again, nil
	case typeResp:
		p, err := decodeResp(b)
		return append(appendRespHead(nil, p.receiver, p.sender), p.message...), err
	case typeCookie:
		c, err := decodeCookie(b)
		return appendCookie(nil, c), err
	case typeData:
		p, err := decodeData(b)
		return append(appendDataHead(nil, p.receiver, p.counter), p.sealed...), err
	}
	return nil, errMalformed
}

func TestMalformedPackets(t *testing.T) {
	for _, packet := range samplePackets() {
		again, err := decodePacket(packet)
		if err != nil || !bytes.Equal(again, packet) {
			t.Errorf("type %d: %v", packet[0], err)
		}
		for _, n := range []int{1, 3, 12, 29} {
			if _, err := decodePacket(packet[:n]); err == nil {
				t.Errorf("type %d with %d bytes", packet[0], n)
			}
		}
		if _, err := decodePacket(append(bytes.Clone(packet), make([]byte, maxPacket)...)); err == nil {
			t.Errorf("type %d that is too long", packet[0])
		}
		if packet[0] == typeData {
			continue
		}
		for _, change := range []struct {
			at   int
			want error
		}{{1, errVersion}, {2, errMalformed}, {3, errMalformed}} {
			bad := bytes.Clone(packet)
			bad[change.at]++
			if _, err := decodePacket(bad); !errors.Is(err, change.want) {
				t.Errorf("type %d, byte %d: %v", packet[0], change.at, err)
			}
		}
	}
	bad := appendHello(nil, nonce{})
	bad[700] = 1
	if _, err := decodeHello(bad); err == nil {
		t.Error("a HELLO filled with something")
	}
}

// mustSeed guards against a fuzz target without seeds.
func mustSeed(f *testing.F, seeds [][]byte) {
	f.Helper()
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
}

func FuzzPackets(f *testing.F) {
	mustSeed(f, samplePackets())
	f.Fuzz(func(t *testing.T, b []byte) {
		if again, err := decodePacket(b); err == nil && !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
	})
}

func FuzzFrame(f *testing.F) {
	var seeds [][]byte
	for _, fr := range sampleFrames {
		seeds = append(seeds, appendFrame(nil, fr))
	}
	mustSeed(f, seeds)
	f.Fuzz(func(t *testing.T, b []byte) {
		if fr, err := decodeFrame(b); err == nil && !bytes.Equal(appendFrame(nil, fr), b) {
			t.Errorf("%x became %x", b, appendFrame(nil, fr))
		}
	})
}

func FuzzOpening(f *testing.F) {
	var seeds [][]byte
	for _, o := range sampleOpenings {
		b, _ := appendOpening(nil, o)
		seeds = append(seeds, b)
	}
	mustSeed(f, seeds)
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decodeOpening(b)
		if err != nil {
			return
		}
		if again, fits := appendOpening(nil, o); !fits || !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
	})
}

func FuzzReply(f *testing.F) {
	var seeds [][]byte
	for _, r := range sampleReplies {
		b, _ := appendReply(nil, r)
		seeds = append(seeds, b)
	}
	mustSeed(f, seeds)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeReply(b)
		if err != nil || len(b) > respPayload {
			return
		}
		if again, fits := appendReply(nil, r); !fits || !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
	})
}

func FuzzChain(f *testing.F) {
	ca := newAuthority(f, "acme")
	var seeds [][]byte
	for _, size := range []int{0, 6000} {
		seeds = append(seeds, bytes.Join(ca.certify(1, size, epoch).Certificate().Chain(), nil))
	}
	mustSeed(f, seeds)
	f.Fuzz(func(t *testing.T, b []byte) {
		if cert, err := parseChain(b); err == nil && !bytes.Equal(bytes.Join(cert.Chain(), nil), b) {
			t.Error("the chain changed")
		}
	})
}

// FuzzReceive gives an endpoint in the middle of its life any packet, and the
// same sealed as a frame of a session.
func FuzzReceive(f *testing.F) {
	seeds := samplePackets()
	for _, fr := range sampleFrames {
		seeds = append(seeds, appendFrame(nil, fr))
	}
	mustSeed(f, seeds)
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld(t)
		a, c := longPair(w)
		a.ask(c.contact(), "warm", true)
		w.run(rtt)
		s := a.peers[c.id.ID()].current
		a.call(transport.Contact{Addr: address(9)}, "hello", true)
		a.call(transport.Contact{ID: seeded(t, 8).ID(), Addr: address(8)}, "init", true)
		for _, from := range []netip.AddrPort{address(7), address(8), address(9), a.addr} {
			c.Receive(w.now, from, b, &c.out)
			a.Receive(w.now, from, b, &a.out)
		}
		if len(b) > 0 && len(b) <= maxFrame {
			head := appendDataHead(nil, s.remote, s.counter)
			a.setNonce(s.counter)
			s.counter++
			c.Receive(w.now, a.addr, s.sealer.Seal(head, a.nonce[:], b, head), &c.out)
		}
		a.settle()
		c.settle()
		a.check()
		c.check()
		w.run(rtt)
		if r, err := decodeFrame(b); err == nil && r.kind == frameClose {
			return
		}
		a.ask(c.contact(), "still alive", false)
	})
}

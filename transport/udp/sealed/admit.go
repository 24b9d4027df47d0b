package sealed

import (
	"crypto/subtle"
	"net/netip"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/crypto/blake2s"

	"github.com/staex-mcc/mcc/identity"
)

// What stands between a packet and the first curve operation: spec 3.7.

// cookieLife is how long a cookie secret makes cookies; they are taken for one
// life more.
const cookieLife = 120 * time.Second

// Budgets of handshakes, beside Config.HandshakeRate. Sources are addresses
// without port; IPv6 hosts own a /64.
const (
	sourceRate, sourceBurst = 100, 200
	provenRate, provenBurst = 1000, 2000
	maxSources              = 4096
)

// mac1Key is the key of mac1 in packets to id.
func mac1Key(id identity.ID) [32]byte {
	return blake2s.Sum256(append([]byte("MCC sealed mac1"), id[:]...))
}

// keyedMAC is BLAKE2s with a key and 16 bytes of output.
func keyedMAC(key, data []byte) mac {
	h, err := blake2s.New128(key)
	if err != nil {
		panic("BUG: BLAKE2s key of wrong length: " + err.Error())
	}
	h.Write(data)
	var sum mac
	h.Sum(sum[:0])
	return sum
}

func (m mac) equal(other mac) bool { return subtle.ConstantTimeCompare(m[:], other[:]) == 1 }

// seal1 fills in mac1 of an INIT to the node with key.
func seal1(packet []byte, key [32]byte) {
	sum := keyedMAC(key[:], packet[:mac1At])
	copy(packet[mac1At:], sum[:])
}

// seal2 fills in mac2 of an INIT whose mac1 is there.
func seal2(packet []byte, cookie mac) {
	sum := keyedMAC(cookie[:], packet[:mac2At])
	copy(packet[mac2At:], sum[:])
}

// cookieJar makes cookies without remembering to whom.
type cookieJar struct {
	secret, previous [32]byte
	since            time.Time
	random           func([]byte)
}

func (j *cookieJar) rotate(now time.Time) {
	age := now.Sub(j.since)
	if !j.since.IsZero() && age < cookieLife {
		return
	}
	j.previous = j.secret
	j.random(j.secret[:])
	if j.since.IsZero() || age >= 2*cookieLife {
		j.random(j.previous[:])
	}
	j.since = now
}

// make is the cookie of an address now.
func (j *cookieJar) make(now time.Time, to netip.AddrPort) mac {
	j.rotate(now)
	return cookieFor(&j.secret, to)
}

// check reports whether an INIT from an address bears a mac2 that only a
// receiver of a recent cookie at that address can make.
func (j *cookieJar) check(now time.Time, from netip.AddrPort, packet []byte, mac2 mac) bool {
	if mac2 == (mac{}) {
		return false
	}
	j.rotate(now)
	for _, secret := range []*[32]byte{&j.secret, &j.previous} {
		cookie := cookieFor(secret, from)
		if keyedMAC(cookie[:], packet[:mac2At]).equal(mac2) {
			return true
		}
	}
	return false
}

func cookieFor(secret *[32]byte, addr netip.AddrPort) mac {
	return keyedMAC(secret[:], appendAddr(make([]byte, 0, 32), addr))
}

// bucket is a token bucket; the zero value is full.
type bucket struct {
	used float64 // tokens missing
	at   time.Time
}

func (b *bucket) take(now time.Time, rate, burst float64) bool {
	if !b.at.IsZero() {
		b.used = max(0, b.used-rate*now.Sub(b.at).Seconds())
	}
	b.at = now
	if b.used+1 > burst {
		return false
	}
	b.used++
	return true
}

// admission decides which handshakes are worth their curve operations.
type admission struct {
	rate    float64
	jar     cookieJar
	unknown bucket // all unproven addresses together
	proven  bucket // all that showed a cookie
	sources *simplelru.LRU[netip.AddrPort, *source]
}

// source is what one host has used. Its two budgets are separate, so that
// somebody who forges its address cannot use up what a cookie opens.
type source struct{ unknown, proven bucket }

func newAdmission(rate int, random func([]byte)) admission {
	sources, err := simplelru.NewLRU[netip.AddrPort, *source](maxSources, nil)
	if err != nil {
		panic("BUG: " + err.Error()) // only a size of zero
	}
	return admission{rate: float64(rate), jar: cookieJar{random: random}, sources: sources}
}

type verdict int

const (
	admitted verdict = iota
	wantCookie
	overBudget
)

// judge decides about an INIT whose mac1 is right.
func (a *admission) judge(now time.Time, from netip.AddrPort, packet []byte, mac2 mac) verdict {
	s := a.source(from)
	if a.jar.check(now, from, packet, mac2) {
		if s.proven.take(now, sourceRate, sourceBurst) && a.proven.take(now, provenRate, provenBurst) {
			return admitted
		}
		return overBudget
	}
	if s.unknown.take(now, sourceRate, sourceBurst) && a.unknown.take(now, a.rate, 2*a.rate) {
		return admitted
	}
	return wantCookie
}

func (a *admission) source(from netip.AddrPort) *source {
	key := sourceOf(from)
	s, ok := a.sources.Get(key)
	if !ok {
		s = new(source)
		a.sources.Add(key, s)
	}
	return s
}

// sourceOf is the host an address belongs to. On loopback every port is one of
// its own: nobody from outside can use those addresses.
func sourceOf(from netip.AddrPort) netip.AddrPort {
	addr := from.Addr()
	switch {
	case addr.IsLoopback():
		return from
	case addr.Is6():
		prefix, _ := addr.WithZone("").Prefix(64)
		addr = prefix.Addr()
	}
	return netip.AddrPortFrom(addr, 0)
}

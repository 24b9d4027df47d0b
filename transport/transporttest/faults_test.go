package transporttest

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/staex-mcc/mcc/identity"
	"github.com/staex-mcc/mcc/transport"
)

// The faults that are too long for the table of broken transports.

func cutAnswers(in transport.IncomingCall) bentCall {
	return bentCall{IncomingCall: in, answer: func(data []byte) error {
		return in.Answer(data[:min(len(data), in.MaxAnswer())])
	}}
}

// swapAnswers gives every second caller the answer of the one before.
var swapAnswers = bendAnswers(func(b *bent, a transport.Answer, err error) (transport.Answer, error) {
	swapped.Lock()
	defer swapped.Unlock()
	a.Data, swapped.data = swapped.data, a.Data
	return a, err
})

var swapped struct {
	sync.Mutex
	data []byte
}

// deafWhileCalling drops requests that come during an own call.
func deafWhileCalling(b *bent) {
	var mu sync.Mutex
	calling := 0
	add := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		calling += n
	}
	b.call = func(ctx context.Context, to transport.Contact, req transport.Request) (transport.Answer, error) {
		add(1)
		defer add(-1)
		<-time.After(50 * time.Millisecond) // so that calls do overlap
		return b.Transport.Call(ctx, to, req)
	}
	b.acceptCall = func(ctx context.Context) (transport.IncomingCall, error) {
		for {
			in, err := b.Transport.AcceptCall(ctx)
			mu.Lock()
			deaf := calling > 0
			mu.Unlock()
			if err != nil || !deaf {
				return in, err
			}
		}
	}
}

// knownAt looks up who is really at an address.
func knownAt(b *bent, to transport.Contact) transport.Contact {
	if there := b.Transport.(*fake).mesh.find(to.Addr); there != nil {
		to.ID = there.at.ID
	}
	return to
}

// spool hides the stream's bounds behind an endless buffer.
func spool(s transport.Stream) bentStream {
	queue := make(chan []byte, 1<<20)
	go func() {
		for b := range queue {
			s.Write(b)
		}
	}()
	return bentStream{Stream: s, write: func(b []byte) (int, error) {
		queue <- bytes.Clone(b)
		return len(b), nil
	}}
}

// closeStreamsFirst ends streams politely before the transport closes.
func closeStreamsFirst(b *bent) {
	b.close = func() error {
		f := b.Transport.(*fake)
		f.mu.Lock()
		open := slices.Collect(maps.Keys(f.streams))
		clear(f.streams)
		f.mu.Unlock()
		for _, s := range open {
			s.Close()
		}
		return f.Close()
	}
}

// unchecked delivers a request before it looks at the certificate.
func unchecked(b *bent) {
	f := b.Transport.(*fake)
	b.call = func(ctx context.Context, to transport.Contact, req transport.Request) (transport.Answer, error) {
		if there := f.mesh.find(to.Addr); there != nil {
			there.calls <- &fakeCall{peer: identity.OpenPeer(f.at.ID, ""), data: req.Data, answer: make(chan []byte, 1)}
		}
		return f.Call(ctx, to, req)
	}
}

func blindTrust(b *bent) { b.Transport.(*fake).cfg.Trust = nil }

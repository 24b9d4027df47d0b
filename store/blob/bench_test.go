package blob

import (
	"fmt"
	"io"
	"os"
	"testing"
)

const benchSize = 64 << 20

// BenchmarkCopy is what the others are held against: a file written and synced.
func BenchmarkCopy(b *testing.B) {
	dir := b.TempDir()
	b.SetBytes(benchSize)
	for b.Loop() {
		f, err := os.CreateTemp(dir, "")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(f, struct{ io.Reader }{&pattern{n: benchSize}}, make([]byte, windowSize)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		closeIt(b, f)
		_ = os.Remove(f.Name())
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int64{1 << 10, 1 << 20, benchSize} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := openStore(b, b.TempDir())
			b.SetBytes(size)
			for b.Loop() {
				info, err := s.Put(b.Context(), &pattern{n: size}, "")
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Delete(info.ID); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchBlob(b *testing.B) *Blob {
	s := openStore(b, b.TempDir())
	info, err := s.Put(b.Context(), &pattern{n: benchSize}, "")
	if err != nil {
		b.Fatal(err)
	}
	return get(b, s, info.ID)
}

func BenchmarkReadRaw(b *testing.B) {
	blob := benchBlob(b)
	p := make([]byte, windowSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		for off := int64(0); off < benchSize; off += windowSize {
			if _, err := blob.files.data.ReadAt(p, off); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkReadAt(b *testing.B) {
	blob := benchBlob(b)
	for _, piece := range []int64{4 << 10, GroupSize, 256 << 10, 1 << 20} {
		b.Run(fmt.Sprint(piece), func(b *testing.B) {
			p := make([]byte, piece)
			b.SetBytes(piece)
			off := int64(0)
			for b.Loop() {
				if _, err := blob.ReadAt(p, off); err != nil {
					b.Fatal(err)
				}
				off = (off + piece) % benchSize
			}
		})
	}
}

// BenchmarkSlice sends 1 MiB units through a pipe into a partial, as a fetch from
// one seeder does without the network.
func BenchmarkSlice(b *testing.B) {
	from := benchBlob(b)
	s := openStore(b, b.TempDir())
	b.SetBytes(benchSize)
	for b.Loop() {
		p, err := s.Partial(from.Info().ID, benchSize)
		if err != nil {
			b.Fatal(err)
		}
		r, w := io.Pipe()
		go func() {
			for first := uint64(0); first < Groups(benchSize); first += 64 {
				_ = from.WriteSlice(b.Context(), w, first, 64)
			}
		}()
		for first := uint64(0); first < Groups(benchSize); first += 64 {
			if err := ReadSlice(r, p.ID(), benchSize, first, 64, p.Sink()); err != nil {
				b.Fatal(err)
			}
		}
		if err := p.Discard(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSliceOnly is BenchmarkSlice without a disk at the receiver.
func BenchmarkSliceOnly(b *testing.B) {
	from := benchBlob(b)
	b.SetBytes(benchSize)
	for b.Loop() {
		r, w := io.Pipe()
		go func() { _ = from.WriteSlice(b.Context(), w, 0, Groups(benchSize)) }()
		if err := ReadSlice(r, from.Info().ID, benchSize, 0, Groups(benchSize), nowhere{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHashGroup(b *testing.B) {
	var g group
	b.SetBytes(GroupSize)
	for b.Loop() {
		g.hash(GroupSize, 1, false)
	}
}

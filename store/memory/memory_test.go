package memory_test

import (
	"testing"

	"github.com/staex-mcc/mcc/store"
	"github.com/staex-mcc/mcc/store/memory"
	"github.com/staex-mcc/mcc/store/storetest"
)

func open(testing.TB) store.Store { return memory.New() }

func TestConformance(t *testing.T) { storetest.Run(t, open) }

func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, open) }

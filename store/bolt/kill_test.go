package bolt_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/staex-mcc/mcc/store/bolt"
)

// writerEnv makes this test binary a process that writes to the store it names
// until it is killed.
const writerEnv = "MCC_BOLT_TEST_WRITER"

const killWriters = 8

// runWriter prints each key once its write is acknowledged. Every third write is
// followed by a delete, acknowledged with a leading minus.
func runWriter(path string) {
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var out sync.Mutex
	report := func(line string) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(line)
	}
	var wg sync.WaitGroup
	for w := range killWriters {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				if err := s.Put([]byte(key), valueOf(key)); err != nil {
					panic(err)
				}
				report(key)
				if i%3 == 0 {
					if err := s.Delete([]byte(key)); err != nil {
						panic(err)
					}
					report("-" + key)
				}
			}
		})
	}
	wg.Wait()
}

// valueOf has a length of its own for each key, some over a page.
func valueOf(key string) []byte {
	return bytes.Repeat([]byte(key), 1+len(key)*int(key[len(key)-1]-'0')/2)
}

func TestKillLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	path := filepath.Join(t.TempDir(), "store.db")
	present := map[string]bool{}
	for round := range 8 {
		acks := writeAndKill(t, path)
		for _, line := range acks {
			if key, deleted := strings.CutPrefix(line, "-"); deleted {
				present[key] = false
			} else {
				present[key] = true
			}
		}
		checkAcknowledged(t, path, present)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d keys acknowledged over all rounds", len(present))
}

// writeAndKill starts a writer, kills it at a random moment after its first
// acknowledgement, and returns the whole lines it printed.
func writeAndKill(t *testing.T, path string) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+path)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(stdout)
	first, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("the writer said nothing: %v", err)
	}
	kill := time.AfterFunc(rand.N(150*time.Millisecond), func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the writer ended by itself")
	}
	lines := strings.SplitAfter(first+string(rest), "\n")
	return trimLines(lines[:len(lines)-1]) // what follows the last newline is cut off or empty
}

func trimLines(lines []string) []string {
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\n")
	}
	return lines
}

// checkAcknowledged reopens the store. A key whose delete was not acknowledged
// may be gone all the same, if it is one that the writer deletes.
func checkAcknowledged(t *testing.T, path string, present map[string]bool) {
	t.Helper()
	s := openFile(t, path)
	defer closeStore(t, s)
	for key, want := range present {
		got, err := s.Get([]byte(key))
		switch {
		case !want && err == nil:
			t.Errorf("key %s is back", key)
		case want && err != nil && !mayBeDeleted(key):
			t.Errorf("key %s: %v", key, err)
		case err == nil && !bytes.Equal(got, valueOf(key)):
			t.Errorf("key %s has another value", key)
		}
	}
}

func mayBeDeleted(key string) bool {
	var pid, w, i int
	_, err := fmt.Sscanf(key, "%d-%d-%d", &pid, &w, &i)
	return err == nil && i%3 == 0
}

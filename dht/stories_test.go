package dht

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A story is a file of commands, each followed by a line "----", the output it
// must have, and an empty line. With -rewrite the outputs are written anew:
// commit the difference only if you can explain it.
var rewrite = flag.Bool("rewrite", false, "rewrite the outputs of the stories in testdata")

// runStories plays the files that match; each gets a teller of its own, which
// executes a command and returns its output.
func runStories(t *testing.T, pattern string, newTeller func() func(cmd string, args []string) string) {
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			told := tellStory(string(text), newTeller())
			if told == string(text) {
				return
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(told), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("the story goes differently:\n%s", told)
		})
	}
}

// tellStory executes the commands of a story and returns it with the outputs
// they have now.
func tellStory(text string, tell func(cmd string, args []string) string) string {
	var told strings.Builder
	skipping := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "----":
			skipping = true
		case skipping && line == "":
			skipping = false
			told.WriteString("\n")
		case skipping:
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&told, line)
		default:
			words := strings.Fields(line)
			fmt.Fprintf(&told, "%s\n----\n%s", line, tell(words[0], words[1:]))
		}
	}
	return told.String()
}

// at is the time the given word says, such as 90s, after the start of a story.
func at(word string) time.Time {
	d, err := time.ParseDuration(word)
	if err != nil {
		panic(err)
	}
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(d)
}

// prefix is the key that begins with the bits of the word, and is zero behind.
func prefix(word string) (k Key) {
	for i, c := range word {
		if c == '1' {
			k[i/8] |= 0x80 >> (i % 8)
		}
	}
	return k
}

// word undoes prefix, for keys within 16 bits.
func word(k Key) string {
	return strings.TrimRight(fmt.Sprintf("%08b%08b", k[0], k[1]), "0") + "."
}

// nodeAt is a node at a chosen position; its id is no key's.
func nodeAt(k Key) node { return node{Contact: Contact{ID: [32]byte(k), Addr: testAddr}, key: k} }

func number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		panic(err)
	}
	return n
}

func listed(nodes []node) string {
	var out strings.Builder
	for _, n := range nodes {
		fmt.Fprintln(&out, word(n.key))
	}
	return out.String()
}

func TestTableStories(t *testing.T) {
	runStories(t, "table_*.txt", func() func(string, []string) string {
		var tab *table
		return func(cmd string, args []string) string {
			switch cmd {
			case "own":
				tab = newTable(prefix(args[0]))
				return ""
			case "heard":
				return tellChange(tab.heard(nodeAt(prefix(args[0])), at(args[1])))
			case "heard-many": // prefix count time
				var out strings.Builder
				for i := range number(args[1]) {
					out.WriteString(tellChange(tab.heard(nodeAt(prefix(fmt.Sprintf("%s%05b1", args[0], i))), at(args[2]))))
				}
				return out.String()
			case "failed":
				return tellChange(tab.failed(prefix(args[0]), at(args[1])))
			case "closest":
				return listed(tab.closest(prefix(args[0]), number(args[1]), false))
			case "closest-failing":
				return listed(tab.closest(prefix(args[0]), number(args[1]), true))
			case "probe":
				if s := tab.probe(at(args[0]), time.Minute, 10*time.Second); s != nil {
					return word(s.key) + "\n"
				}
				return "nobody\n"
			case "wants":
				return fmt.Sprintln(tab.wants(prefix(args[0])))
			}
			return "unknown command\n"
		}
	})
}

func tellChange(c change) string {
	switch {
	case c.seated != nil && c.left != nil:
		return fmt.Sprintf("%s sits where %s sat\n", word(c.seated.key), word(c.left.key))
	case c.seated != nil:
		return fmt.Sprintf("%s sits\n", word(c.seated.key))
	case c.left != nil:
		return fmt.Sprintf("%s left\n", word(c.left.key))
	}
	return "no change\n"
}

func TestLookupStories(t *testing.T) {
	runStories(t, "lookup_*.txt", func() func(string, []string) string {
		var l *lookup
		find := func(w string) *candidate {
			at, known := l.find(nodeAt(prefix(w)))
			if !known {
				panic("no candidate " + w)
			}
			return l.candidates[at]
		}
		return func(cmd string, args []string) string {
			switch cmd {
			case "lookup": // target own width alpha
				l = newLookup(prefix(args[0]), prefix(args[1]), number(args[2]), number(args[3]), 0)
			case "know":
				for _, w := range args {
					l.add(nodeAt(prefix(w)), 1)
				}
			case "answer": // who rtt contacts...
				c := find(args[0])
				l.answer(c, at(args[1]).Sub(at("0s")))
				for _, w := range args[2:] {
					l.add(nodeAt(prefix(w)), c.hop+1)
				}
			case "fail":
				l.fail(find(args[0]))
			case "slow":
				l.delay(find(args[0]))
			case "nearest":
				return listed(l.nearest())
			case "hops":
				return fmt.Sprintln(l.hops())
			case "soft":
				return fmt.Sprintln(l.soft())
			default:
				return "unknown command\n"
			}
			return tellNext(l)
		}
	})
}

// tellNext asks whoever is to be asked, and says whether the lookup is done.
func tellNext(l *lookup) string {
	var out strings.Builder
	for c := l.next(); c != nil; c = l.next() {
		fmt.Fprintf(&out, "ask %s\n", word(c.key))
	}
	switch {
	case l.done(true):
		out.WriteString("done\n")
	case l.done(false):
		out.WriteString("done unless patient\n")
	}
	return out.String()
}

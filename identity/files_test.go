package identity

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestWriteNew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	files, err := WriteNew(dir, "Web-1", testNow, false)
	if err != nil {
		t.Fatal(err)
	}
	local, err := Load(files.Certificate, files.Key)
	if err != nil || local.Certificate().Label() != "web1" || !local.Certificate().SelfSigned() {
		t.Fatalf("%v, %v", local, err)
	}
	req, err := ParseRequest(read(t, files.Request))
	if err != nil || req.ID() != local.ID() || req.Label() != "web1" {
		t.Errorf("%+v, %v", req, err)
	}
	for path, want := range map[string]fs.FileMode{files.Key: 0o600, files.Certificate: 0o644, files.Request: 0o644} {
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	wantFiles(t, dir, "node.crt", "node.csr", "node.key")
}

func TestWriteNewKeepsWhatIsThere(t *testing.T) {
	for _, name := range []string{"node.crt", "node.key", "node.csr"} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		write(t, path, "precious", 0o600)
		_, err := WriteNew(dir, "a", testNow, false)
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if string(read(t, path)) != "precious" {
			t.Errorf("%s was overwritten", name)
		}
		wantFiles(t, dir, name)
	}
}

func TestWriteNewForce(t *testing.T) {
	dir := t.TempDir()
	first, err := WriteNew(dir, "a", testNow, false)
	if err != nil {
		t.Fatal(err)
	}
	before := read(t, first.Key)
	second, err := WriteNew(dir, "b", testNow, true)
	if err != nil {
		t.Fatal(err)
	}
	if local, err := Load(second.Certificate, second.Key); err != nil || local.Certificate().Label() != "b" || bytes.Equal(before, read(t, second.Key)) {
		t.Errorf("%v, %v", local, err)
	}
	wantFiles(t, dir, "node.crt", "node.csr", "node.key")
}

func TestWriteNewFailures(t *testing.T) {
	dir := t.TempDir()
	if _, err := WriteNew(dir, "---", testNow, false); !errors.Is(err, ErrBadLabel) {
		t.Errorf("bad label: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "node.csr"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteNew(dir, "a", testNow, true); err == nil || !strings.Contains(err.Error(), "node.csr") {
		t.Errorf("a folder in the way: %v", err)
	}
	wantFiles(t, dir, "node.csr")
	file := filepath.Join(dir, "file")
	write(t, file, "", 0o600)
	if _, err := WriteNew(file, "a", testNow, false); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file as folder: %v", err)
	}
}

func TestLoadOrCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, created, err := LoadOrCreate(dir, "web", testNow)
	if err != nil || !created || first.Certificate().Label() != "web" {
		t.Fatalf("%v, %v, %v", first, created, err)
	}
	wantFiles(t, dir, "identity.crt", "identity.key")
	again, created, err := LoadOrCreate(dir, "other", testNow)
	if err != nil || created || again.Certificate().Fingerprint() != first.Certificate().Fingerprint() {
		t.Errorf("%v, %v, %v", again, created, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "identity.key")); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestLoadOrCreateCompletes: a crash between the two files keeps the key.
func TestLoadOrCreateCompletes(t *testing.T) {
	dir := t.TempDir()
	first, _, err := LoadOrCreate(dir, "web", testNow)
	if err != nil {
		t.Fatal(err)
	}
	key := read(t, filepath.Join(dir, "identity.key"))
	if err := os.Remove(filepath.Join(dir, "identity.crt")); err != nil {
		t.Fatal(err)
	}
	again, created, err := LoadOrCreate(dir, "", testNow)
	if err != nil || !created || again.ID() != first.ID() {
		t.Fatalf("%v, %v, %v", again, created, err)
	}
	if !bytes.Equal(key, read(t, filepath.Join(dir, "identity.key"))) {
		t.Error("the key file changed")
	}
	third, created, err := LoadOrCreate(dir, "", testNow)
	if err != nil || created || third.Certificate().Fingerprint() != again.Certificate().Fingerprint() {
		t.Errorf("%v, %v, %v", third, created, err)
	}
}

func TestLoadOrCreateRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(key, cert string) error
		want  []string
	}{
		{"no key", func(key, _ string) error { return os.Remove(key) }, []string{"identity.key", "remove the certificate"}},
		{"group reads", func(key, _ string) error { return os.Chmod(key, 0o640) }, []string{"0640", "chmod 600 ", "identity.key"}},
		{"others read, no certificate", func(key, cert string) error {
			return errors.Join(os.Chmod(key, 0o604), os.Remove(cert))
		}, []string{"chmod 600 "}},
		{"empty key", func(key, _ string) error { return os.Truncate(key, 0) }, []string{"identity.key", "empty"}},
		{"half a key, no certificate", func(key, cert string) error {
			return errors.Join(os.Truncate(key, 60), os.Remove(cert))
		}, []string{"identity.key", "damaged"}},
		{"junk certificate", func(_, cert string) error { return os.WriteFile(cert, []byte("x"), 0o600) }, []string{"identity.crt"}},
		{"another's certificate", func(_, cert string) error {
			return os.WriteFile(cert, localOf(t, 1, "x").Certificate().MarshalPEM(), 0o600)
		}, []string{"identity.key", "do not match"}},
	} {
		if runtime.GOOS == "windows" && strings.Contains(tt.name, "read") {
			continue
		}
		dir := t.TempDir()
		if _, _, err := LoadOrCreate(dir, "web", testNow); err != nil {
			t.Fatal(err)
		}
		if err := tt.spoil(filepath.Join(dir, "identity.key"), filepath.Join(dir, "identity.crt")); err != nil {
			t.Fatal(err)
		}
		before := snapshot(t, dir)
		_, created, err := LoadOrCreate(dir, "web", testNow)
		if err == nil || created {
			t.Errorf("%s: accepted", tt.name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v lacks %q", tt.name, err, want)
			}
		}
		if after := snapshot(t, dir); after != before {
			t.Errorf("%s: the folder changed\n%s\n%s", tt.name, before, after)
		}
	}
}

// TestLoadOrCreateTogether: several at once agree, whoever is faster at which
// file.
func TestLoadOrCreateTogether(t *testing.T) {
	type result struct {
		local   *Local
		created bool
		err     error
	}
	for range 20 {
		dir := t.TempDir()
		results := make(chan result, 8)
		for range cap(results) {
			go func() {
				local, created, err := LoadOrCreate(dir, "", testNow)
				results <- result{local, created, err}
			}()
		}
		makers, seen := 0, map[[32]byte]bool{}
		for range cap(results) {
			r := <-results
			if r.err != nil {
				t.Fatal(r.err)
			}
			seen[r.local.Certificate().Fingerprint()] = true
			if r.created {
				makers++
			}
		}
		if len(seen) != 1 || makers != 1 {
			t.Fatalf("%d identities made by %d", len(seen), makers)
		}
		wantFiles(t, dir, "identity.crt", "identity.key")
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, path, data string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), mode); err != nil {
		t.Fatal(err)
	}
}

func wantFiles(t testing.TB, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("folder holds %v, want %v", got, want)
	}
}

// snapshot is the folder's names and contents.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.Name() + "\n" + string(read(t, filepath.Join(dir, e.Name()))))
	}
	return b.String()
}

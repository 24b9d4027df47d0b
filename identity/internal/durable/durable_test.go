package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func contents(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e.Name()+"="+string(data))
	}
	return strings.Join(list, " ")
}

func put(t *testing.T, dir, name, data string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func three(data string) []File {
	return []File{{"a", []byte(data), 0o600}, {"b", []byte(data), 0o644}, {"c", []byte(data), 0o600}}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x", "y")
	if err := Write(dir, false, three("1")...); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, dir); got != "a=1 b=1 c=1" {
		t.Errorf("got %s", got)
	}
	if info, err := os.Stat(dir); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("folder %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Join(dir, "b")); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o644 {
		t.Errorf("b %v, %v", info.Mode(), err)
	}
	if err := Write(dir, false, three("2")...); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), filepath.Join(dir, "a")) {
		t.Errorf("again: %v", err)
	}
	if err := Write(dir, true, three("3")...); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, dir); got != "a=3 b=3 c=3" {
		t.Errorf("forced: %s", got)
	}
}

func TestWriteDanglingLink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("nowhere", filepath.Join(dir, "b")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	if err := Write(dir, false, three("1")...); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	if err := Write(dir, true, three("1")...); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, dir); got != "a=1 b=1 c=1" {
		t.Errorf("forced: %s", got)
	}
}

// staging writes the files beside their places and makes the last one fail.
func staging(t *testing.T, dir string, force bool) *set {
	t.Helper()
	s := &set{dir: dir, force: force}
	for _, f := range three("new") {
		if err := s.stage(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(s.files[2].temporary); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRollBack(t *testing.T) {
	for _, tt := range []struct {
		name   string
		force  bool
		before []string
		want   string
	}{
		{"nothing there", false, nil, ""},
		{"nothing there, forced", true, nil, ""},
		{"some there", true, []string{"b"}, "b=old"},
		{"all there", true, []string{"a", "b", "c"}, "a=old b=old c=old"},
	} {
		dir := t.TempDir()
		for _, name := range tt.before {
			put(t, dir, name, "old")
		}
		s := staging(t, dir, tt.force)
		if err := s.place(); err == nil {
			t.Errorf("%s: placed", tt.name)
		}
		s.rollBack()
		s.cleanUp()
		if got := contents(t, dir); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestLateRival: a file that appears between the check and the move stays.
func TestLateRival(t *testing.T) {
	dir := t.TempDir()
	s := staging(t, dir, false)
	put(t, dir, "b", "rival")
	err := s.place()
	if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), filepath.Join(dir, "b")) {
		t.Errorf("got %v", err)
	}
	s.rollBack()
	s.cleanUp()
	if got := contents(t, dir); got != "b=rival" {
		t.Errorf("got %q", got)
	}
}

// TestWriteRollsBack: the third file is in the way of itself.
func TestWriteRollsBack(t *testing.T) {
	dir := t.TempDir()
	files := three("1")
	files[2].Name = "a"
	if err := Write(dir, false, files...); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	if got := contents(t, dir); got != "" {
		t.Errorf("left behind %q", got)
	}
}

func TestWriteRefusesFolders(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, force := range []bool{false, true} {
		err := Write(dir, force, three("1")...)
		if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "b")+": is a directory") {
			t.Errorf("force %v: %v", force, err)
		}
	}
}

func TestCheckPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := CheckPrivate(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	put(t, filepath.Dir(path), "key", "")
	for mode, ok := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o700: true, 0o640: false, 0o604: false, 0o620: false, 0o644: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		err := CheckPrivate(path)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("%o: %v", mode, err)
		}
	}
}

//go:build linux

package test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain fails when the tests leave a descriptor, a mapping of a ring or a
// goroutine behind. In a child process that a test has started it runs that
// test's child instead; see child_test.go.
func TestMain(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		os.Exit(runChild(name))
	}
	primeNetpoller()
	before := openFiles()
	code := m.Run()
	if code == 0 {
		code = leaks(before)
	}
	os.Exit(code)
}

func leaks(before []string) (code int) {
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "leaked goroutines:", err)
		code = 1
	}
	if after := openFiles(); !slices.Equal(before, after) {
		fmt.Fprintf(os.Stderr, "leaked descriptors: %v\n", slices.DeleteFunc(after, func(f string) bool { return slices.Contains(before, f) }))
		code = 1
	}
	if n := ringMappings(); n != 0 {
		fmt.Fprintf(os.Stderr, "leaked %d mappings of rings\n", n)
		code = 1
	}
	return code
}

// primeNetpoller has the runtime open the descriptors of its own.
func primeNetpoller() {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	_ = r.SetReadDeadline(time.Time{})
	_, _ = r.Close(), w.Close()
}

// openFiles are this process's descriptors, with what they refer to.
func openFiles() []string {
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	var files []string
	for _, entry := range dir {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err != nil || strings.HasPrefix(target, "/proc/") || ofTesting(target) {
			continue // the listing itself, or a profile that testing writes
		}
		files = append(files, entry.Name()+" "+target)
	}
	slices.Sort(files)
	return files
}

// ofTesting reports whether a file is one that a flag of the testing package
// names, a profile for instance, which that package leaves open.
func ofTesting(target string) (yes bool) {
	flag.Visit(func(f *flag.Flag) {
		path, err := filepath.Abs(f.Value.String())
		yes = yes || err == nil && path == target
	})
	return yes
}

// openOn are the descriptors of this process that refer to a path.
func openOn(path string) (files []string) {
	for _, f := range openFiles() {
		if strings.HasSuffix(f, " "+path) {
			files = append(files, f)
		}
	}
	return files
}

// ringMappings is how many mappings of rings this process has.
func ringMappings() int {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	return strings.Count(string(maps), "[io_uring]")
}

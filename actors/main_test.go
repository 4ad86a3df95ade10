package actors_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain fails when the tests leave a descriptor or a goroutine behind.
func TestMain(m *testing.M) {
	primeNetpoller()
	before := openFiles()
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "leaked goroutines:", err)
			code = 1
		}
		if after := openFiles(); len(after) > len(before) {
			fmt.Fprintf(os.Stderr, "leaked descriptors: before %v, after %v\n", before, after)
			code = 1
		}
	}
	os.Exit(code)
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
		if err == nil && !strings.HasPrefix(target, "/proc/") && !strings.Contains(target, "/test.") {
			files = append(files, entry.Name()+" "+target)
		}
	}
	slices.Sort(files)
	return files
}

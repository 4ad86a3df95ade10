// Package leak has a test package fail when its tests leave something behind
// in the process: a goroutine, a descriptor, or a mapping of a ring.
package leak

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/goleak"
)

// Main runs a package's tests, looks for what they left behind, and ends the
// process. It is for TestMain.
func Main(m interface{ Run() int }) {
	PrimeNetpoller()
	before := OpenFiles()
	code := m.Run()
	if code == 0 && leaks(before) {
		code = 1
	}
	os.Exit(code)
}

// patience is how long what is about to end may take to do so: on a machine with
// much else to do, a goroutine may well not run for a second. A leak stays.
const patience = 10 * time.Second

// leaks waits until nothing is left, and reports what stays.
func leaks(before []string) bool {
	found := look(before)
	for end := time.Now().Add(patience); len(found) > 0 && time.Now().Before(end); {
		<-time.After(10 * time.Millisecond)
		found = look(before)
	}
	for _, what := range found {
		fmt.Fprintln(os.Stderr, "leaked", what)
	}
	return len(found) > 0
}

// look gives what is left now.
func look(before []string) (found []string) {
	report := func(what string, details any) { found = append(found, fmt.Sprintf("%s: %v", what, details)) }
	if err := goleak.Find(); err != nil {
		report("goroutines", err)
	}
	if after := OpenFiles(); !slices.Equal(before, after) {
		report("descriptors", slices.DeleteFunc(after, func(f string) bool { return slices.Contains(before, f) }))
	}
	if n := RingMappings(); n != 0 {
		report("mappings of rings", n)
	}
	return found
}

// PrimeNetpoller has the runtime open the descriptors of its own.
func PrimeNetpoller() {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	_ = r.SetReadDeadline(time.Time{})
	_, _ = r.Close(), w.Close()
}

// OpenFiles are this process's descriptors, as "number target".
func OpenFiles() []string {
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil // no Linux: nothing can be told
	}
	var files []string
	for _, entry := range dir {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err != nil || strings.HasPrefix(target, "/proc/") || ofTesting(target) || isKeeper(entry.Name(), target) {
			continue // the listing itself, a profile that testing writes, or what is there to stay
		}
		files = append(files, entry.Name()+" "+target)
	}
	slices.Sort(files)
	return files
}

// isKeeper reports whether a descriptor is the ring that stays open as long as
// the process, for the sake of its threads (see package ring): other than every
// ring that is one, it has no registered file.
func isKeeper(fd, target string) bool {
	if target != "anon_inode:[io_uring]" {
		return false
	}
	info, err := os.ReadFile("/proc/self/fdinfo/" + fd)
	return err == nil && strings.Contains(string(info), "\nUserFiles:\t0\n")
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

// RingMappings is how many mappings of rings this process has.
func RingMappings() int {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0
	}
	return strings.Count(string(maps), "[io_uring]")
}

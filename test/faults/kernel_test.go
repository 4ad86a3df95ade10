//go:build linux

package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/test/leak"
)

// ringView is what the kernel itself says of a ring, in /proc/self/fdinfo.
type ringView struct {
	SqHead, SqTail uint64
	CqHead, CqTail uint64
	polls          []string // PollList
	overflow       []string // CqOverflowList
}

// settled: the kernel has taken all and kept nothing.
func (v ringView) settled() bool {
	return v.SqHead == v.SqTail && v.CqHead == v.CqTail && len(v.polls)+len(v.overflow) == 0
}

// rings is what the kernel says of each ring of this process. It says nothing
// of one in which somebody is just then.
func rings(t testing.TB) (views []ringView) {
	t.Helper()
	for _, f := range leak.OpenFiles() {
		fd, target, _ := strings.Cut(f, " ")
		if target != "anon_inode:[io_uring]" {
			continue
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + fd)
		if errors.Is(err, os.ErrNotExist) {
			continue // closed just now
		}
		require.NoError(t, err)
		if view, ok := parseRing(string(info)); ok {
			views = append(views, view)
		}
	}
	return views
}

// theRing is what the kernel says of the only ring there is.
func theRing(o *oracle) (view ringView) {
	o.t.Helper()
	eventually(o.t, "there is one ring, and nobody is in it", func() bool {
		views := rings(o.t)
		if len(views) == 1 {
			view = views[0]
		}
		return len(views) == 1
	})
	return view
}

func parseRing(info string) (v ringView, ok bool) {
	numbers := map[string]*uint64{"SqHead": &v.SqHead, "SqTail": &v.SqTail, "CqHead": &v.CqHead, "CqTail": &v.CqTail}
	var list *[]string
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch {
		case name == "PollList":
			list = &v.polls
		case name == "CqOverflowList":
			list, ok = &v.overflow, true
		case strings.HasPrefix(line, " ") && list != nil:
			*list = append(*list, strings.TrimSpace(line))
		default:
			list = nil
			if n := numbers[name]; n != nil {
				*n, _ = strconv.ParseUint(strings.TrimSpace(value), 10, 32)
			}
		}
	}
	return v, ok
}

// busyWorkers are the kernel workers that are inside something.
func busyWorkers() (workers []string) {
	tasks, _ := filepath.Glob("/proc/self/task/*/comm")
	for _, task := range tasks {
		name, err := os.ReadFile(task)
		if err != nil || !strings.HasPrefix(string(name), "iou-") {
			continue
		}
		in, err := os.ReadFile(filepath.Join(filepath.Dir(task), "wchan"))
		if err == nil && string(in) != "io_wq_worker" {
			workers = append(workers, strings.TrimSpace(string(name))+" in "+string(in))
		}
	}
	return workers
}

// openOn are the descriptors of this process that refer to a path.
func openOn(path string) (files []string) {
	for _, f := range leak.OpenFiles() {
		if strings.HasSuffix(f, " "+path) {
			files = append(files, f)
		}
	}
	return files
}

// resident is how many bytes of memory the process has, once the collector has
// given back what it can.
func resident(t testing.TB) int64 {
	t.Helper()
	debug.FreeOSMemory()
	return residentNow(t)
}

// residentNow is the same, as it stands.
func residentNow(t testing.TB) int64 {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	var total, pages int64
	_, err = fmt.Sscan(string(statm), &total, &pages)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}

// kernelLog is the kernel's log from a moment on. Where it may not be read it
// has nothing to say.
type kernelLog struct{ fd int }

func openKernelLog() kernelLog {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return kernelLog{-1}
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		_ = unix.Close(fd)
		return kernelLog{-1}
	}
	return kernelLog{fd}
}

// complaint is what the kernel says when it finds itself broken.
var complaint = regexp.MustCompile(`WARNING:|\bBUG:|kernel BUG|Oops|general protection|refcount_t|list_(add|del) corruption|unreferenced object`)

// complaints ends the reading, and gives the records that tell of a bug.
func (l kernelLog) complaints() (found []string) {
	if l.fd < 0 {
		return nil
	}
	defer func() { _ = unix.Close(l.fd) }()
	record := make([]byte, 8192)
	for {
		switch n, err := unix.Read(l.fd, record); err {
		case nil:
			if text := string(record[:n]); complaint.MatchString(text) {
				found = append(found, text)
			}
		case unix.EPIPE, unix.EINTR: // records were overwritten; on with the next
		default:
			return found
		}
	}
}

//go:build linux

package main

import (
	"bytes"
	"errors"
	"testing"
)

func matches(err, want error) bool {
	if want == nil {
		return err == nil
	}
	return errors.Is(err, want)
}

func TestGroup(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 12: "12", 999: "999", 1000: "1,000", 11478: "11,478", 1234567: "1,234,567"} {
		if got := group(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[float64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 151300000: "151.3 MB", 2e15: "2000.0 TB"} {
		if got := size(n); got != want {
			t.Errorf("%g: got %s, want %s", n, got, want)
		}
	}
}

func TestFiguresForPeople(t *testing.T) {
	var p page
	figures{Backend: "io_uring", Files: 11478, Dirs: 1300, Bytes: 151_000_000, Submitted: 100_000, Completed: 99_990, Refused: 10, Restarts: 31, ElapsedNS: 500_000_000}.write(&p)
	var out bytes.Buffer
	check(t, p.print(&out))
	const want = `copied      11,478 files, 1,300 directories, 0 symbolic links, 151.0 MB
took        500ms: 302.0 MB/s, 22,956 files/s
operations  100,000 submitted = 99,990 completed + 10 refused
            0 cancelled, 0 outcomes unknown, 0 in flight at the end
restarts    31
backend     io_uring
`
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

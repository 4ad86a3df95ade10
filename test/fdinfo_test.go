//go:build linux

package test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/test/leak"
)

// kernelView is what the kernel itself says of a ring, in /proc/self/fdinfo.
type kernelView struct {
	SqHead, SqTail uint64
	CqHead, CqTail uint64
}

// seen is how much of the subsystem's work the kernel has seen: by the kernel's
// own account of the ring, and where there is none by the backend's.
func (r *rig) seen() kernelView {
	r.t.Helper()
	if r.onRing() {
		return theRing(r.t)
	}
	in := r.inspect()
	return kernelView{in.Published, in.Published, in.Reaped, in.Reaped}
}

// theRing is what the kernel says of the only ring of this process, once it is
// the only one: that of an earlier test may be about to be closed.
func theRing(t testing.TB) (view kernelView) {
	t.Helper()
	eventually(t, "there is one ring", func() bool {
		views := rings(t)
		if len(views) == 1 {
			view = views[0]
		}
		return len(views) == 1
	})
	return view
}

// rings is what the kernel says of each ring of this process. It says nothing of
// one in which somebody is just then.
func rings(t testing.TB) (views []kernelView) {
	t.Helper()
	eventually(t, "nobody is in a ring", func() (idle bool) {
		views, idle = ringsNow(t)
		return idle
	})
	return views
}

// ringsNow reports false when there is one of which the kernel says nothing.
func ringsNow(t testing.TB) (views []kernelView, idle bool) {
	t.Helper()
	for _, f := range leak.OpenFiles() {
		fd, target, _ := strings.Cut(f, " ")
		if target != "anon_inode:[io_uring]" {
			continue
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + fd)
		require.NoError(t, err)
		view, ok, err := parseFdinfo(string(info))
		require.NoError(t, err, "%s", info)
		if !ok {
			return nil, false
		}
		views = append(views, view)
	}
	return views, true
}

func parseFdinfo(info string) (v kernelView, ok bool, err error) {
	for name, field := range map[string]*uint64{
		"SqHead": &v.SqHead, "SqTail": &v.SqTail, "CqHead": &v.CqHead, "CqTail": &v.CqTail,
	} {
		_, rest, found := strings.Cut(info, "\n"+name+":")
		if !found {
			return v, false, nil
		}
		text, _, _ := strings.Cut(rest, "\n")
		if *field, err = strconv.ParseUint(strings.TrimSpace(text), 10, 32); err != nil {
			return v, false, err
		}
	}
	return v, true, nil
}

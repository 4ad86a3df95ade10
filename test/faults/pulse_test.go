//go:build linux

package faults

import (
	"os"
	"path/filepath"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ringmaster-io/ringmaster/messages"
)

// pulse is operations of every class that nothing hangs of: they must go on
// whatever hangs beside them.
type pulse struct {
	o      *oracle
	file   messages.Handle
	dir    messages.Handle
	pipe   messages.Handle
	writer *os.File
	max    time.Duration
}

// beats are taken at a time, and half of them at least within beatMax; or, where
// the machine is busy with something else, in beatRatio times as long as when
// nothing hung.
const (
	beats     = 10
	beatMax   = 100 * time.Millisecond * slowdown
	beatRatio = 10
)

func newPulse(o *oracle) *pulse {
	path := o.t.TempDir()
	p := &pulse{o: o, dir: do(o, &messages.Open{Path: path, Flags: os.O_RDONLY})}
	p.file = do(o, &messages.Open{Path: filepath.Join(path, "file"), Flags: os.O_RDWR | os.O_CREATE, Mode: 0o600})
	var reader *os.File
	reader, p.writer = o.pipe()
	p.pipe = o.adopt(reader)
	var calm []time.Duration
	for range beats {
		calm = append(calm, p.beat())
	}
	p.max = max(beatMax, beatRatio*at(calm, 0.5))
	return p
}

// beat performs some, all of which must succeed.
func (p *pulse) beat() (took time.Duration) {
	o, t := p.o, p.o.t
	began := time.Now()
	do(o, &messages.Nop{})
	require.Equal(t, 4, do(o, &messages.Write{Handle: p.file, Buf: []byte("beat")}))                // a kernel worker
	require.Equal(t, "beat", string(do(o, &messages.Read{Handle: p.file, Buf: make([]byte, 100)}))) // inline
	do(o, &messages.Mkdir{Dir: p.dir, Path: "sub", Mode: 0o700})
	require.True(t, do(o, &messages.Stat{Dir: p.dir, Path: "sub"}).Mode.IsDir())
	do(o, &messages.Unlink{Dir: p.dir, Path: "sub", Directory: true})
	_, err := p.writer.WriteString("beat")
	require.NoError(t, err)
	require.Equal(t, "beat", string(do(o, &messages.Read{Handle: p.pipe, Buf: make([]byte, 4)}))) // the pinned thread
	do(o, &messages.Timeout{After: time.Millisecond})
	do(o, &messages.SetTimes{Dir: p.file, Accessed: time.Now()}) // the blocking lane
	return time.Since(began)
}

// regular takes a number of beats. While they are taken, m is hung: it is told
// to serve if they stop, or this would wait for ever.
func (p *pulse) regular(m *fuseMount) {
	t := p.o.t
	t.Helper()
	took := make(chan time.Duration)
	go func() {
		defer close(took)
		for range beats {
			took <- p.beat()
		}
	}()
	end := time.NewTimer(patience / 3) // what is held up is to end before its own patience does
	defer end.Stop()
	var all []time.Duration
	for stopped := false; ; {
		select {
		case d, more := <-took:
			if !more {
				require.False(t, stopped, "others were held up until the device answered")
				require.LessOrEqual(t, at(all, 0.5), p.max, "others are held up: %v", all)
				return
			}
			all = append(all, d)
		case <-end.C:
			t.Logf("others are held up\n%s", stacks())
			stopped = true
			m.serve()
		}
	}
}

//go:build linux

package ring

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
	"github.com/ringmaster-io/ringmaster/test/leak"
)

// failingKernel is the running kernel, whose n-th step towards a ring fails.
type failingKernel struct {
	sys.Kernel
	n     int
	steps []string
}

func (k *failingKernel) step(name string) error {
	k.steps = append(k.steps, name)
	if len(k.steps) == k.n {
		return syscall.ENOMEM
	}
	return nil
}

func (k *failingKernel) Setup(entries uint32, params *sys.Params) (int, error) {
	if err := k.step("setup"); err != nil {
		return -1, err
	}
	return k.Kernel.Setup(entries, params)
}

func (k *failingKernel) Map(fd int, offset int64, size int) ([]byte, error) {
	if err := k.step("map"); err != nil {
		return nil, err
	}
	return k.Kernel.Map(fd, offset, size)
}

func (k *failingKernel) DontFork(mem []byte) error {
	if err := k.step("dontfork"); err != nil {
		return err
	}
	return k.Kernel.DontFork(mem)
}

func (k *failingKernel) Probe(fd int, probe *sys.Probe) error {
	if err := k.step("probe"); err != nil {
		return err
	}
	return k.Kernel.Probe(fd, probe)
}

func (k *failingKernel) LimitWorkers(fd int, workers *[2]uint32) error {
	if err := k.step("workers"); err != nil {
		return err
	}
	return k.Kernel.LimitWorkers(fd, workers)
}

func (k *failingKernel) Pipe() (r, w int, err error) {
	if err := k.step("pipe"); err != nil {
		return -1, -1, err
	}
	return k.Kernel.Pipe()
}

func (k *failingKernel) RegisterFile(fd, file int) error {
	if err := k.step("register file"); err != nil {
		return err
	}
	return k.Kernel.RegisterFile(fd, file)
}

func (k *failingKernel) Eventfd() (int, error) {
	if err := k.step("eventfd"); err != nil {
		return -1, err
	}
	return k.Kernel.Eventfd()
}

func (k *failingKernel) RegisterEventfd(fd, eventfd int) error {
	if err := k.step("register eventfd"); err != nil {
		return err
	}
	return k.Kernel.RegisterEventfd(fd, eventfd)
}

// Whichever step fails, Open says so, and leaves nothing behind.
func TestOpenFails(t *testing.T) {
	options := Options{BoundedWorkers: 2, UnboundedWorkers: 2}
	whole := &failingKernel{}
	newRigOn(t, whole, options)
	require.Equal(t, []string{
		"setup", "map", "dontfork", "map", "dontfork", "probe", "workers",
		"pipe", "register file", "eventfd", "register eventfd",
	}, whole.steps)

	files, mappings := leak.OpenFiles(), leak.RingMappings()
	for n, step := range whole.steps {
		t.Run(fmt.Sprint(n+1, " ", step), func(t *testing.T) {
			kernel := &failingKernel{n: n + 1}
			_, err := open(kernel, options)
			require.ErrorIs(t, err, ErrUnavailable)
			require.ErrorIs(t, err, syscall.ENOMEM)
			require.Equal(t, whole.steps[:n+1], kernel.steps, "no step after the one that failed")
			require.Equal(t, files, leak.OpenFiles())
			require.Equal(t, mappings, leak.RingMappings())
		})
	}
}

// needRing skips a test of what becomes of a ring where there is none.
func needRing(t *testing.T) {
	t.Helper()
	r, err := open(sys.Kernel{}, Options{})
	if err != nil {
		t.Skip(err)
	}
	closeWhole(t, r)
}

// An eventfd that the netpoller cannot have is no bell, and a pipe no canary.
func TestOpenWithoutNetpoller(t *testing.T) {
	needRing(t)
	files := leak.OpenFiles()
	for what, kernel := range map[string]kernelCalls{
		"an eventfd": blockingEventfd{},
		"a pipe":     blockingPipe{},
	} {
		_, err := open(kernel, Options{})
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorContains(t, err, "waiting for "+what)
		require.Equal(t, files, leak.OpenFiles())
		require.Zero(t, leak.RingMappings())
	}
}

type blockingEventfd struct{ sys.Kernel }

func (blockingEventfd) Eventfd() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC) }

type blockingPipe struct{ sys.Kernel }

func (blockingPipe) Pipe() (r, w int, err error) {
	var ends [2]int
	err = unix.Pipe2(ends[:], unix.O_CLOEXEC)
	return ends[0], ends[1], err
}

func TestOpenRefused(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.ENOSYS, unix.EPERM, unix.EACCES, unix.ENOMEM, unix.EMFILE, unix.EINVAL} {
		_, err := open(refusedSetup{errno: errno}, Options{})
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorIs(t, err, errno)
		require.ErrorContains(t, err, "io_uring_setup")
		require.Equal(t, errno == unix.ENOMEM, strings.Contains(err.Error(), "RLIMIT_MEMLOCK"), err)
	}
}

// refusedSetup refuses flags with EINVAL, as a kernel that does not know them;
// or everything with an errno; and takes features away.
type refusedSetup struct {
	sys.Kernel
	errno    error
	flags    uint32
	features uint32
}

func (k refusedSetup) Setup(entries uint32, params *sys.Params) (int, error) {
	if k.errno != nil {
		return -1, k.errno
	}
	if params.Flags&k.flags != 0 {
		return -1, syscall.EINVAL
	}
	fd, err := k.Kernel.Setup(entries, params)
	params.Features &^= k.features
	return fd, err
}

// Rings of older kernels work: with an index array, and with interrupts.
func TestOpenAdapts(t *testing.T) {
	for name, unknown := range map[string]uint32{
		"5.19": sys.SetupNoSQArray,
		"5.18": sys.SetupNoSQArray | sys.SetupCoopTaskrun | sys.SetupTaskrunFlag,
	} {
		t.Run(name, func(t *testing.T) {
			g := newRigOn(t, refusedSetup{flags: unknown}, Options{Entries: 4})
			for range 3 {
				var names []UserData
				for range 4 {
					names = append(names, g.push(PrepNop()))
				}
				g.enter()
				for _, name := range names {
					require.Zero(t, g.await(name))
				}
			}
			require.Zero(t, g.Dropped())
		})
	}
	_, err := open(refusedSetup{flags: sys.SetupSubmitAll}, Options{})
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, syscall.EINVAL)
	require.ErrorContains(t, err, "SUBMIT_ALL not supported (requires Linux 5.18)")
}

func TestOpenNeedsFeatures(t *testing.T) {
	needRing(t)
	files := leak.OpenFiles()
	for _, feature := range requiredFeatures {
		_, err := open(refusedSetup{features: feature.bit}, Options{})
		require.ErrorIs(t, err, ErrUnavailable)
		require.ErrorContains(t, err, feature.name+" not supported (requires Linux "+feature.since)
	}
	require.Equal(t, files, leak.OpenFiles())
}

// A kernel that contradicts itself about its mapping is refused.
func TestOpenChecksTheMapping(t *testing.T) {
	files := leak.OpenFiles()
	for name, lie := range map[string]func(*sys.Params){
		"word outside":       func(p *sys.Params) { p.SQOff.Tail = 1 << 30 },
		"word not aligned":   func(p *sys.Params) { p.CQOff.Overflow++ },
		"wrong sq mask":      func(p *sys.Params) { p.SQOff.RingMask = p.SQOff.RingEntries },
		"wrong cq length":    func(p *sys.Params) { p.CQOff.RingEntries = p.SQOff.RingEntries },
		"entries misaligned": func(p *sys.Params) { p.CQOff.CQEs++ },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(lyingKernel{lie: lie}, Options{})
			require.ErrorIs(t, err, ErrUnavailable)
			require.Equal(t, files, leak.OpenFiles())
			require.Zero(t, leak.RingMappings())
		})
	}
}

type lyingKernel struct {
	sys.Kernel
	lie func(*sys.Params)
}

func (k lyingKernel) Setup(entries uint32, params *sys.Params) (int, error) {
	fd, err := k.Kernel.Setup(entries, params)
	if err == nil {
		k.lie(params)
	}
	return fd, err
}

func TestSupports(t *testing.T) {
	g := newRig(t, Options{})
	require.True(t, g.Supports(CodeNop))
	require.True(t, g.Supports(CodeOpen))
	require.False(t, g.Supports(codeCount))
	require.False(t, g.Supports(255))

	// An operation that is said to be missing is refused by the kernel.
	if !g.Supports(CodeTruncate) {
		g.fails(unix.EINVAL, PrepTruncate(-1, 0))
	}
	var probe sys.Probe
	probe.OpsLen = sys.OpRead + 1
	probe.Ops[sys.OpRead].Flags = sys.ProbeOpSupported
	probe.Ops[sys.OpWrite].Flags = sys.ProbeOpSupported // beyond what the kernel filled in
	set := supported(&probe)
	require.True(t, set.has(CodeRead))
	require.False(t, set.has(CodeWrite))
	require.False(t, set.has(CodeNop))
}

// The bounds of kernel workers reach the kernel, which gives them back.
func TestWorkersAreBounded(t *testing.T) {
	g := newRig(t, Options{BoundedWorkers: 3, UnboundedWorkers: 5})
	var workers [2]uint32 // zero asks
	require.NoError(t, sys.Kernel{}.LimitWorkers(g.fd, &workers))
	require.Equal(t, [2]uint32{3, 5}, workers)
}

package ring

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// Options say how large a ring is.
type Options struct {
	// Entries is how many requests can be pushed before an Enter; 0 is 128.
	// The kernel rounds it up to a power of two.
	Entries uint32
	// Completions is how many completions the queue holds; 0 is twice Entries,
	// which is also the least. Rounded up likewise.
	Completions uint32
	// BoundedWorkers and UnboundedWorkers bound the kernel's workers for
	// regular files and block devices, and for all else (IOSQE_ASYNC too); 0
	// leaves the kernel's bound. They count for each thread that submits, and
	// are those of the process's first ring.
	BoundedWorkers, UnboundedWorkers uint32
}

const entriesDefault = 128

// setupAlways are the flags that no ring goes without. SINGLE_ISSUER and
// DEFER_TASKRUN are not among them since several threads enter, one at a time.
const setupAlways = sys.SetupSubmitAll | sys.SetupCQSize | sys.SetupClamp

// setupOptional are the sets of flags to try, best first: without the index
// array from Linux 6.6 on, without interrupts for task work from 5.19 on.
var setupOptional = [...]uint32{
	sys.SetupCoopTaskrun | sys.SetupTaskrunFlag | sys.SetupNoSQArray,
	sys.SetupCoopTaskrun | sys.SetupTaskrunFlag,
	0,
}

// Open makes a ring. Its error wraps ErrUnavailable, and the errno if there is
// one, when the system refuses io_uring or lacks what we need of it.
//
// The first Open of a process leaves one descriptor behind: see keeper.
func Open(options Options) (*Ring, error) {
	r, err := open(sys.Kernel{}, options)
	if err != nil {
		return nil, err
	}
	if err = r.openEnter(); err == nil {
		r.keeper, err = keeperFor(options)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnavailable, err), r.Close())
	}
	return r, nil
}

func open(calls kernelCalls, options Options) (*Ring, error) {
	if options.Entries == 0 {
		options.Entries = entriesDefault
	}
	if options.Completions == 0 {
		options.Completions = 2 * options.Entries
	}
	if options.Completions < options.Entries {
		return nil, fmt.Errorf("opening a ring: %d completions are fewer than %d entries", options.Completions, options.Entries)
	}
	r := &Ring{calls: calls}
	if err := r.open(options); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return r, nil
}

// open takes each step and, if one fails, undoes those before it, in reverse.
func (r *Ring) open(options Options) (err error) {
	var params sys.Params
	if err := r.openSetup(&params, options); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.calls.Close(r.fd))
		}
	}()
	if err := checkFeatures(params.Features); err != nil {
		return err
	}
	if r.mem, err = r.openMap(sys.OffsetRings, ringSize(&params)); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.calls.Unmap(r.mem))
		}
	}()
	if r.sqes, err = r.openMap(sys.OffsetSQEs, sqesSize(&params)); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.calls.Unmap(r.sqes))
		}
	}()
	if r.sq, err = newSubmissionQueue(r.mem, r.sqes, &params); err != nil {
		return err
	}
	if r.cq, err = newCompletionQueue(r.mem, &params); err != nil {
		return err
	}
	if err := r.openRegister(options); err != nil {
		return err
	}
	if r.canary, err = r.openCanary(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.canary.close())
		}
	}()
	r.bell, err = r.openBell()
	return err
}

// openEnter enters the ring with nothing to do: whoever forbids io_uring may have
// forgotten the other calls, and then each operation would meet it.
func (r *Ring) openEnter() error {
	r.enters.Add(1)
	if _, err := r.calls.Enter(r.fd, 0, 0); err != nil && err != syscall.EINTR {
		return fmt.Errorf("io_uring_enter (see seccomp): %w", err)
	}
	return nil
}

// openSetup asks for the best ring that the kernel gives.
func (r *Ring) openSetup(params *sys.Params, options Options) (err error) {
	for _, optional := range setupOptional {
		*params = sys.Params{Flags: setupAlways | optional, CQEntries: options.Completions}
		r.fd, err = r.calls.Setup(options.Entries, params)
		if err != syscall.EINVAL {
			break
		}
	}
	switch err {
	case nil:
		return nil
	case syscall.EINVAL:
		return fmt.Errorf("io_uring_setup: SUBMIT_ALL not supported (requires Linux 5.18): %w", err)
	case syscall.EPERM, syscall.EACCES:
		return fmt.Errorf("io_uring_setup (see kernel.io_uring_disabled and seccomp): %w", err)
	case syscall.ENOMEM:
		return fmt.Errorf("io_uring_setup (see RLIMIT_MEMLOCK): %w", err)
	default:
		return fmt.Errorf("io_uring_setup: %w", err)
	}
}

// openMap maps a part of the ring and keeps it from child processes.
func (r *Ring) openMap(offset int64, size int) ([]byte, error) {
	mem, err := r.calls.Map(r.fd, offset, size)
	if err != nil {
		return nil, fmt.Errorf("mapping the ring: %w", err)
	}
	if err := r.calls.DontFork(mem); err != nil {
		return nil, errors.Join(fmt.Errorf("keeping the ring from child processes: %w", err), r.calls.Unmap(mem))
	}
	return mem, nil
}

// openRegister asks once what the kernel can do, and bounds its workers.
func (r *Ring) openRegister(options Options) error {
	var probe sys.Probe
	if err := r.calls.Probe(r.fd, &probe); err != nil {
		return fmt.Errorf("probing operations: %w", err)
	}
	r.supports = supported(&probe)
	return boundWorkers(r.calls, r.fd, options)
}

func boundWorkers(calls kernelCalls, fd int, options Options) error {
	workers := [2]uint32{options.BoundedWorkers, options.UnboundedWorkers}
	if workers == [2]uint32{} {
		return nil
	}
	if err := calls.LimitWorkers(fd, &workers); err != nil {
		return fmt.Errorf("bounding kernel workers: %w", err)
	}
	return nil
}

// openBell has the ring signal completions where Go's netpoller sees it. The
// ring keeps a reference of its own to the eventfd, and drops it when it goes.
func (r *Ring) openBell() (*sys.Bell, error) {
	fd, err := r.calls.Eventfd()
	if err != nil {
		return nil, fmt.Errorf("making an eventfd: %w", err)
	}
	if err := r.calls.RegisterEventfd(r.fd, fd); err != nil {
		return nil, errors.Join(fmt.Errorf("registering an eventfd: %w", err), r.calls.Close(fd))
	}
	bell, err := sys.NewBell(fd)
	if err != nil {
		return nil, fmt.Errorf("waiting for an eventfd: %w", err)
	}
	return bell, nil
}

// openCanary gives the ring the write end of a pipe, and keeps the other. It
// cannot be done later: while a thread hangs in an enter, registering hangs too.
func (r *Ring) openCanary() (*canary, error) {
	read, write, err := r.calls.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	if err := errors.Join(r.calls.RegisterFile(r.fd, write), r.calls.Close(write)); err != nil {
		return nil, errors.Join(fmt.Errorf("registering a pipe: %w", err), r.calls.Close(read))
	}
	file, err := sys.Pollable(read, "io_uring canary")
	if err != nil {
		return nil, fmt.Errorf("waiting for a pipe: %w", err)
	}
	return &canary{file: file}, nil
}

// ringSize is the size of the mapping of both queues: they share it, and the
// index array, where there is one, lies behind the completions.
func ringSize(p *sys.Params) int {
	size := int(p.CQOff.CQEs) + int(p.CQEntries)*sys.CQESize
	if p.Flags&sys.SetupNoSQArray == 0 {
		size = max(size, int(p.SQOff.Array)+int(p.SQEntries)*sys.WordSize)
	}
	return size
}

func sqesSize(p *sys.Params) int { return int(p.SQEntries) * sys.SQESize }

// requiredFeatures are those that the rules of this package rest on.
var requiredFeatures = [...]struct {
	bit         uint32
	name, since string
}{
	{sys.FeatureSingleMmap, "SINGLE_MMAP", "5.4"},     // one mapping for both queues
	{sys.FeatureNoDrop, "NODROP", "5.5"},              // an overflow loses no completion
	{sys.FeatureSubmitStable, "SUBMIT_STABLE", "5.5"}, // what is only read may go once it is consumed
	{sys.FeatureExtArg, "EXT_ARG", "5.11"},
}

// checkFeatures says which required feature a ring lacks.
func checkFeatures(features uint32) error {
	for _, f := range requiredFeatures {
		if features&f.bit == 0 {
			return fmt.Errorf("%s not supported (requires Linux %s)", f.name, f.since)
		}
	}
	return nil
}

// codeSet is a set of codes.
type codeSet uint32

var _ [32 - codeCount]struct{} // all codes fit

func (s codeSet) has(c Code) bool { return c < codeCount && s&(1<<c) != 0 }

// supported are the codes whose operations a probe names as the kernel's.
func supported(probe *sys.Probe) codeSet {
	var set codeSet
	for code, op := range opcodes {
		if op < probe.OpsLen && probe.Ops[op].Flags&sys.ProbeOpSupported != 0 {
			set |= 1 << code
		}
	}
	return set
}

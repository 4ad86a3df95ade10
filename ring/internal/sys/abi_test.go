//go:build linux

package sys

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// abi is what we believe, by the C expression that says the same.
var abi = map[string]int64{
	"IORING_OP_NOP":          OpNop,
	"IORING_OP_READV":        OpReadV,
	"IORING_OP_WRITEV":       OpWriteV,
	"IORING_OP_FSYNC":        OpFsync,
	"IORING_OP_POLL_ADD":     OpPollAdd,
	"IORING_OP_TIMEOUT":      OpTimeout,
	"IORING_OP_ASYNC_CANCEL": OpAsyncCancel,
	"IORING_OP_LINK_TIMEOUT": OpLinkTimeout,
	"IORING_OP_FALLOCATE":    OpFallocate,
	"IORING_OP_CLOSE":        OpClose,
	"IORING_OP_STATX":        OpStatx,
	"IORING_OP_READ":         OpRead,
	"IORING_OP_WRITE":        OpWrite,
	"IORING_OP_FADVISE":      OpFadvise,
	"IORING_OP_OPENAT2":      OpOpenAt2,
	"IORING_OP_RENAMEAT":     OpRenameAt,
	"IORING_OP_UNLINKAT":     OpUnlinkAt,
	"IORING_OP_MKDIRAT":      OpMkdirAt,
	"IORING_OP_SYMLINKAT":    OpSymlinkAt,
	"IORING_OP_LINKAT":       OpLinkAt,
	"IORING_OP_FTRUNCATE":    OpFtruncate,

	"IORING_SETUP_CQSIZE":       SetupCQSize,
	"IORING_SETUP_CLAMP":        SetupClamp,
	"IORING_SETUP_SUBMIT_ALL":   SetupSubmitAll,
	"IORING_SETUP_COOP_TASKRUN": SetupCoopTaskrun,
	"IORING_SETUP_TASKRUN_FLAG": SetupTaskrunFlag,
	"IORING_SETUP_NO_SQARRAY":   SetupNoSQArray,

	"IORING_FEAT_SINGLE_MMAP":   FeatureSingleMmap,
	"IORING_FEAT_NODROP":        FeatureNoDrop,
	"IORING_FEAT_SUBMIT_STABLE": FeatureSubmitStable,
	"IORING_FEAT_EXT_ARG":       FeatureExtArg,

	"IOSQE_IO_LINK":                SQEIOLink,
	"IOSQE_ASYNC":                  SQEAsync,
	"IORING_SQ_NEED_WAKEUP":        SQNeedWakeup,
	"IORING_SQ_CQ_OVERFLOW":        SQCQOverflow,
	"IORING_SQ_TASKRUN":            SQTaskrun,
	"IORING_CQ_EVENTFD_DISABLED":   CQEventfdDisabled,
	"IORING_CQE_F_MORE":            CQEMore,
	"IORING_ENTER_GETEVENTS":       EnterGetEvents,
	"IORING_FSYNC_DATASYNC":        FsyncDataSync,
	"IORING_TIMEOUT_ETIME_SUCCESS": TimeoutETimeOK,

	"IORING_REGISTER_FILES":            RegisterFiles,
	"IORING_REGISTER_EVENTFD":          RegisterEventfd,
	"IORING_REGISTER_PROBE":            RegisterProbe,
	"IORING_REGISTER_IOWQ_MAX_WORKERS": RegisterIOWQMaxWorkers,
	"IO_URING_OP_SUPPORTED":            ProbeOpSupported,
	"IORING_OFF_SQ_RING":               OffsetRings,
	"IORING_OFF_SQES":                  OffsetSQEs,

	"RWF_NOWAIT":                   ReadWriteNoWait,
	"AT_FDCWD":                     AtCWD,
	"AT_REMOVEDIR":                 AtRemoveDir,
	"STATX_BASIC_STATS":            StatxBasicStats,
	"STATX_BTIME":                  StatxBirthTime,
	"STATX_MNT_ID":                 StatxMountID,
	"STATX_DIOALIGN":               StatxDirectIOAlign,
	"(__O_TMPFILE & ~O_DIRECTORY)": OpenTmpfile,
	"PATH_MAX":                     PathMax,
	"UIO_MAXIOV":                   IovecsMax,
	"EBADR":                        int64(EBADR),

	"sizeof(struct io_uring_sqe)":                       int64(unsafe.Sizeof(SQE{})),
	"offsetof(struct io_uring_sqe, opcode)":             int64(unsafe.Offsetof(SQE{}.Opcode)),
	"offsetof(struct io_uring_sqe, flags)":              int64(unsafe.Offsetof(SQE{}.Flags)),
	"offsetof(struct io_uring_sqe, ioprio)":             int64(unsafe.Offsetof(SQE{}.IOPrio)),
	"offsetof(struct io_uring_sqe, fd)":                 int64(unsafe.Offsetof(SQE{}.FD)),
	"offsetof(struct io_uring_sqe, off)":                int64(unsafe.Offsetof(SQE{}.Off)),
	"offsetof(struct io_uring_sqe, addr2)":              int64(unsafe.Offsetof(SQE{}.Off)),
	"offsetof(struct io_uring_sqe, addr)":               int64(unsafe.Offsetof(SQE{}.Addr)),
	"offsetof(struct io_uring_sqe, len)":                int64(unsafe.Offsetof(SQE{}.Len)),
	"offsetof(struct io_uring_sqe, rw_flags)":           int64(unsafe.Offsetof(SQE{}.OpFlags)),
	"offsetof(struct io_uring_sqe, fsync_flags)":        int64(unsafe.Offsetof(SQE{}.OpFlags)),
	"offsetof(struct io_uring_sqe, poll32_events)":      int64(unsafe.Offsetof(SQE{}.OpFlags)),
	"offsetof(struct io_uring_sqe, timeout_flags)":      int64(unsafe.Offsetof(SQE{}.OpFlags)),
	"offsetof(struct io_uring_sqe, cancel_flags)":       int64(unsafe.Offsetof(SQE{}.OpFlags)),
	"offsetof(struct io_uring_sqe, statx_flags)":        int64(unsafe.Offsetof(SQE{}.OpFlags)),
	"offsetof(struct io_uring_sqe, fadvise_advice)":     int64(unsafe.Offsetof(SQE{}.OpFlags)),
	"offsetof(struct io_uring_sqe, rename_flags)":       int64(unsafe.Offsetof(SQE{}.OpFlags)),
	"offsetof(struct io_uring_sqe, unlink_flags)":       int64(unsafe.Offsetof(SQE{}.OpFlags)),
	"offsetof(struct io_uring_sqe, hardlink_flags)":     int64(unsafe.Offsetof(SQE{}.OpFlags)),
	"offsetof(struct io_uring_sqe, user_data)":          int64(unsafe.Offsetof(SQE{}.UserData)),
	"offsetof(struct io_uring_sqe, buf_index)":          int64(unsafe.Offsetof(SQE{}.BufIndex)),
	"offsetof(struct io_uring_sqe, personality)":        int64(unsafe.Offsetof(SQE{}.Personality)),
	"offsetof(struct io_uring_sqe, file_index)":         int64(unsafe.Offsetof(SQE{}.FileIndex)),
	"offsetof(struct io_uring_sqe, addr3)":              int64(unsafe.Offsetof(SQE{}.Addr3)),
	"sizeof(struct io_uring_cqe)":                       int64(unsafe.Sizeof(CQE{})),
	"offsetof(struct io_uring_cqe, user_data)":          int64(unsafe.Offsetof(CQE{}.UserData)),
	"offsetof(struct io_uring_cqe, res)":                int64(unsafe.Offsetof(CQE{}.Res)),
	"offsetof(struct io_uring_cqe, flags)":              int64(unsafe.Offsetof(CQE{}.Flags)),
	"sizeof(struct io_uring_params)":                    int64(unsafe.Sizeof(Params{})),
	"offsetof(struct io_uring_params, sq_entries)":      int64(unsafe.Offsetof(Params{}.SQEntries)),
	"offsetof(struct io_uring_params, cq_entries)":      int64(unsafe.Offsetof(Params{}.CQEntries)),
	"offsetof(struct io_uring_params, flags)":           int64(unsafe.Offsetof(Params{}.Flags)),
	"offsetof(struct io_uring_params, features)":        int64(unsafe.Offsetof(Params{}.Features)),
	"offsetof(struct io_uring_params, sq_off)":          int64(unsafe.Offsetof(Params{}.SQOff)),
	"offsetof(struct io_uring_params, cq_off)":          int64(unsafe.Offsetof(Params{}.CQOff)),
	"sizeof(struct io_sqring_offsets)":                  int64(unsafe.Sizeof(SQOffsets{})),
	"offsetof(struct io_sqring_offsets, head)":          int64(unsafe.Offsetof(SQOffsets{}.Head)),
	"offsetof(struct io_sqring_offsets, tail)":          int64(unsafe.Offsetof(SQOffsets{}.Tail)),
	"offsetof(struct io_sqring_offsets, ring_mask)":     int64(unsafe.Offsetof(SQOffsets{}.RingMask)),
	"offsetof(struct io_sqring_offsets, ring_entries)":  int64(unsafe.Offsetof(SQOffsets{}.RingEntries)),
	"offsetof(struct io_sqring_offsets, flags)":         int64(unsafe.Offsetof(SQOffsets{}.Flags)),
	"offsetof(struct io_sqring_offsets, dropped)":       int64(unsafe.Offsetof(SQOffsets{}.Dropped)),
	"offsetof(struct io_sqring_offsets, array)":         int64(unsafe.Offsetof(SQOffsets{}.Array)),
	"sizeof(struct io_cqring_offsets)":                  int64(unsafe.Sizeof(CQOffsets{})),
	"offsetof(struct io_cqring_offsets, head)":          int64(unsafe.Offsetof(CQOffsets{}.Head)),
	"offsetof(struct io_cqring_offsets, tail)":          int64(unsafe.Offsetof(CQOffsets{}.Tail)),
	"offsetof(struct io_cqring_offsets, ring_mask)":     int64(unsafe.Offsetof(CQOffsets{}.RingMask)),
	"offsetof(struct io_cqring_offsets, ring_entries)":  int64(unsafe.Offsetof(CQOffsets{}.RingEntries)),
	"offsetof(struct io_cqring_offsets, overflow)":      int64(unsafe.Offsetof(CQOffsets{}.Overflow)),
	"offsetof(struct io_cqring_offsets, cqes)":          int64(unsafe.Offsetof(CQOffsets{}.CQEs)),
	"offsetof(struct io_cqring_offsets, flags)":         int64(unsafe.Offsetof(CQOffsets{}.Flags)),
	"sizeof(struct io_uring_probe_op)":                  int64(unsafe.Sizeof(ProbeOp{})),
	"offsetof(struct io_uring_probe_op, flags)":         int64(unsafe.Offsetof(ProbeOp{}.Flags)),
	"offsetof(struct io_uring_probe, ops_len)":          int64(unsafe.Offsetof(Probe{}.OpsLen)),
	"offsetof(struct io_uring_probe, ops)":              int64(unsafe.Offsetof(Probe{}.Ops)),
	"sizeof(struct open_how)":                           int64(unsafe.Sizeof(OpenHow{})),
	"offsetof(struct open_how, mode)":                   int64(unsafe.Offsetof(OpenHow{}.Mode)),
	"offsetof(struct open_how, resolve)":                int64(unsafe.Offsetof(OpenHow{}.Resolve)),
	"sizeof(struct __kernel_timespec)":                  int64(unsafe.Sizeof(Timespec{})),
	"offsetof(struct __kernel_timespec, tv_nsec)":       int64(unsafe.Offsetof(Timespec{}.Nsec)),
	"sizeof(struct iovec)":                              int64(unsafe.Sizeof(Iovec{})),
	"offsetof(struct iovec, iov_len)":                   int64(unsafe.Offsetof(Iovec{}.Len)),
	"sizeof(struct statx)":                              int64(unsafe.Sizeof(Statx{})),
	"offsetof(struct statx, stx_blksize)":               int64(unsafe.Offsetof(Statx{}.BlockSize)),
	"offsetof(struct statx, stx_attributes)":            int64(unsafe.Offsetof(Statx{}.Attributes)),
	"offsetof(struct statx, stx_nlink)":                 int64(unsafe.Offsetof(Statx{}.Links)),
	"offsetof(struct statx, stx_uid)":                   int64(unsafe.Offsetof(Statx{}.UID)),
	"offsetof(struct statx, stx_gid)":                   int64(unsafe.Offsetof(Statx{}.GID)),
	"offsetof(struct statx, stx_mode)":                  int64(unsafe.Offsetof(Statx{}.Mode)),
	"offsetof(struct statx, stx_ino)":                   int64(unsafe.Offsetof(Statx{}.Inode)),
	"offsetof(struct statx, stx_size)":                  int64(unsafe.Offsetof(Statx{}.Size)),
	"offsetof(struct statx, stx_blocks)":                int64(unsafe.Offsetof(Statx{}.Blocks)),
	"offsetof(struct statx, stx_attributes_mask)":       int64(unsafe.Offsetof(Statx{}.AttributesMask)),
	"offsetof(struct statx, stx_atime)":                 int64(unsafe.Offsetof(Statx{}.Accessed)),
	"offsetof(struct statx, stx_btime)":                 int64(unsafe.Offsetof(Statx{}.Born)),
	"offsetof(struct statx, stx_ctime)":                 int64(unsafe.Offsetof(Statx{}.Changed)),
	"offsetof(struct statx, stx_mtime)":                 int64(unsafe.Offsetof(Statx{}.Modified)),
	"offsetof(struct statx, stx_rdev_major)":            int64(unsafe.Offsetof(Statx{}.RDeviceMajor)),
	"offsetof(struct statx, stx_rdev_minor)":            int64(unsafe.Offsetof(Statx{}.RDeviceMinor)),
	"offsetof(struct statx, stx_dev_major)":             int64(unsafe.Offsetof(Statx{}.DeviceMajor)),
	"offsetof(struct statx, stx_dev_minor)":             int64(unsafe.Offsetof(Statx{}.DeviceMinor)),
	"offsetof(struct statx, stx_mnt_id)":                int64(unsafe.Offsetof(Statx{}.MountID)),
	"offsetof(struct statx, stx_dio_mem_align)":         int64(unsafe.Offsetof(Statx{}.DirectMemoryAlign)),
	"offsetof(struct statx, stx_dio_offset_align)":      int64(unsafe.Offsetof(Statx{}.DirectOffsetAlign)),
	"offsetof(struct statx, stx_subvol)":                int64(unsafe.Offsetof(Statx{}.SubvolumeID)),
	"offsetof(struct statx, stx_atomic_write_unit_min)": int64(unsafe.Offsetof(Statx{}.AtomicWriteUnitMin)),
	"offsetof(struct statx, stx_dio_read_offset_align)": int64(unsafe.Offsetof(Statx{}.DirectReadOffsetAlign)),
	"offsetof(struct statx_timestamp, tv_nsec)":         int64(unsafe.Offsetof(StatxTime{}.Nsec)),
}

const abiIncludes = `
#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <linux/time_types.h>
`

// TestABI has a C compiler read the kernel's headers and say what they say of
// each of our constants, sizes and offsets. What older headers do not know is
// left out, and named.
func TestABI(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler: ", err)
	}
	if _, err := os.Stat("/usr/include/linux/io_uring.h"); err != nil {
		t.Skip("no kernel header: ", err)
	}
	known := preprocess(t, cc)
	var program strings.Builder
	program.WriteString(abiIncludes + "int main(void) {\n")
	asked, left := 0, []string{}
	for expression := range abi {
		if !knows(known, expression) {
			left = append(left, expression)
			continue
		}
		asked++
		fmt.Fprintf(&program, "printf(\"%%s=%%lld\\n\", %q, (long long)(%s));\n", expression, expression)
	}
	program.WriteString("return 0; }\n")
	if len(left) > 0 {
		t.Log("not in these headers, not compared: ", left)
	}
	got := compileAndRun(t, cc, program.String())
	require.Len(t, got, asked)
	for expression, value := range got {
		require.Equal(t, abi[expression], value, expression)
	}
}

// preprocess is all that the headers define: macros, and the text itself.
func preprocess(t *testing.T, cc string) []byte {
	var all []byte
	for _, how := range [][]string{{"-E", "-dM", "-x", "c", "-"}, {"-E", "-P", "-x", "c", "-"}} {
		cmd := exec.Command(cc, how...)
		cmd.Stdin = strings.NewReader(abiIncludes)
		out, err := cmd.Output()
		require.NoError(t, err)
		all = append(all, out...)
	}
	return all
}

// knows reports whether each name of a C expression occurs in the headers.
func knows(headers []byte, expression string) bool {
	for _, name := range regexp.MustCompile(`[A-Za-z_]\w+`).FindAllString(expression, -1) {
		switch name {
		case "sizeof", "offsetof", "struct":
			continue
		}
		if !regexp.MustCompile(`\b` + name + `\b`).Match(headers) {
			return false
		}
	}
	return true
}

func compileAndRun(t *testing.T, cc, program string) map[string]int64 {
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "abi.c"), filepath.Join(dir, "abi")
	require.NoError(t, os.WriteFile(source, []byte(program), 0o600))
	out, err := exec.Command(cc, "-o", binary, source).CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.Command(binary).Output()
	require.NoError(t, err)
	values := map[string]int64{}
	for line := range bytes.Lines(out) {
		expression, value, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		values[expression], err = strconv.ParseInt(value, 10, 64)
		require.NoError(t, err)
	}
	return values
}

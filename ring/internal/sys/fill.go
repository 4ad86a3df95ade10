package sys

import "unsafe"

// The functions of this file turn references into the integers of an SQE. The
// garbage collector does not see those: whoever calls keeps a typed reference
// to the memory until the kernel has let go of it, and has it pass through
// Escape, so that it is not on a stack.

// SetBuffer has the SQE speak of buf, or of as much of it as one transfer may
// have.
func (s *SQE) SetBuffer(buf []byte) {
	s.Addr = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(buf))))
	s.Len = uint32(min(len(buf), TransferMax))
}

// SetIovecs has the SQE speak of the buffers in iovecs.
func (s *SQE) SetIovecs(iovecs []Iovec) {
	s.Addr = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(iovecs))))
	s.Len = uint32(len(iovecs))
}

// SetPath gives the SQE a NUL-terminated path.
func (s *SQE) SetPath(path []byte) {
	s.Addr = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(path))))
}

// SetPath2 gives the SQE a second NUL-terminated path.
func (s *SQE) SetPath2(path []byte) {
	s.Off = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(path))))
}

// SetHow gives the SQE the parameters of openat2.
func (s *SQE) SetHow(how *OpenHow) {
	s.Off = uint64(uintptr(unsafe.Pointer(how)))
	s.Len = uint32(unsafe.Sizeof(*how))
}

// SetTime gives the SQE the time of a timeout.
func (s *SQE) SetTime(time *Timespec) {
	s.Addr = uint64(uintptr(unsafe.Pointer(time)))
	s.Len = 1
}

// SetStatx gives the SQE the place for the result of statx.
func (s *SQE) SetStatx(statx *Statx) {
	s.Off = uint64(uintptr(unsafe.Pointer(statx)))
}

// MakeIovec describes buf to the kernel.
func MakeIovec(buf []byte) Iovec {
	return Iovec{Base: unsafe.SliceData(buf), Len: uint64(len(buf))}
}

// Bytes is the buffer that the iovec describes.
func (v Iovec) Bytes() []byte { return unsafe.Slice(v.Base, v.Len) }

// escaped is never written: the compiler does not know that.
var escaped struct {
	on  bool
	buf []byte
	mem any
}

// Escape makes the compiler put what buf and mem refer to on the heap, as if
// they were kept. Without it a buffer that a caller makes and hands to the
// kernel could lie on the caller's stack, and stacks move.
func Escape(buf []byte, mem any) {
	if escaped.on {
		escaped.buf, escaped.mem = buf, mem
	}
}

package sys

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// The functions of this file are the only way from mapped bytes to words and
// entries. They check bounds and alignment once, when a ring is opened, so
// that a kernel that answers nonsense is an error and not a wild pointer.

// Word is the 32-bit word at an offset of mem, shared with the kernel.
func Word(mem []byte, offset uint32) (*atomic.Uint32, error) {
	return at[atomic.Uint32](mem, offset, 1)
}

// Words are n plain words from an offset of mem.
func Words(mem []byte, offset, n uint32) ([]uint32, error) { return slice[uint32](mem, offset, n) }

// SQEs are n submission entries from the start of mem.
func SQEs(mem []byte, n uint32) ([]SQE, error) { return slice[SQE](mem, 0, n) }

// CQEs are n completion entries from an offset of mem.
func CQEs(mem []byte, offset, n uint32) ([]CQE, error) { return slice[CQE](mem, offset, n) }

func slice[T any](mem []byte, offset, n uint32) ([]T, error) {
	first, err := at[T](mem, offset, n)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice(first, n), nil
}

// at is the address of n values of T at an offset of mem.
func at[T any](mem []byte, offset, n uint32) (*T, error) {
	var zero T
	need := uint64(offset) + uint64(n)*uint64(unsafe.Sizeof(zero))
	if n == 0 || need > uint64(len(mem)) {
		return nil, fmt.Errorf("%d entries at offset %d do not fit a mapping of %d bytes", n, offset, len(mem))
	}
	p := unsafe.Pointer(&mem[offset])
	if uintptr(p)%unsafe.Alignof(zero) != 0 {
		return nil, fmt.Errorf("offset %d is not aligned", offset)
	}
	return (*T)(p), nil
}

package main

const (
	// firstRead is how much of a file is asked for before its size is known.
	// Most files are no larger.
	firstRead = 64 << 10
	// chunk is how much of a larger file is read and written at a time.
	chunk = 256 << 10
	// chunksMax is how many chunks a copier has in flight: with many large
	// files at once, each has to do with fewer lanes.
	chunksMax = 2 * transfersEach
)

// buffers are a copier's buffers for its lanes, of two sizes, and kept in
// stacks, so that the warmest one is used next.
type buffers struct {
	small, large [][]byte
	chunks       int // large ones that are in use
}

// take gives a buffer that has room for n bytes, a chunk at most.
func (b *buffers) take(n int) []byte {
	if n <= firstRead {
		return pop(&b.small, firstRead)
	}
	b.chunks++
	return pop(&b.large, chunk)
}

func pop(stack *[][]byte, size int) []byte {
	last := len(*stack) - 1
	if last < 0 {
		return make([]byte, size)
	}
	buf := (*stack)[last]
	*stack = (*stack)[:last]
	return buf
}

// giveBack takes a lane's buffer back, if it has one.
func (b *buffers) giveBack(buf *[]byte) {
	switch len(*buf) {
	case 0:
		return
	case firstRead:
		b.small = append(b.small, *buf)
	default:
		b.chunks--
		b.large = append(b.large, *buf)
	}
	*buf = nil
}

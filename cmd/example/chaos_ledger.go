package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ringmaster-io/ringmaster/messages"
)

// brokenMax is how many broken promises are said in words.
const brokenMax = 20

// ledger is what the performers have counted.
type ledger struct {
	asked, again, done, failed, cancelled, refused atomic.Uint64

	cancels atomic.Uint64   // that were asked for
	killed  atomic.Uint64   // actors that were stopped in the midst
	closed  atomic.Uint64   // handles that were theirs, and are refused
	swept   atomic.Uint64   // directories that were theirs, and were there at the end
	acts    []atomic.Uint64 // of each kind

	mu     sync.Mutex
	broken []string
	more   int
}

// count counts an answer.
func (l *ledger) count(err error) {
	switch {
	case err == nil:
		l.done.Add(1)
	case errors.Is(err, messages.ErrRestarted):
		l.again.Add(1)
	case errors.Is(err, messages.ErrRefused):
		l.refused.Add(1)
	case isOneOf(err, []error{context.Canceled, context.DeadlineExceeded, messages.ErrRingLost}):
		l.cancelled.Add(1)
	default:
		l.failed.Add(1)
	}
}

// answers is how many there were.
func (l *ledger) answers() uint64 {
	return l.done.Load() + l.again.Load() + l.refused.Load() + l.cancelled.Load() + l.failed.Load()
}

// broke notes a broken promise.
func (l *ledger) broke(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.broken) == brokenMax {
		l.more++
		return
	}
	l.broken = append(l.broken, fmt.Sprintf(format, args...))
}

func (l *ledger) brokenCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.broken) + l.more
}

// said are the broken promises in words, one a line.
func (l *ledger) said() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text strings.Builder
	for _, line := range l.broken {
		fmt.Fprintf(&text, "example: broken: %s\n", line)
	}
	if l.more > 0 {
		fmt.Fprintf(&text, "example: broken: and %d more\n", l.more)
	}
	return text.String()
}

//go:build linux

// Package faults holds the scenarios of real faults: the whole subsystem on the
// running kernel, while cancellations race, system calls fail, queues overflow,
// threads die, devices hang and senders lie. Each is a test of its own, and
// each is held to the same oracle, which is written down at [oracle].
//
// A scenario that needs root or a program that is not there says so and is
// skipped.
package faults

import (
	"testing"

	"github.com/ringmaster-io/ringmaster/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

package main

import (
	"io/fs"
	"strings"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/actors"
)

// copyJob is what the actors of a copy share. Apart from the tally and what is
// the director's, nothing in it changes after the start.
type copyJob struct {
	plan
	client *actors.Client
	owner  *actor.PID   // the ring owner
	warn   func(string) // says one line on standard error
	tally  *tally
	done   chan error // gets the end of the copy, once
	// over says so to the director's next incarnation, if there is one.
	over bool
}

// tally counts what has been copied while the progress bar looks on.
type tally struct {
	files, dirs, symlinks, skipped atomic.Int64
	bytes, total                   atomic.Int64
}

// needsChmod says whether open(2) and mkdir(2) make something else of a mode
// than was asked for.
func (p *plan) needsChmod(mode fs.FileMode) bool {
	return mode&p.lost != 0 || mode&specialBits != 0
}

// joinPath names an entry of a directory as find(1) does, without cleaning
// what the user wrote.
func joinPath(dir, name string) string {
	switch {
	case dir == "":
		return name
	case strings.HasSuffix(dir, "/"):
		return dir + name
	default:
		return dir + "/" + name
	}
}

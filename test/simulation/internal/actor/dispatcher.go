// Package actor holds one type whose name is the point of it: the ring owner
// delivers straight to the mailboxes that it knows to be asynchronous, and
// knows them by their dispatcher's type, which in protoactor is
// actor.goroutineDispatcher. A simulation has no goroutines. Its dispatcher is
// as asynchronous, in a time of its own, and is called the same so that the
// usual way of delivery is simulated as well.
package actor

import "github.com/asynkron/protoactor-go/actor"

// NewDispatcher gives a dispatcher that runs what it is given by later.
func NewDispatcher(later func(func())) actor.Dispatcher { return goroutineDispatcher{later} }

type goroutineDispatcher struct{ later func(func()) }

// Schedule implements actor.Dispatcher.
func (d goroutineDispatcher) Schedule(f func()) { d.later(f) }

// Throughput implements actor.Dispatcher.
func (goroutineDispatcher) Throughput() int { return 300 }

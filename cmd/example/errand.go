package main

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/ringmaster-io/ringmaster/messages"
)

// errands are the operations of an actor that walks a tree: each is followed
// by something of its own, which a function says better than a table of steps.
// It runs in the actor's turn, so it may touch what is the actor's.
type errands struct {
	port
	flying int
}

// errand is one operation and what comes after it.
type errand[R any] struct {
	request
	errands *errands
	then    func(actor.Context, R, error)
}

// send submits an operation.
func send[R any](es *errands, op messages.Operation[R], then func(actor.Context, R, error)) {
	es.flying++
	e := &errand[R]{errands: es, then: then}
	e.asker = e
	es.ask(&e.request, 0, op)
}

// answered implements asker.
func (e *errand[R]) answered(ctx actor.Context, _ *request) {
	e.errands.flying--
	result, err := messages.Result[R](&e.answer)
	e.then(ctx, result, err)
}

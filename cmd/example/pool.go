package main

import "github.com/asynkron/protoactor-go/actor"

// parcel is work for one worker, some files at a time: a message for each file
// would cost as much as one of its operations.
type parcel interface {
	comparable
	// weight is how many files are in it.
	weight() int
}

// pool hands parcels to long-lived actors. It belongs to the actor that is
// their parent.
type pool[P parcel] struct {
	workers []*actor.PID
	each    int       // how many files a worker has in flight
	given   []int     // files that each worker has
	holder  map[P]int // which worker has a parcel
	ready   []P       // waiting for a worker, first come, first served
	backlog int       // files in ready, or with a worker
}

// newPool starts n workers as children of the calling actor.
func newPool[P parcel](ctx actor.Context, n, each int, worker func() actor.Actor) *pool[P] {
	p := &pool[P]{each: each, given: make([]int, n), holder: make(map[P]int)}
	for range n {
		p.workers = append(p.workers, ctx.Spawn(actor.PropsFromProducer(worker)))
	}
	return p
}

func (p *pool[P]) offer(parcel P) {
	p.ready = append(p.ready, parcel)
	p.backlog += parcel.weight()
}

// assign gives parcels to those workers that have the least to do, as long as
// they can use more: one should have the next files at hand when it is done
// with those that it has in flight.
func (p *pool[P]) assign(ctx actor.Context) {
	for len(p.ready) > 0 {
		least := 0
		for i, n := range p.given {
			if n < p.given[least] {
				least = i
			}
		}
		if p.given[least] >= 2*p.each {
			return
		}
		next := p.ready[0]
		p.ready = p.ready[1:]
		p.given[least] += next.weight()
		p.holder[next] = least
		ctx.Send(p.workers[least], next)
	}
}

// settled takes a parcel off the books.
func (p *pool[P]) settled(parcel P) {
	p.given[p.holder[parcel]] -= parcel.weight()
	delete(p.holder, parcel)
	p.backlog -= parcel.weight()
}

// drop forgets what no worker has.
func (p *pool[P]) drop() {
	for _, parcel := range p.ready {
		p.backlog -= parcel.weight()
	}
	p.ready = nil
}

// tell sends a message to all workers.
func (p *pool[P]) tell(ctx actor.Context, message any) {
	for _, pid := range p.workers {
		ctx.Send(pid, message)
	}
}

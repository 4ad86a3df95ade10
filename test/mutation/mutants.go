package main

// mutant is the subsystem without one of its guards: in one file, one piece of
// text is replaced by another.
type mutant struct {
	name     string
	file     string
	old, new string
}

// mutants are the guards that the promise rests on.
var mutants = []mutant{
	{
		name: "the generation of a completion is not compared",
		file: "ring/table.go",
		old:  "return i, s.op == u.Generation()",
		new:  "return i, s.op != 0",
	},
	{
		name: "an operation ends with the answer to its cancel",
		file: "actors/engine_cancel.go",
		old:  "\te.cancelEnded(i, cqe.UserData)\n",
		new: "\te.cancelEnded(i, cqe.UserData)\n" +
			"\tif u, out := e.table.Outstanding(i); out && cqe.Res == 0 {\n\t\te.finish(i, e.table.Payload(i), u, -int32(125))\n\t\treturn\n\t}\n",
	},
	{
		name: "a slot is free as soon as its operation is answered",
		file: "ring/table.go",
		old:  "if s.state == Settling && s.op == 0 && s.aux == 0 {\n\t\teffect |= Release",
		new:  "if s.state == Settling && s.op == 0 {\n\t\ts.aux = 0\n\t\teffect |= Release",
	},
	{
		name: "a close does not wait for operations on the descriptor",
		file: "actors/engine_submit.go",
		old:  "\tif p.file.Close() {\n\t\te.enqueue(p)\n\t\treturn\n\t}\n\tp.file.Payload.closing.push(p)\n",
		new:  "\tp.file.Close()\n\te.enqueue(p)\n",
	},
	{
		name: "what a failed ring's kernel has not consumed is left there",
		file: "actors/engine_restart.go",
		old:  "\te.current, e.backend = nil, \"\"\n\tl.draining = true\n\te.takeBack(l)\n",
		new:  "\te.current, e.backend = nil, \"\"\n\tl.draining = true\n",
	},
	{
		name: "a failed ring goes on serving",
		file: "actors/drive.go",
		old:  "\t\td.guard(func() { e.fence(true) })\n",
		new:  "",
	},
	{
		name: "the message lost to a panic is not answered",
		file: "actors/drive.go",
		old:  "\td.guard(e.afterPanic)\n\te.parties.posted = mail{}\n",
		new:  "\te.inHand, e.batchInHand = nil, nil\n\te.parties.posted = mail{}\n",
	},
	{
		name: "a late descriptor is not closed",
		file: "actors/engine_complete.go",
		old:  "\t\te.counters.LateClosed++\n\t\te.lane.close(p.res, e.deviceFor(p))\n",
		new:  "\t\te.counters.LateClosed++\n",
	},
	{
		name: "the queue is not looked at again after unmasking",
		file: "actors/drive.go",
		old:  "if !d.resting() && d.engine.unmask(d.looks < looksBound) {",
		new:  "if d.engine.unmask(d.looks < looksBound) && false {",
	},
	{
		name: "an operation that a crash left in no queue is forgotten",
		file: "actors/engine_restart.go",
		old:  "func (e *engine) repair() {\n",
		new:  "func (e *engine) repair() {\n\tif e.table != nil {\n\t\treturn\n\t}\n",
	},
	{
		name: "what was taken out of its owner's waiting list leaves the owner in the crowd",
		file: "actors/share.go",
		old:  "\tif o.waiting.head == nil {\n\t\te.crowd.remove(o)\n\t}\n",
		new:  "",
	},
	{
		name: "what an operation holds is let go each time that it is looked at",
		file: "actors/engine_complete.go",
		old:  "\tp.ended = true\n",
		new:  "",
	},
	{
		name: "the holder of a revoked token goes on",
		file: "actors/engine_issue.go",
		old:  "\t\td.wake()\n\t\tpanic(revoked{})\n",
		new:  "\t\td.wake()\n",
	},
	{
		name: "a cancel is answered before its operation",
		file: "actors/engine_answer.go",
		old:  "\te.post(reply, c, batched)\n\tif len(waiters) > 0 {\n\t\te.sendBatch(reply) // whoever they are, the answer comes first\n\t}\n\te.told(waiters)\n",
		new:  "\te.told(waiters)\n\te.post(reply, c, batched)\n",
	},
	{
		name: "a new actor under an old name gets the old one's identity",
		file: "actors/party.go",
		old:  "\tif then, known := ps.posted.knows(pid); known && process != then {\n\t\treturn nil, false\n\t}\n",
		new:  "",
	},
	{
		name: "operations of one direction on a stream are issued together",
		file: "actors/engine_submit.go",
		old:  "\t\tif d.busy {\n",
		new:  "\t\tif d.busy && false {\n",
	},
	{
		name: "a quarantined operation's memory is given back with its answer",
		file: "actors/engine_answer.go",
		old:  "\tif e.table.State(i) == ring.Forfeited {\n\t\tc.Err",
		new:  "\tif e.table.State(i) == ring.Forfeited {\n\t\tc.Op = op\n\t\tc.Err",
	},
}

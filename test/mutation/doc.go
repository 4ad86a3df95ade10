// Command mutation shows that the simulation would notice. It switches off one
// guard of the subsystem at a time, in a copy of the module, and has the
// simulation search the copy for a history that breaks the promise. A guard that
// can be missing without anybody noticing is a failure, exit status 1.
//
//	go run ./test/mutation
package main

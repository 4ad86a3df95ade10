// Command example shows Ringmaster at work, and is meant to be read.
//
//	example                  a tour of the promises, in a few seconds
//	example copy SRC DST     copy a tree, if need be while the ring owner crashes
//	example sum PATH...      SHA-256 of files, in the format of sha256sum
//	example chaos            many actors do I/O while everything fails; each answer is checked
//
// The program does no file I/O of its own: every file, directory and link is
// read and written through the subsystem. It uses it in each of the three ways
// there are, and every part says why it chose the one it uses:
//
//   - Long-lived actors that send [messages.Submit] and get
//     [messages.Completion]. The copiers (copier.go) and the hashers (hasher.go)
//     allocate nothing for an operation and have many in flight; the director
//     (director.go) and the indexer (indexer.go), which walk the trees, follow
//     each operation with a function (errand.go). What they share is in port.go.
//   - Operation actors, one for each operation, started with [actors.SpawnOp]:
//     the director has them make symbolic links (crew.go, link.go).
//   - Goroutines that call [actors.Await]: the look at the paths before a copy
//     (plan.go) and the comparison after it (verify.go).
//
// The crashes are injected through a hook of the supervisor (crash.go). Nothing
// else of the program knows of them, but for one rule that holds for all three
// ways: an operation that is refused with [messages.ErrRestarted] is submitted
// again, since nothing of it reached the kernel.
package main

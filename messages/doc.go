// Package messages is the protocol of Ringmaster: everything that crosses
// between an application's actors and the ring owner.
//
// The ring owner is an ordinary protoactor actor. It takes [Submit],
// [SubmitBatch], [Cancel], [CancelOwner], [CancelHandle] and [Inspect], and it
// answers with [Completion], [Refused], [CancelResult], [Ready] and
// [Inspection].
//
// # The promise
//
// Each Submit gets exactly one answer that ends it: a Refused, when the
// operation was not accepted and nothing of it reached the kernel, or a
// terminal Completion (More is false), sent only when the kernel has let go of
// the operation's memory. The one exception names itself, [ErrOutcomeUnknown]:
// the operation's buffers are then forfeited and must not be used again.
//
// # Ownership
//
// A message belongs to its receiver once it is sent, and so does every buffer
// in its operation: neither may be touched until the terminal answer brings
// the operation back. Storage that is lent for the answer (Submit.Into) is the
// sender's again at the same moment.
//
// # Locality
//
// Messages carry handles, buffers and process-local identities. They are for
// actors of this process only; a reply address on another node is refused.
//
// The package knows protoactor's PID and no kernel.
package messages

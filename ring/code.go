package ring

import (
	"fmt"
	"iter"
)

var codeNames = [codeCount]string{
	CodeNop: "nop", CodeOpen: "open", CodeClose: "close", CodeRead: "read", CodeWrite: "write",
	CodeReadV: "readv", CodeWriteV: "writev", CodeFsync: "fsync", CodeStat: "stat",
	CodeTruncate: "truncate", CodeAllocate: "allocate", CodeAdvise: "advise", CodeRename: "rename",
	CodeUnlink: "unlink", CodeMkdir: "mkdir", CodeLink: "link", CodeSymlink: "symlink",
	CodeTimeout: "timeout", CodeCancel: "cancel", CodePoll: "poll", CodeLinkTimeout: "link timeout",
}

// String names the code in reports.
func (c Code) String() string {
	if c < codeCount {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// Codes are all codes.
func Codes() iter.Seq[Code] {
	return func(yield func(Code) bool) {
		for c := range codeCount {
			if !yield(c) {
				return
			}
		}
	}
}

package ring

import (
	"os"

	"github.com/ringmaster-io/ringmaster/ring/internal/sys"
)

// openCreates are the flags with which an open takes a mode.
const openCreates = os.O_CREATE | sys.OpenTmpfile

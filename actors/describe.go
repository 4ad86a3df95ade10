package actors

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/ringmaster-io/ringmaster/messages"
	"github.com/ringmaster-io/ringmaster/ring"
)

// describe looks at a descriptor that is to become a handle: what it is, and
// what it allows. The attributes are for whoever asked for them.
func (e *engine) describe(fd int32, flags int, stat bool) (fileInfo, *messages.Attributes, error) {
	info := fileInfo{
		rights:  rightsOf(flags),
		direct:  flags&openDirect != 0,
		appends: flags&os.O_APPEND != 0,
	}
	if !stat && justCreated(flags) {
		return info, nil, nil
	}
	var st ring.Statx
	if err := e.config.Host.Describe(fd, &st); err != nil {
		return info, nil, fmt.Errorf("asking what a descriptor is: %w", err)
	}
	mode := modeOf(uint32(st.Mode))
	info.kind = kindOf(mode)
	if info.kind == kindDirectory {
		info.rights |= messages.RightPath
	}
	info.device = e.deviceOf(uint64(st.DeviceMajor)<<32 | uint64(st.DeviceMinor))
	if !stat {
		return info, nil, nil
	}
	return info, attributesOf(&st), nil
}

// justCreated is for a file that nobody had, and that is only to be written:
// there is nothing to learn about it.
func justCreated(flags int) bool {
	return flags&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL && flags&os.O_RDWR == 0
}

func kindOf(mode fs.FileMode) fileKind {
	switch {
	case mode.IsRegular():
		return kindRegular
	case mode.IsDir():
		return kindDirectory
	case mode&fs.ModeCharDevice != 0:
		return kindCharacter
	case mode&fs.ModeDevice != 0:
		return kindDevice
	default:
		return kindStream
	}
}

// rightsOf is what a descriptor's access mode allows.
func rightsOf(flags int) messages.Rights {
	switch {
	case flags&openPath != 0:
		return 0
	case flags&os.O_RDWR != 0:
		return messages.RightMeta | messages.RightRead | messages.RightWrite
	case flags&os.O_WRONLY != 0:
		return messages.RightMeta | messages.RightWrite
	default:
		return messages.RightMeta | messages.RightRead
	}
}

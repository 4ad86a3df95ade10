//go:build linux

package ring

import (
	"os"
	"testing"

	"github.com/ringmaster-io/ringmaster/test/leak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(slowDirVariable); dir != "" {
		os.Exit(serveSlow(dir))
	}
	leak.Main(m)
}

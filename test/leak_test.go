//go:build linux

package test

import (
	"os"
	"strings"
	"testing"

	"github.com/ringmaster-io/ringmaster/test/leak"
)

// TestMain fails when the tests leave something behind. In a child process that
// a test has started it runs that test's child instead; see child_test.go.
func TestMain(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		os.Exit(runChild(name))
	}
	leak.Main(m)
}

// openOn are the descriptors of this process that refer to a path.
func openOn(path string) (files []string) {
	for _, f := range leak.OpenFiles() {
		if strings.HasSuffix(f, " "+path) {
			files = append(files, f)
		}
	}
	return files
}

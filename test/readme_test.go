package test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadme: the README's embedding example is the one that is compiled and
// run here, and is short.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	source, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	_, example, found := strings.Cut(string(source), "//go:build linux\n\n")
	require.True(t, found)
	require.Contains(t, string(readme), "```go\n"+example+"```\n")
	require.LessOrEqual(t, strings.Count(example, "\n"), 40)
}

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMutantsAreUpToDate: each guard is where its mutation says.
func TestMutantsAreUpToDate(t *testing.T) {
	for _, m := range mutants {
		source, err := os.ReadFile(filepath.Join("..", "..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), m.old); n != 1 {
			t.Errorf("%s: %s has its text %d times", m.name, m.file, n)
		}
	}
}

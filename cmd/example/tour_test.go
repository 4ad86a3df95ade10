//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestTour(t *testing.T) {
	got := example()
	got.wantSuccess(t)
	if strings.Contains(got.stdout, "BROKEN") || strings.Count(got.stdout, "kept") < 10 {
		t.Errorf("the tour says:\n%s", got.stdout)
	}
}

package sim_test

import (
	"testing"

	"github.com/ringmaster-io/ringmaster/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

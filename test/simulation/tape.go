package simulation

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ringmaster-io/ringmaster/ring/sim"
)

// Tape is the decisions of one history. Each step has a part of its own, so
// that one can be left out and the others stay what they are.
type Tape struct {
	Setup  []uint32   // what the world and the subsystem are like
	Steps  [][]uint32 // what is done
	Ending []uint32   // how it ends
	Order  []uint32   // what runs next
	Fate   []uint32   // what becomes of it
}

// The streams of a seed.
const (
	streamSetup = iota + 1
	streamEnding
	streamOrder
	streamFate
	streamSteps // and those from here on
)

// script are the decisions of a history that is being run: made by a seed, or
// read from a tape.
type script struct {
	seed                       uint64
	tape                       *Tape
	setup, ending, order, fate *sim.Choices
	steps                      []*sim.Choices
}

func newScript(seed uint64, tape *Tape) *script {
	s := &script{seed: seed, tape: tape}
	if tape == nil {
		tape = &Tape{}
	}
	s.setup = s.choices(streamSetup, tape.Setup)
	s.ending = s.choices(streamEnding, tape.Ending)
	s.order = s.choices(streamOrder, tape.Order)
	s.fate = s.choices(streamFate, tape.Fate)
	return s
}

// choices reads a part of the tape. One that is nil is made by the seed.
func (s *script) choices(stream uint64, list []uint32) *sim.Choices {
	if s.tape == nil || list == nil {
		return sim.NewChoices(s.seed, stream)
	}
	return sim.ReplayChoices(list)
}

// step begins a further step. It gives nil when there is none on the tape.
func (s *script) step() *sim.Choices {
	n := len(s.steps)
	var list []uint32
	if s.tape != nil {
		if n == len(s.tape.Steps) {
			return nil
		}
		list = s.tape.Steps[n]
	}
	c := s.choices(uint64(streamSteps+n), list)
	s.steps = append(s.steps, c)
	return c
}

// made is what was decided.
func (s *script) made() Tape {
	t := Tape{
		Setup:  trimmed(s.setup.Made()),
		Ending: trimmed(s.ending.Made()),
		Order:  trimmed(s.order.Made()),
		Fate:   trimmed(s.fate.Made()),
	}
	for _, c := range s.steps {
		t.Steps = append(t.Steps, trimmed(c.Made()))
	}
	return t
}

// trimmed drops what is plain at the end: so it is anyway. It never gives nil.
func trimmed(list []uint32) []uint32 {
	n := len(list)
	for n > 0 && list[n-1] == 0 {
		n--
	}
	return append(make([]uint32, 0, n), list[:n]...)
}

// clone copies a tape, so that its parts can be changed.
func (t *Tape) clone() *Tape {
	c := &Tape{
		Setup:  slices.Clone(t.Setup),
		Ending: slices.Clone(t.Ending),
		Order:  slices.Clone(t.Order),
		Fate:   slices.Clone(t.Fate),
	}
	for _, s := range t.Steps {
		c.Steps = append(c.Steps, slices.Clone(s))
	}
	return c
}

// lists are all parts.
func (t *Tape) lists() []*[]uint32 {
	all := []*[]uint32{&t.Setup, &t.Ending, &t.Order, &t.Fate}
	for i := range t.Steps {
		all = append(all, &t.Steps[i])
	}
	return all
}

// String encodes the tape for a command line.
func (t *Tape) String() string {
	raw := binary.AppendUvarint(nil, uint64(len(t.Steps)))
	for _, list := range t.lists() {
		raw = binary.AppendUvarint(raw, uint64(len(*list)))
		for _, v := range *list {
			raw = binary.AppendUvarint(raw, uint64(v))
		}
	}
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestCompression) // never fails at a valid level,
	_, _ = w.Write(raw)                                     // nor does a bytes.Buffer
	_ = w.Close()
	return base64.RawURLEncoding.EncodeToString(packed.Bytes())
}

// ParseTape decodes what String made.
func ParseTape(text string) (*Tape, error) {
	packed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("parsing a tape: %w", err)
	}
	raw, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		return nil, fmt.Errorf("parsing a tape: %w", err)
	}
	r := tapeReader{raw: raw}
	t := &Tape{Steps: make([][]uint32, r.count())}
	for _, list := range t.lists() {
		*list = make([]uint32, r.count())
		for i := range *list {
			(*list)[i] = uint32(r.number())
		}
	}
	if r.cut {
		return nil, errors.New("parsing a tape: it is cut off")
	}
	return t, nil
}

// tapeReader reads numbers off a tape.
type tapeReader struct {
	raw []byte
	cut bool
}

func (r *tapeReader) number() uint64 {
	v, size := binary.Uvarint(r.raw)
	if size <= 0 {
		r.cut, r.raw = true, nil
		return 0
	}
	r.raw = r.raw[size:]
	return v
}

// count reads how many numbers follow, of which each takes a byte at least.
func (r *tapeReader) count() uint64 {
	n := r.number()
	if n > uint64(len(r.raw)) {
		r.cut, r.raw = true, nil
		return 0
	}
	return n
}

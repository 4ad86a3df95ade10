package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"
)

// diceBox are the dice of one role.
type diceBox struct{ *rand.Rand }

func newDice(seed, stream uint64) diceBox { return diceBox{rand.New(rand.NewPCG(seed, stream))} }

// deriveDice gives dice that are thrown by these, and by nobody else.
func (d diceBox) deriveDice() diceBox {
	return diceBox{rand.New(rand.NewPCG(d.Uint64(), d.Uint64()))}
}

// oneIn holds once in n times.
func (d diceBox) oneIn(n int) bool { return d.IntN(n) == 0 }

// between gives a number from least to most.
func (d diceBox) between(least, most int) int { return least + d.IntN(most-least+1) }

// time gives a duration below most.
func (d diceBox) time(most time.Duration) time.Duration { return time.Duration(d.Int64N(int64(most))) }

// pieces cuts a length into pieces at random places.
func (d diceBox) pieces(length, most int) (pieces []piece) {
	for at := 0; at < length; {
		n := min(d.between(1, most), length-at)
		pieces = append(pieces, piece{at, n})
		at += n
	}
	return pieces
}

// piece is a part of a buffer or file.
type piece struct{ at, n int }

// matter is endless content in which every place shows: what is lost, comes
// twice or comes in another order differs.
type matter uint64

// fill writes the content from a place on.
func (m matter) fill(buf []byte, at int64) {
	var word [8]byte
	for len(buf) > 0 {
		binary.LittleEndian.PutUint64(word[:], m.word(uint64(at)/8))
		n := copy(buf, word[at%8:])
		buf, at = buf[n:], at+int64(n)
	}
}

// word is splitmix64.
func (m matter) word(i uint64) uint64 {
	z := uint64(m) + (i+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// check says where a buffer differs from the content.
func (m matter) check(buf []byte, at int64) error {
	want := make([]byte, len(buf))
	m.fill(want, at)
	return differ(buf, want, at)
}

// differ says where two buffers differ, which begin at a place.
func differ(got, want []byte, at int64) error {
	for i := range got {
		if got[i] != want[i] {
			return fmt.Errorf("byte %d is %#02x instead of %#02x", at+int64(i), got[i], want[i])
		}
	}
	return nil
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/ringmaster-io/ringmaster/supervisor"
)

// figures are what a copy is reported by.
type figures struct {
	Backend   string `json:"backend"`
	Files     int64  `json:"files"`
	Dirs      int64  `json:"dirs"`
	Symlinks  int64  `json:"symlinks"`
	Bytes     int64  `json:"bytes"`
	Submitted uint64 `json:"submitted"`
	Completed uint64 `json:"completed"` // every terminal answer, the failed and the cancelled among them
	Refused   uint64 `json:"refused"`
	Cancelled uint64 `json:"cancelled"`
	Restarts  uint64 `json:"restarts"`
	Unknown   uint64 `json:"unknown"`
	InFlight  int    `json:"in_flight"`
	ElapsedNS int64  `json:"elapsed_ns"` // of the copy itself
}

func newFigures(t *tally, took time.Duration, r supervisor.Report) figures {
	return figures{
		Backend:   r.Backend,
		Files:     t.files.Load(),
		Dirs:      t.dirs.Load(),
		Symlinks:  t.symlinks.Load(),
		Bytes:     t.bytes.Load(),
		Submitted: r.Submitted,
		Completed: r.Completed,
		Refused:   r.Refused,
		Cancelled: r.Cancelled,
		Restarts:  r.Restarts,
		Unknown:   r.Unknown,
		InFlight:  r.InFlight + r.Queued,
		ElapsedNS: took.Nanoseconds(),
	}
}

// print reports a copy: to a program as one line of JSON, to people in words.
func (c *copying) print(r supervisor.Report) error {
	f := newFigures(&c.tally, c.took, r)
	if c.options.json {
		return json.NewEncoder(c.globals.stdout).Encode(f)
	}
	var page page
	f.write(&page)
	if r.Why != nil {
		page.line("", "since %s", oneLine(r.Why.Error()))
	}
	if n := c.tally.skipped.Load(); n > 0 {
		page.line("skipped", "%s special files", group(n))
	}
	if c.saboteur != nil {
		page.line("crashes", "%d with seed %d: %s", c.saboteur.total(), c.saboteur.seed, c.saboteur)
	}
	if c.options.verify {
		page.line("verified", "content, modes, times, links and names are those of the source")
	}
	return page.print(c.globals.stdout)
}

func (f figures) write(p *page) {
	took := time.Duration(f.ElapsedNS)
	p.line("copied", "%s files, %s directories, %s symbolic links, %s",
		group(f.Files), group(f.Dirs), group(f.Symlinks), size(float64(f.Bytes)))
	p.line("took", "%s: %s/s, %s files/s", took.Round(100*time.Microsecond),
		size(float64(f.Bytes)/took.Seconds()), group(int64(float64(f.Files)/took.Seconds())))
	p.line("operations", "%s submitted = %s completed + %s refused",
		group(int64(f.Submitted)), group(int64(f.Completed)), group(int64(f.Refused)))
	p.line("", "%d cancelled, %d outcomes unknown, %d in flight at the end", f.Cancelled, f.Unknown, f.InFlight)
	p.line("restarts", "%d", f.Restarts)
	p.line("backend", "%s", f.Backend)
}

// page is text for people: labels on the left, aligned.
type page struct{ text []byte }

func (p *page) line(label, format string, args ...any) {
	p.text = fmt.Appendf(p.text, "%-12s", label)
	p.text = fmt.Appendf(p.text, format, args...)
	p.text = append(p.text, '\n')
}

func (p *page) print(out io.Writer) error {
	if _, err := out.Write(p.text); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// group writes a number as in 11,478.
func group(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// size writes a number of bytes as in 151.3 MB.
func size(n float64) string {
	units := [...]string{"B", "kB", "MB", "GB", "TB"}
	unit := 0
	for n >= 1000 && unit < len(units)-1 {
		n /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%.0f B", n)
	}
	return fmt.Sprintf("%.1f %s", n, units[unit])
}

package main

import "go.uber.org/zap/zapcore"

// quiet is a log without the crashes that the program itself has injected: the
// report counts those. All else is logged, and they are too below the level of
// an error.
type quiet struct{ zapcore.Core }

// With implements zapcore.Core.
func (q quiet) With(fields []zapcore.Field) zapcore.Core { return quiet{q.Core.With(fields)} }

// Check implements zapcore.Core.
func (q quiet) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if q.Enabled(e.Level) {
		return checked.AddCore(e, q)
	}
	return checked
}

// Write implements zapcore.Core.
func (q quiet) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if !q.Enabled(zapcore.WarnLevel) {
		for _, f := range fields {
			if _, ours := f.Interface.(injected); ours {
				return nil
			}
		}
	}
	return q.Core.Write(e, fields)
}

package main

import (
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// traceLevel is one below zap's debug.
const traceLevel = zapcore.DebugLevel - 1

// logLevels maps -loglevel to zap.
var logLevels = []zapcore.Level{
	zapcore.PanicLevel, zapcore.FatalLevel, zapcore.ErrorLevel, zapcore.WarnLevel,
	zapcore.InfoLevel, zapcore.DebugLevel, traceLevel,
}

// newLogger writes to w; the level can be changed at run time. The settings
// have been checked.
func newLogger(s *settings, w io.Writer) (*zap.Logger, *zap.AtomicLevel) {
	level := zap.NewAtomicLevelAt(logLevels[s.logLevel])
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.ISO8601TimeEncoder
	encoding.EncodeLevel = encodeLevel
	encoding.EncodeName = encodeName
	encoder := zapcore.NewConsoleEncoder(encoding)
	if s.logFormat == "json" || s.logFormat == "" && !isTerminal(w) {
		encoder = zapcore.NewJSONEncoder(encoding)
	}
	sink := zapcore.Lock(zapcore.AddSync(w))
	return zap.New(zapcore.NewCore(encoder, sink, level)), &level
}

func encodeLevel(l zapcore.Level, enc zapcore.PrimitiveArrayEncoder) {
	if l == traceLevel {
		enc.AppendString("trace")
		return
	}
	zapcore.LowercaseLevelEncoder(l, enc)
}

// isTerminal reports whether w is a character device.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

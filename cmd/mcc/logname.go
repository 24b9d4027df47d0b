//go:build !mcclogprefix

package main

import "go.uber.org/zap/zapcore"

// encodeName writes a component's name as it is: dht.
func encodeName(name string, enc zapcore.PrimitiveArrayEncoder) { enc.AppendString(name) }

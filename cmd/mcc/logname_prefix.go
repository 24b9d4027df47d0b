//go:build mcclogprefix

package main

import "go.uber.org/zap/zapcore"

// encodeName puts mcc in front of a component's name: mcc.dht.
func encodeName(name string, enc zapcore.PrimitiveArrayEncoder) { enc.AppendString("mcc." + name) }

package cliui

// Frame is the bytes of one redrawing, for tests that play a terminal.
var Frame = frame

// BarLine is a bar's line.
var BarLine = barLine

package engine

import (
	"fmt"
	"time"
)

// EventKind says what happened to a change.
type EventKind uint8

// The kinds of Event. The zero value is invalid.
const (
	_          EventKind = iota
	Started              // it begins
	Done                 // it is complete
	Failed               // it ended with an error
	Undone               // it was taken back
	UndoFailed           // it could not be taken back
)

var eventNames = [...]string{
	Started: "started", Done: "done", Failed: "failed", Undone: "undone", UndoFailed: "undo failed",
}

// String returns the English name.
func (k EventKind) String() string {
	if k == 0 || int(k) >= len(eventNames) {
		return fmt.Sprintf("EventKind(%d)", uint8(k))
	}
	return eventNames[k]
}

// Event reports the progress of one change.
type Event struct {
	Kind     EventKind
	Change   Change
	Time     time.Time
	Duration time.Duration // of the change, or of taking it back; 0 for Started
	Err      error         // for Failed and UndoFailed
}

func (e *Engine) tell(ev Event) {
	if e.cfg.Sink == nil {
		return
	}
	e.sink.Lock()
	defer e.sink.Unlock()
	e.cfg.Sink(ev)
}

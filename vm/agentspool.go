package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// pieceSize is how large a piece of output is at most, in bytes, and lastPieces how much of each output can still come
// when the command has ended, in pieces: two lie there, and a third has begun. See agentrun.sh.
const (
	pieceSize  = 4 << 20
	lastPieces = 3
)

// spool reads pieces that the script lays down.
type spool struct {
	agent *Agent
	name  string
	to    io.Writer
	piece int
	file  *handle
	size  int64 // what has come of the piece
	ended bool  // nothing new is to come
	last  int64 // what has come since then
	moves int   // and how many pieces it had
}

// end notes that nothing new is to come: the command has ended, and later the script.
func (s *spool) end() { s.ended, s.last, s.moves = true, 0, 0 }

// over reports whether more has come since the command has ended than can be of its own.
func (s *spool) over() bool { return s.last > lastPieces*pieceSize || s.moves > lastPieces }

// copy passes on what there is now. It moves to the next piece when that has begun.
func (s *spool) copy(ctx context.Context) (moved bool, err error) {
	if s.file == nil {
		if s.file, err = s.agent.open(ctx, s.path(s.piece), "r"); err != nil {
			s.file = nil
			if isRefused(err) {
				return false, nil // it has not begun
			}
			return false, err
		}
	}
	if moved, err = s.take(ctx); moved || err != nil {
		return moved, err
	}
	next, err := s.agent.open(ctx, s.path(s.piece+1), "r")
	if isRefused(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// Only now is it certain that nothing more comes in this piece.
	for more := true; more && err == nil; {
		more, err = s.take(ctx)
	}
	if s.size == 0 && err == nil {
		err = fmt.Errorf("%w: a piece of output without any", ErrNonsense)
	}
	err = errors.Join(err, s.finish(ctx))
	s.file, s.piece, s.size = next, s.piece+1, 0
	if s.ended {
		s.moves++
	}
	return true, err
}

func (s *spool) path(piece int) string { return fmt.Sprintf("%s.%d", s.name, piece) }

// take passes on one chunk. Errors: ErrNonsense for a piece that is larger than any; those of the writer.
func (s *spool) take(ctx context.Context) (bool, error) {
	got, err := s.file.read(ctx)
	if err != nil || len(got.Data) == 0 {
		return false, err
	}
	if s.size += int64(len(got.Data)); s.size > pieceSize {
		return false, fmt.Errorf("%w: a piece of output without end", ErrNonsense)
	}
	if s.ended {
		s.last += int64(len(got.Data))
	}
	_, err = s.to.Write(got.Data)
	return true, err
}

// finish closes the piece and empties it, which lets the script go on.
func (s *spool) finish(ctx context.Context) error {
	if s.file == nil {
		return nil
	}
	err := s.file.close(ctx)
	s.file = nil
	empty, openErr := s.agent.open(ctx, s.path(s.piece), "w")
	if openErr == nil {
		openErr = empty.close(ctx)
	}
	return errors.Join(err, openErr)
}

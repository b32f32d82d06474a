package vm

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockPoll is how often one who waits for a lock tries again.
const lockPoll = 50 * time.Millisecond

// lockProbe lets one probe at a time boot guests: several at once would slow each other down until none is done in its
// time. The others wait, and find the verdict in the cache. Where there is no place for the lock there is none for a
// verdict either, and everybody probes alone. The error is the context's.
func lockProbe(ctx context.Context, cacheFile string) (unlock func(), err error) {
	if cacheFile == "" {
		return func() {}, nil
	}
	return lockFile(ctx, cacheFile+".lock")
}

// lockFile waits for a file's lock, and makes the file if need be. Where there is no place for it, or no such thing as a
// lock, nothing is locked. The error is the context's.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return func() {}, nil //nolint:nilerr // see above
	}
	unlock = func() { _ = file.Close() } // which also ends the lock
	for {
		switch err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			return unlock, nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK): // a file system without locks
			return unlock, nil
		}
		select {
		case <-ctx.Done():
			unlock()
			return nil, context.Cause(ctx)
		case <-time.After(lockPoll):
		}
	}
}

package image

import (
	"context"
	"errors"
)

// packages decides what to build from and sees to it that the store has it all. The lists on a host are as old as its
// last "apt update", and an archive keeps no package for long that a newer one has replaced.
func (b *microBuild) packages(ctx context.Context) ([]Package, error) {
	if b.Offline {
		return b.cached(nil)
	}
	list, err := b.fetched(ctx)
	if ctx.Err() == nil && refreshable(err) {
		b.notice(NoticeRefresh, err)
		b.report(StageRefresh)
		unfetched := aptUpdate(ctx)
		if list, err = b.fetched(ctx); err != nil && unfetched != nil {
			err = unfetched // the lists are as they were, and so is what came of them
		}
	}
	if err != nil {
		return b.cachedUnless(ctx, err)
	}
	return list, nil
}

// refreshable reports whether newer lists may help against a failure.
func refreshable(err error) bool {
	return errors.Is(err, ErrNoLists) || errors.Is(err, ErrOffline) || errors.As(err, new(*CorruptError))
}

// fetched asks apt's lists for the packages, and apt for those that the store lacks.
func (b *microBuild) fetched(ctx context.Context) ([]Package, error) {
	b.report(StageResolve)
	list, err := resolve(ctx)
	if err != nil {
		return nil, err
	}
	missing, err := b.debs.missing(list)
	if err != nil {
		return nil, err
	}
	b.steps = b.step + len(list) + 1
	if b.name == Debian {
		b.steps = b.step + len(kernelOf(list)) + bootstrapSteps + 2
	}
	if len(missing) == 0 {
		b.notice(NoticeHere, nil)
		return list, nil
	}
	b.steps++
	b.report(StageDownload, missing...)
	err = filledUp(b.debs.dir, buildRoom, b.debs.fetch(ctx, missing))
	if errors.As(err, new(*NoRoomError)) {
		err = errors.Join(err, b.debs.dropFetched())
	}
	return list, err
}

// cachedUnless falls back on the packages of the last build, unless the failure
// is the caller's wish to stop, or a full disk, on which no image can be made.
func (b *microBuild) cachedUnless(ctx context.Context, failure error) ([]Package, error) {
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.As(failure, new(*NoRoomError)):
		return nil, failure
	}
	return b.cached(failure)
}

func (b *microBuild) cached(failure error) ([]Package, error) {
	list, ok := b.debs.last()
	switch {
	case !ok && failure == nil:
		return nil, ErrOffline
	case !ok:
		return nil, failure
	}
	if failure == nil {
		b.notice(NoticeHere, nil)
	} else {
		b.notice(NoticeCached, failure)
	}
	b.steps = b.step + len(list) + 1
	return list, nil
}

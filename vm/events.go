package vm

import (
	"context"
	"fmt"

	"github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"
)

// EventKind is what happened to a domain; libvirt's virDomainEventType.
type EventKind int

const (
	// EventDefined is a domain that became known or was changed.
	EventDefined EventKind = iota + 1
	// EventUndefined is a domain that libvirt forgot.
	EventUndefined
	// EventStarted is a guest that runs now.
	EventStarted
	// EventPaused is a guest whose CPUs were stopped.
	EventPaused
	// EventResumed is a guest whose CPUs go on.
	EventResumed
	// EventStopped is a guest whose QEMU has ended; DomainEvent.Stop says how.
	EventStopped
	// EventShutdown is a guest that has powered itself off, or was told to end; EventStopped follows.
	EventShutdown
	// EventCrashed is a guest that has panicked.
	EventCrashed
	// EventOther is one that kvmlab has no use for.
	EventOther
)

// String is one word.
func (k EventKind) String() string {
	switch k {
	case EventDefined:
		return "defined"
	case EventUndefined:
		return "undefined"
	case EventStarted:
		return "started"
	case EventPaused:
		return "paused"
	case EventResumed:
		return "resumed"
	case EventStopped:
		return "stopped"
	case EventShutdown:
		return "shutdown"
	case EventCrashed:
		return "crashed"
	case EventOther:
		return "other"
	default:
		return fmt.Sprintf("EventKind(%d)", int(k))
	}
}

// StopReason is how a guest came to its end.
type StopReason int

const (
	// StopPoweroff is a guest that shut down by itself.
	StopPoweroff StopReason = iota + 1
	// StopDestroyed is a guest that was destroyed through libvirt.
	StopDestroyed
	// StopCrashed is a guest that panicked.
	StopCrashed
	// StopFailed is a QEMU that died or was killed.
	StopFailed
	// StopOther is a guest that was saved or has moved away.
	StopOther
)

// String is one word.
func (r StopReason) String() string {
	switch r {
	case StopPoweroff:
		return "poweroff"
	case StopDestroyed:
		return "destroyed"
	case StopCrashed:
		return "crashed"
	case StopFailed:
		return "failed"
	case StopOther:
		return "other"
	default:
		return fmt.Sprintf("StopReason(%d)", int(r))
	}
}

// DomainEvent is one change in a domain's life.
type DomainEvent struct {
	Name string
	UUID uuid.UUID
	Kind EventKind
	// Stop is set for EventStopped.
	Stop StopReason
}

// Events follows every domain of the daemon, foreign ones included, on a
// connection of its own. What happens after Events returns is not missed. The
// channel is closed when ctx ends or the connection is lost; after a loss,
// subscribe again and then observe, in this order.
func (c *Conn) Events(ctx context.Context) (<-chan DomainEvent, error) {
	l, err := c.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("follow domain events: %w", err)
	}
	// go-libvirt's own end of a subscription is a call that can hang; the connection is
	// ours alone, and dropping it ends the subscription on both sides.
	var source <-chan libvirt.DomainEventLifecycleMsg
	opening, cancel := context.WithTimeoutCause(ctx, callLimit, noAnswerError{callLimit})
	defer cancel()
	err = l.do(opening, func(rpc *libvirt.Libvirt) error {
		var err error
		source, err = rpc.LifecycleEvents(context.WithoutCancel(ctx))
		return err
	})
	if err != nil {
		l.drop()
		return nil, fmt.Errorf("follow domain events: %w", mapped(err))
	}
	events := make(chan DomainEvent)
	stop := context.AfterFunc(ctx, l.drop)
	go func() {
		defer close(events)
		defer l.drop()
		defer stop()
		for msg := range source {
			select {
			case events <- eventOf(msg):
			case <-ctx.Done():
				// Read on to the end: go-libvirt's goroutine must not be left waiting.
			}
		}
	}()
	return events, nil
}

// eventOf maps libvirt's numbers.
func eventOf(msg libvirt.DomainEventLifecycleMsg) DomainEvent {
	e := DomainEvent{Name: msg.Dom.Name, UUID: uuid.UUID(msg.Dom.UUID), Kind: EventOther}
	kinds := map[libvirt.DomainEventType]EventKind{
		libvirt.DomainEventDefined:   EventDefined,
		libvirt.DomainEventUndefined: EventUndefined,
		libvirt.DomainEventStarted:   EventStarted,
		libvirt.DomainEventSuspended: EventPaused,
		libvirt.DomainEventResumed:   EventResumed,
		libvirt.DomainEventStopped:   EventStopped,
		libvirt.DomainEventShutdown:  EventShutdown,
		libvirt.DomainEventCrashed:   EventCrashed,
	}
	if kind, known := kinds[libvirt.DomainEventType(msg.Event)]; known {
		e.Kind = kind
	}
	if e.Kind == EventStopped {
		e.Stop = stopOf(libvirt.DomainEventStoppedDetailType(msg.Detail))
	}
	return e
}

// stopOf maps virDomainEventStoppedDetailType.
func stopOf(detail libvirt.DomainEventStoppedDetailType) StopReason {
	switch detail {
	case libvirt.DomainEventStoppedShutdown:
		return StopPoweroff
	case libvirt.DomainEventStoppedDestroyed:
		return StopDestroyed
	case libvirt.DomainEventStoppedCrashed:
		return StopCrashed
	case libvirt.DomainEventStoppedFailed:
		return StopFailed
	default:
		return StopOther
	}
}

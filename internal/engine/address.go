package engine

import (
	"fmt"
	"strings"
)

// Kind is a kind of object that a lab is made of.
type Kind uint8

// The kinds of object. The zero value is invalid.
const (
	_              Kind = iota
	KindNamespace       // an isolated lab's network namespace; there is one
	KindBridge          // a bridge, with the host's address on it
	KindFirewall        // what guests may reach beyond their bridges; there is one
	KindSupervisor      // the lab's supervisor process; there is one
	KindTap             // a tap on a bridge
	KindDomain          // a guest: a libvirt domain, defined and running
)

var kindNames = [...]string{
	KindNamespace: "netns", KindBridge: "bridge", KindFirewall: "firewall", KindSupervisor: "supervisor", KindTap: "tap", KindDomain: "domain",
}

// single reports whether a lab has at most one object of the kind, which then needs no name.
func (k Kind) single() bool { return k == KindNamespace || k == KindFirewall || k == KindSupervisor }

// String returns the word that addresses begin with.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// Address names an object within its lab. Its text is "bridge.br1", "tap.tap1", "domain.pc1", "supervisor",
// "netns" or "firewall".
type Address struct {
	Kind Kind
	Name string // the bridge, the tap or the guest; empty for what a lab has only one of
}

// The addresses of what a lab has only one of.
var (
	supervisorAddress = Address{Kind: KindSupervisor}
	namespaceAddress  = Address{Kind: KindNamespace}
	firewallAddress   = Address{Kind: KindFirewall}
)

// String writes the address.
func (a Address) String() string {
	if a.Name == "" {
		return a.Kind.String()
	}
	return a.Kind.String() + "." + a.Name
}

// MarshalText writes the address as String does.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (a *Address) UnmarshalText(text []byte) error {
	word, name, named := strings.Cut(string(text), ".")
	for k, kind := range kindNames {
		if k > 0 && kind == word && named != Kind(k).single() {
			*a = Address{Kind: Kind(k), Name: name}
			return nil
		}
	}
	return fmt.Errorf("unknown address %q", text)
}

// Action is what a change does to its object.
type Action uint8

// The actions. The zero value is invalid.
const (
	_      Action = iota
	Create        // + the object is made
	Update        // ~ the object is there and is mended
	Delete        // - the object is removed
)

var actionNames = [...]string{Create: "create", Update: "update", Delete: "delete"}

// String returns the name that JSON and the journal carry.
func (a Action) String() string {
	if a == 0 || int(a) >= len(actionNames) {
		return fmt.Sprintf("Action(%d)", uint8(a))
	}
	return actionNames[a]
}

// Symbol returns the character that stands for the action in a plan.
func (a Action) Symbol() string {
	if a == 0 || int(a) >= len(actionNames) {
		return "?"
	}
	return string("?+~-"[a])
}

// MarshalText writes the action by its name.
func (a Action) MarshalText() ([]byte, error) {
	if a == 0 || int(a) >= len(actionNames) {
		return nil, fmt.Errorf("marshal action %d: unknown", uint8(a))
	}
	return []byte(actionNames[a]), nil
}

package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
)

// ordersVersion is the version of the file that keeps the orders.
const ordersVersion = 1

// orders are what people have asked of the lab's DHCP server since the lab was brought up. They are kept on disk, so
// that a supervisor which is started anew does not answer where a class has taken over.
type orders struct {
	Version int                    `json:"version"`
	Off     []string               `json:"off"`    // bridges that are handed over
	Faults  map[string][]lab.Fault `json:"faults"` // by bridge; in the place of the lab file's
}

// DHCPOrder asks something of the DHCP server on one bridge. What is left out stays as it is.
type DHCPOrder struct {
	Bridge string `json:"bridge"`
	// Serve turns the server on or off.
	Serve *bool `json:"serve,omitempty"`
	// Clear takes all teaching faults away, before Faults are set.
	Clear bool `json:"clear,omitempty"`
	// Faults are set beside those that are there. One takes the place of another of its kind and message.
	Faults []lab.Fault `json:"faults,omitempty"`
}

// offReason is the reason for silence on a bridge that was handed over.
const offReason = "turned off by kvmlab dhcp off"

// readOrders reads what an earlier supervisor of the lab was asked. Bridges without orders get the lab file's faults.
func readOrders(l *lab.Lab, path string) (orders, error) {
	o := orders{Version: ordersVersion, Off: []string{}, Faults: map[string][]lab.Fault{}}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return o, fmt.Errorf("read DHCP orders: %w", err)
	}
	if err == nil {
		if err := json.Unmarshal(data, &o); err != nil {
			return o, fmt.Errorf("read DHCP orders: %s: %w", path, err)
		}
		if o.Version != ordersVersion {
			return o, fmt.Errorf("read DHCP orders: %s is of version %d", path, o.Version)
		}
	}
	if o.Faults == nil {
		o.Faults = map[string][]lab.Fault{}
	}
	for _, bridge := range l.Bridges {
		if _, ordered := o.Faults[bridge.Name]; !ordered && bridge.DHCP != nil {
			o.Faults[bridge.Name] = slices.Clone(bridge.DHCP.Faults)
		}
	}
	return o, nil
}

// serverFaults are the faults of all bridges in the DHCP server's terms.
func (o orders) serverFaults(l *lab.Lab) ([]dhcp.Fault, error) {
	var out []dhcp.Fault
	for _, bridge := range l.Bridges {
		if bridge.DHCP == nil {
			continue
		}
		faults, err := dhcpFaults(o.Faults[bridge.Name], bridge.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, faults...)
	}
	return out, nil
}

// with returns what the orders are after another one.
func (o orders) with(order DHCPOrder) orders {
	next := orders{Version: ordersVersion, Off: slices.Clone(o.Off), Faults: map[string][]lab.Fault{}}
	for bridge, faults := range o.Faults {
		next.Faults[bridge] = slices.Clone(faults)
	}
	if order.Serve != nil {
		next.Off = slices.DeleteFunc(next.Off, func(name string) bool { return name == order.Bridge })
		if !*order.Serve {
			next.Off = append(next.Off, order.Bridge)
		}
	}
	faults := next.Faults[order.Bridge]
	if order.Clear {
		faults = nil
	}
	for _, f := range order.Faults {
		faults = slices.DeleteFunc(faults, func(old lab.Fault) bool { return sameFault(old, f) })
		faults = append(faults, f)
	}
	next.Faults[order.Bridge] = faults
	return next
}

// sameFault tells whether two faults exclude each other: two routers, two delays of one message.
func sameFault(a, b lab.Fault) bool {
	place := func(f lab.Fault) string {
		name, _, _ := strings.Cut(string(f), "=")
		switch name {
		case "router", "mask", "dns", "lease":
			return name
		}
		what, _, _ := strings.Cut(string(f), ":")
		return what
	}
	return place(a) == place(b)
}

// loadOrders reads the orders and returns the faults to begin with.
func (s *Supervisor) loadOrders() (faults []dhcp.Fault, err error) {
	if s.orders, err = readOrders(s.lab, s.files.DHCPOrders()); err != nil {
		return nil, err
	}
	for _, bridge := range s.orders.Off {
		s.silence.order(bridge, offReason)
	}
	return s.orders.serverFaults(s.lab)
}

// obey carries out an order. It is durable before it shows.
func (s *Supervisor) obey(order DHCPOrder) error {
	s.ordersMu.Lock()
	defer s.ordersMu.Unlock()
	next := s.orders.with(order)
	faults, err := next.serverFaults(s.lab)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("write DHCP orders: %w", err)
	}
	if err := state.WriteFile(s.files.DHCPOrders(), append(data, '\n'), state.FileMode); err != nil {
		return err
	}
	if order.Clear || len(order.Faults) > 0 {
		if err := s.dhcp.SetFaults(faults...); err != nil {
			return fmt.Errorf("set teaching faults: %w", err)
		}
	}
	s.orders = next
	if order.Serve == nil {
		return nil
	}
	why := offReason
	if *order.Serve {
		why = ""
	}
	if s.silence.order(order.Bridge, why) {
		s.tellSilence(order.Bridge, s.silence.why(order.Bridge))
	}
	return nil
}

// served reports whether a bridge is one that the lab file gives the DHCP server.
func (s *Supervisor) served(bridge string) bool {
	return slices.ContainsFunc(s.lab.Bridges, func(b lab.Bridge) bool { return b.Name == bridge && b.DHCP != nil })
}

// serveDHCP answers POST /v1/dhcp: it carries out a DHCPOrder and says how the bridge is then.
func (s *Supervisor) serveDHCP(w http.ResponseWriter, r *http.Request) {
	var order DHCPOrder
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	in.DisallowUnknownFields()
	if err := in.Decode(&order); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.dhcp == nil || !s.served(order.Bridge) {
		http.Error(w, fmt.Sprintf("bridge %q is not served", order.Bridge), http.StatusNotFound)
		return
	}
	for _, f := range order.Faults {
		if _, err := lab.ParseFault(string(f)); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	if err := s.obey(order); err != nil {
		s.log.Error("carry out DHCP order", "lab", s.lab.Name, "iface", order.Bridge, "err", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s.bridgeStatus(order.Bridge)); err != nil {
		s.log.Warn("control socket: answer DHCP order", "lab", s.lab.Name, "err", err)
	}
}

// bridgeStatus describes the DHCP service of one bridge now.
func (s *Supervisor) bridgeStatus(bridge string) BridgeStatus {
	s.ordersMu.Lock()
	defer s.ordersMu.Unlock()
	why := s.silence.why(bridge)
	return BridgeStatus{
		Name: bridge, Serving: why == "", Silence: why, Off: slices.Contains(s.orders.Off, bridge),
		Faults: append([]lab.Fault{}, s.orders.Faults[bridge]...),
	}
}

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/google/nftables"
)

// bridgeToIPTables is 1 when the kernel shows bridged IPv4 packets to the IP firewall. The file is there only while
// br_netfilter is loaded, and each network namespace has its own (net/bridge/br_netfilter_hooks.c).
const bridgeToIPTables = "/proc/sys/net/bridge/bridge-nf-call-iptables"

// DroppedBridgeTraffic implements Host.
func (System) DroppedBridgeTraffic(ctx context.Context) (string, error) {
	value, err := os.ReadFile(bridgeToIPTables)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case strings.TrimSpace(string(value)) != "1":
		return "", nil
	}
	chain, err := droppingChain()
	if chain != "" || err != nil {
		return chain, err
	}
	return droppingLegacyChain(ctx)
}

// DroppedForwarding implements Host.
func (System) DroppedForwarding(ctx context.Context) (string, error) {
	chain, err := droppingChain()
	if chain == "" && err == nil {
		chain, err = refusingChain()
	}
	if chain != "" || err != nil {
		return chain, err
	}
	return droppingLegacyChain(ctx)
}

// refusingChain looks for firewalld, whose chain refuses by its last rule what none of its zones and policies forwards.
func refusingChain() (string, error) {
	chains, err := listChains()
	for _, chain := range chains {
		if chain.Table.Name == "firewalld" && chain.Name == "filter_FORWARD" {
			return "nftables: firewalld filter_FORWARD", nil
		}
	}
	return "", err
}

// droppingChain looks for a chain of nftables on the forward hook whose policy is drop. iptables-nft, the iptables of
// today's distributions, makes such chains too.
func droppingChain() (string, error) {
	chains, err := listChains()
	for _, chain := range chains {
		if chain.Hooknum == nil || chain.Policy == nil || *chain.Hooknum != *nftables.ChainHookForward {
			continue
		}
		ip := chain.Table.Family == nftables.TableFamilyIPv4 || chain.Table.Family == nftables.TableFamilyINet
		if ip && *chain.Policy == nftables.ChainPolicyDrop {
			return fmt.Sprintf("nftables: %s %s, policy drop", chain.Table.Name, chain.Name), nil
		}
	}
	return "", err
}

func listChains() ([]*nftables.Chain, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	return chains, nil
}

// droppingLegacyChain asks the old iptables, when its filter table is in use and the program is there.
func droppingLegacyChain(ctx context.Context) (string, error) {
	tables, err := os.ReadFile("/proc/net/ip_tables_names")
	if err != nil || !strings.Contains(string(tables), "filter") {
		return "", nil //nolint:nilerr // without that file there is no such table
	}
	program, err := exec.LookPath("iptables-legacy")
	if err != nil {
		return "", nil //nolint:nilerr // without the program nothing can be asked
	}
	out, err := exec.CommandContext(ctx, program, "-S", "FORWARD").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", program, err)
	}
	if strings.Contains(string(out), "-P FORWARD DROP") {
		return "iptables: FORWARD, policy DROP", nil
	}
	return "", nil
}

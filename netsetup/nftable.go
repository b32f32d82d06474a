package netsetup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// A lab's table is called like its namespace. It is the lab's because a chain without a hook says so, in the
// comment of its one rule: "kvmlab:<lab> <digest>". The table comes to be whole, in one transaction of
// nftables, so that no process and no signal finds it without its mark or with half of its rules.

// ForeignTableError says that a table of nftables has a lab's name and not its mark.
type ForeignTableError struct{ Name string }

func (e *ForeignTableError) Error() string {
	return fmt.Sprintf("nftables table %q exists and was not made by kvmlab", e.Name)
}

// markChain holds the mark. nft has no comments on tables before 0.9.7.
const markChain = "kvmlab"

// chain is a chain of a lab's table as it should be.
type chain struct {
	name     string
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority *nftables.ChainPriority
	drop     bool // The policy.
	rules    []rule
}

// digest identifies the content of a table.
func digest(chains []chain) string {
	var text []byte
	for _, c := range chains {
		text = fmt.Appendf(text, "%s %s %d %d %t\n", c.name, c.kind, *c.hook, *c.priority, c.drop)
		for _, r := range c.rules {
			text = fmt.Appendln(text, r.text)
		}
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

func tableMark(lab, digest string) string { return markPrefix + lab + " " + digest }

// nft opens nftables in the handle's namespace.
func (h *Handle) nft() (*nftables.Conn, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(int(h.namespace.Fd())))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", classify(err))
	}
	return conn, nil
}

func tableOf(lab string) *nftables.Table {
	return &nftables.Table{Name: NamespaceName(lab), Family: nftables.TableFamilyIPv4}
}

// natMarks returns the digests of the labs' tables, by lab. A kernel without nftables has none.
func (h *Handle) natMarks() (map[string]string, error) {
	conn, err := h.nft()
	if err != nil {
		return nil, err
	}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", classify(err))
	}
	marks := map[string]string{}
	for _, table := range tables {
		lab, ok := strings.CutPrefix(table.Name, namespacePrefix)
		if !ok {
			continue
		}
		mark, err := readMark(conn, lab)
		if err != nil {
			return nil, err
		}
		if mark != "" {
			marks[lab] = mark
		}
	}
	return marks, nil
}

// readMark returns the digest in the mark of a lab's table; empty when the table is not there or not the lab's.
func readMark(conn *nftables.Conn, lab string) (string, error) {
	rules, err := conn.GetRules(tableOf(lab), &nftables.Chain{Name: markChain, Table: tableOf(lab)})
	if errors.Is(err, unix.ENOENT) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read nftables table %q: %w", NamespaceName(lab), classify(err))
	}
	for _, r := range rules {
		comment, _ := userdata.GetString(r.UserData, userdata.TypeComment)
		if digest, ok := strings.CutPrefix(comment, tableMark(lab, "")); ok {
			return digest, nil
		}
	}
	return "", nil
}

// findTable reports whether the lab has a table, and its digest.
func findTable(conn *nftables.Conn, lab string) (mark string, err error) {
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return "", fmt.Errorf("list nftables tables: %w", classify(err))
	}
	name := NamespaceName(lab)
	if !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == name }) {
		return "", nil
	}
	mark, err = readMark(conn, lab)
	if err == nil && mark == "" {
		err = &ForeignTableError{Name: name}
	}
	return mark, err
}

// tableDrift tells in words how a lab's table differs from what is wanted.
func (h *Handle) tableDrift(lab string, want []chain) (string, error) {
	conn, err := h.nft()
	if err != nil {
		return "", err
	}
	mark, err := findTable(conn, lab)
	switch {
	case err != nil:
		return "", err
	case mark == "":
		return "does not exist", nil
	case mark != digest(want):
		return "is for something else", nil
	}
	for _, c := range want {
		rules, err := conn.GetRules(tableOf(lab), &nftables.Chain{Name: c.name, Table: tableOf(lab)})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return "", fmt.Errorf("read nftables table %q: %w", NamespaceName(lab), classify(err))
		}
		if len(rules) != len(c.rules) {
			return "has lost rules", nil
		}
	}
	return "", nil
}

// replaceTable makes a lab's table, in place of the one that is there, in one transaction.
func (h *Handle) replaceTable(lab string, want []chain) error {
	conn, err := h.nft()
	if err != nil {
		return err
	}
	mark, err := findTable(conn, lab)
	if err != nil {
		return err
	}
	table := tableOf(lab)
	if mark != "" {
		conn.DelTable(table)
	}
	conn.AddTable(table)
	owner := conn.AddChain(&nftables.Chain{Name: markChain, Table: table})
	conn.AddRule(&nftables.Rule{
		Table: table, Chain: owner, Exprs: verdict(returns),
		UserData: userdata.AppendString(nil, userdata.TypeComment, tableMark(lab, digest(want))),
	})
	for _, c := range want {
		policy := nftables.ChainPolicyAccept
		if c.drop {
			policy = nftables.ChainPolicyDrop
		}
		made := conn.AddChain(&nftables.Chain{
			Name: c.name, Table: table, Type: c.kind, Hooknum: c.hook, Priority: c.priority, Policy: &policy,
		})
		for _, r := range c.rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: made, Exprs: r.exprs})
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("make nftables table %q: %w", table.Name, classify(err))
	}
	return nil
}

// removeTable removes a lab's table. A stranger's of that name stays.
func (h *Handle) removeTable(lab string) (removed bool, err error) {
	marks, err := h.natMarks()
	if err != nil || marks[lab] == "" {
		return false, err
	}
	conn, err := h.nft()
	if err != nil {
		return false, err
	}
	conn.DelTable(tableOf(lab))
	if err := conn.Flush(); err != nil {
		return false, fmt.Errorf("remove nftables table %q: %w", NamespaceName(lab), classify(err))
	}
	return true, nil
}

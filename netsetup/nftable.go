package netsetup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A lab's tables, one of each family, are called like its namespace. They are the lab's because a chain without a hook
// says so, in the comment of its one rule: "kvmlab:<lab> <digest>". They come to be whole, in one transaction of
// nftables, so that no process and no signal finds one without its mark or with half of its rules.

// ForeignTableError says that a table of nftables has a lab's name and not its mark.
type ForeignTableError struct{ Name string }

func (e *ForeignTableError) Error() string {
	return fmt.Sprintf("nftables table %q exists and was not made by kvmlab", e.Name)
}

// ErrNoNftables means that the kernel has no nftables, or not all that a lab's tables are made of.
var ErrNoNftables = errors.New("no nftables")

// markChain holds the mark. nft has no comments on tables before 0.9.7.
const markChain = "kvmlab"

// table is one of a lab's tables as it should be.
type table struct {
	family nftables.TableFamily
	sets   []addressSet
	maps   []linkMap
	chains []chain
}

// addressSet holds addresses that were seen, for a while.
type addressSet struct {
	name    string
	key     nftables.SetDatatype
	size    uint32
	timeout time.Duration
}

// linkMap says what becomes of packets by the name of their link.
type linkMap struct {
	name     string
	verdicts map[string]rule // A verdict alone.
}

// chain is a chain of a table. One without a hook is jumped to.
type chain struct {
	name     string
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority *nftables.ChainPriority
	rules    []rule
}

func familyWord(family nftables.TableFamily) string {
	return map[nftables.TableFamily]string{
		nftables.TableFamilyINet: "inet", nftables.TableFamilyARP: "arp", nftables.TableFamilyBridge: "bridge",
	}[family]
}

// families are those that a lab can have tables of.
func families() []nftables.TableFamily {
	return []nftables.TableFamily{nftables.TableFamilyINet, nftables.TableFamilyARP, nftables.TableFamilyBridge}
}

// digest identifies the content of tables.
func digest(tables []table) string {
	sum := sha256.Sum256([]byte(strings.Join(tableCommands("", tables), "\n")))
	return hex.EncodeToString(sum[:6])
}

func tableMark(lab, digest string) string { return markPrefix + lab + " " + digest }

// nft opens nftables in the handle's namespace.
func (h *Handle) nft() (*nftables.Conn, error) {
	// A transaction is one message, and the kernel answers each of its parts.
	roomy := func(conn *netlink.Conn) error {
		const room = 8 << 20 // For the largest lab that a file can describe; in bytes.
		return errors.Join(conn.SetWriteBuffer(room), conn.SetReadBuffer(room))
	}
	conn, err := nftables.New(nftables.WithNetNSFd(int(h.namespace.Fd())), nftables.WithSockOptions(roomy))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", classify(err))
	}
	return conn, nil
}

func tableOf(family nftables.TableFamily, lab string) *nftables.Table {
	return &nftables.Table{Name: NamespaceName(lab), Family: family}
}

// unsupported reports whether the kernel has no nftables, or none of a family.
func unsupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPROTONOSUPPORT) ||
		errors.Is(err, unix.EAFNOSUPPORT)
}

// hasTables reports whether the lab has tables in the namespace.
func (h *Handle) hasTables(lab string) (bool, error) {
	conn, err := h.nft()
	if err != nil {
		return false, err
	}
	for _, family := range families() {
		mark, err := readMark(conn, family, lab)
		if err != nil || mark != "" {
			return mark != "", err
		}
	}
	return false, nil
}

// listTables names the tables of a family. A kernel without nftables has none.
func listTables(conn *nftables.Conn, family nftables.TableFamily) ([]string, error) {
	tables, err := conn.ListTablesOfFamily(family)
	if unsupported(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", classify(err))
	}
	var names []string
	for _, t := range tables {
		names = append(names, t.Name)
	}
	return names, nil
}

// firewallMarks returns the labs that have tables.
func (h *Handle) firewallMarks() (map[string]bool, error) {
	conn, err := h.nft()
	if err != nil {
		return nil, err
	}
	marks := map[string]bool{}
	for _, family := range families() {
		names, err := listTables(conn, family)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			lab, ok := strings.CutPrefix(name, namespacePrefix)
			if !ok || marks[lab] {
				continue
			}
			mark, err := readMark(conn, family, lab)
			if err != nil {
				return nil, err
			}
			if mark != "" {
				marks[lab] = true
			}
		}
	}
	return marks, nil
}

// readMark returns the digest in the mark of a lab's table; empty when the table is not there or not the lab's.
func readMark(conn *nftables.Conn, family nftables.TableFamily, lab string) (string, error) {
	t := tableOf(family, lab)
	rules, err := conn.GetRules(t, &nftables.Chain{Name: markChain, Table: t})
	if errors.Is(err, unix.ENOENT) || unsupported(err) {
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

// labTables returns the digests in the marks of a lab's tables, by family. A table of its name without a mark is a
// [*ForeignTableError].
func labTables(conn *nftables.Conn, lab string) (map[nftables.TableFamily]string, error) {
	found := map[nftables.TableFamily]string{}
	for _, family := range families() {
		names, err := listTables(conn, family)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(names, NamespaceName(lab)) {
			continue
		}
		mark, err := readMark(conn, family, lab)
		if err != nil {
			return nil, err
		}
		if mark == "" {
			return nil, &ForeignTableError{Name: NamespaceName(lab)}
		}
		found[family] = mark
	}
	return found, nil
}

// tableDrift tells in words how a lab's tables differ from what is wanted.
func (h *Handle) tableDrift(lab string, want []table) (string, error) {
	conn, err := h.nft()
	if err != nil {
		return "", err
	}
	found, err := labTables(conn, lab)
	if err != nil {
		return "", err
	}
	if len(found) == 0 && len(want) > 0 {
		return "does not exist", nil
	}
	sum := digest(want)
	for _, t := range want {
		switch mark, there := found[t.family]; {
		case !there:
			return "has lost rules", nil
		case mark != sum:
			return "is for something else", nil
		}
		delete(found, t.family)
		if whole, err := isWhole(conn, lab, t); err != nil || !whole {
			return "has lost rules", err
		}
	}
	if len(found) > 0 {
		return "is for something else", nil
	}
	return "", nil
}

// isWhole reports whether a lab's table has as many rules and verdicts as it should.
func isWhole(conn *nftables.Conn, lab string, want table) (bool, error) {
	t := tableOf(want.family, lab)
	for _, c := range want.chains {
		rules, err := conn.GetRules(t, &nftables.Chain{Name: c.name, Table: t})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return false, fmt.Errorf("read nftables table %q: %w", t.Name, classify(err))
		}
		if len(rules) != len(c.rules) {
			return false, nil
		}
	}
	for _, m := range want.maps {
		elements, err := conn.GetSetElements(&nftables.Set{Table: t, Name: m.name})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return false, fmt.Errorf("read nftables table %q: %w", t.Name, classify(err))
		}
		if len(elements) != len(m.verdicts) {
			return false, nil
		}
	}
	return true, nil
}

// replaceTables makes a lab's tables, in place of those that are there, in one transaction.
func (h *Handle) replaceTables(lab string, want []table) error {
	conn, err := h.nft()
	if err != nil {
		return err
	}
	found, err := labTables(conn, lab)
	if err != nil {
		return err
	}
	for family := range found {
		conn.DelTable(tableOf(family, lab))
	}
	sum := digest(want)
	for _, t := range want {
		if err := addTable(conn, lab, t, sum); err != nil {
			return fmt.Errorf("make nftables table %q: %w", NamespaceName(lab), classify(err))
		}
	}
	if err := conn.Flush(); err != nil {
		if unsupported(err) || errors.Is(err, unix.ENOENT) { // The kernel's word for an expression that it does not have.
			err = fmt.Errorf("%w: %w", ErrNoNftables, err)
		}
		return fmt.Errorf("make nftables table %q: %w", NamespaceName(lab), classify(err))
	}
	return nil
}

// addTable adds a table with its mark to the transaction: what others refer to comes first.
func addTable(conn *nftables.Conn, lab string, want table, sum string) error {
	t := conn.AddTable(tableOf(want.family, lab))
	owner := conn.AddChain(&nftables.Chain{Name: markChain, Table: t})
	conn.AddRule(&nftables.Rule{
		Table: t, Chain: owner, Exprs: back().exprs,
		UserData: userdata.AppendString(nil, userdata.TypeComment, tableMark(lab, sum)),
	})
	chains := map[string]*nftables.Chain{}
	accept := nftables.ChainPolicyAccept
	for _, c := range want.chains {
		made := &nftables.Chain{Name: c.name, Table: t}
		if c.hook != nil {
			made.Type, made.Hooknum, made.Priority, made.Policy = c.kind, c.hook, c.priority, &accept
		}
		chains[c.name] = conn.AddChain(made)
	}
	for _, s := range want.sets {
		set := &nftables.Set{
			Table: t, Name: s.name, KeyType: s.key, Size: s.size, Dynamic: true, HasTimeout: true, Timeout: s.timeout,
			KeyByteOrder: binaryutil.BigEndian,
		}
		if err := conn.AddSet(set, nil); err != nil {
			return err
		}
	}
	for _, m := range want.maps {
		if err := addMap(conn, t, m); err != nil {
			return err
		}
	}
	for _, c := range want.chains {
		for _, r := range c.rules {
			conn.AddRule(&nftables.Rule{Table: t, Chain: chains[c.name], Exprs: r.exprs})
		}
	}
	return nil
}

// elementsAtOnce fit into one attribute of netlink, which has at most 64 KiB.
const elementsAtOnce = 256

func addMap(conn *nftables.Conn, t *nftables.Table, m linkMap) error {
	set := &nftables.Set{
		Table: t, Name: m.name, IsMap: true, KeyType: nftables.TypeIFName, DataType: nftables.TypeVerdict,
		KeyByteOrder: binaryutil.NativeEndian,
	}
	if err := conn.AddSet(set, nil); err != nil {
		return err
	}
	var elements []nftables.SetElement
	for _, name := range slices.Sorted(maps.Keys(m.verdicts)) {
		v, ok := m.verdicts[name].exprs[0].(*expr.Verdict)
		if !ok {
			return fmt.Errorf("%q is no verdict", m.verdicts[name].text)
		}
		elements = append(elements, nftables.SetElement{Key: linkKey(name), VerdictData: v})
	}
	for some := range slices.Chunk(elements, elementsAtOnce) {
		if err := conn.SetAddElements(set, some); err != nil {
			return err
		}
	}
	return nil
}

// removeTables removes a lab's tables. A stranger's of that name stay.
func (h *Handle) removeTables(lab string) error {
	conn, err := h.nft()
	if err != nil {
		return err
	}
	found := false
	for _, family := range families() {
		mark, err := readMark(conn, family, lab)
		if err != nil {
			return err
		}
		if mark != "" {
			conn.DelTable(tableOf(family, lab))
			found = true
		}
	}
	if !found {
		return nil
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("remove nftables table %q: %w", NamespaceName(lab), classify(err))
	}
	return nil
}

package mistake

import (
	"net"
	"net/netip"
	"slices"

	"github.com/kvmlab/kvmlab/internal/conffile"
	"github.com/kvmlab/kvmlab/internal/diag"
)

// cards looks at the card that is to be served. dhcpd says the same of a card without an address, of one that is down and
// of one that does not exist; the guest's own list tells them apart.
func (f *finder) cards() {
	name := f.want.Interface
	card := f.link(name)
	if card == nil || !f.want.Address.IsValid() {
		return
	}
	stanza := f.stanza(name)
	if stanza != nil {
		f.hardware(stanza)
	}
	switch written, at, ok := addressOf(stanza); {
	case slices.Contains(card.Addresses, f.want.Address) && card.Up:
	case slices.Contains(card.Addresses, f.want.Address):
		f.add(rankCard, diag.New(diag.CardDown, diag.Args{"link": name}))
	case f.otherMask(card, stanza):
	case ok && written == f.want.Address:
		f.add(rankCard, diag.New(diag.AddressNotApplied, diag.Args{"link": name}).At(at.Pos))
	case firstIPv4(card).IsValid():
		d := diag.New(diag.AddressOther, diag.Args{"link": name, "got": firstIPv4(card), "want": f.want.Address})
		if ok && written == firstIPv4(card) {
			d = d.At(at.Pos)
		}
		f.add(rankCard, d)
	default:
		d := diag.New(diag.AddressMissing, diag.Args{"link": name})
		if stanza != nil {
			d = d.At(stanza.Name.Pos)
		}
		f.add(rankCard, d)
	}
}

// stanza is what /etc/network/interfaces says of a card, nil when it says nothing or was not read.
func (f *finder) stanza(name string) *conffile.Stanza {
	if _, there := f.seen.Files[interfacesPath]; !there {
		return nil
	}
	return conffile.ParseInterfaces(interfacesPath, f.texts()).Stanza(name)
}

func addressOf(s *conffile.Stanza) (prefix netip.Prefix, at conffile.Value, ok bool) {
	if s == nil {
		return netip.Prefix{}, conffile.Value{}, false
	}
	return s.Address()
}

func firstIPv4(l *Link) netip.Prefix {
	for _, p := range l.Addresses {
		if p.Addr().Is4() {
			return p
		}
	}
	return netip.Prefix{}
}

// otherMask reports the right address with a wrong length.
func (f *finder) otherMask(l *Link, stanza *conffile.Stanza) bool {
	for _, p := range l.Addresses {
		if p.Addr() != f.want.Address.Addr() {
			continue
		}
		d := diag.New(diag.MaskOther, diag.Args{"link": l.Name, "got": p.Bits(), "want": f.want.Address.Bits()})
		if written, at, ok := addressOf(stanza); ok && written == p {
			d = d.At(at.Pos)
		}
		f.add(rankCard, d)
		return true
	}
	return false
}

// hardware looks at a MAC that is set in the file: "hwaddress ether 02:…" or without ether.
func (f *finder) hardware(s *conffile.Stanza) {
	v := s.Get("hwaddress")
	text := v.Text
	if len(text) > 6 && text[:6] == "ether " {
		text = text[6:]
	}
	if mac, err := net.ParseMAC(text); err == nil && len(mac) == 6 && mac[0]&1 == 1 {
		f.add(rankCard, diag.New(diag.MACOfGroup, diag.Args{"mac": text}).At(v.Pos))
	}
}

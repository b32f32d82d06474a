package vm

type xmlDisk struct {
	Type    string       `xml:"type,attr"`
	Device  string       `xml:"device,attr"`
	Driver  xmlDriver    `xml:"driver"`
	Source  xmlSource    `xml:"source"`
	Backing *xmlBacking  `xml:"backingStore"`
	Target  xmlDiskPlace `xml:"target"`
	Reads   *struct{}    `xml:"readonly"`
	Address *xmlAddress  `xml:"address"`
}

type xmlDriver struct {
	Name    string `xml:"name,attr"`
	Type    string `xml:"type,attr"`
	Discard string `xml:"discard,attr,omitempty"`
}

type xmlSource struct {
	File  string    `xml:"file,attr"`
	Label *xmlLabel `xml:"seclabel"`
}

type xmlLabel struct {
	Model   string `xml:"model,attr"`
	Relabel string `xml:"relabel,attr"`
}

// xmlBacking is a chain written out: what is left out, libvirt probes for.
type xmlBacking struct {
	Type   string     `xml:"type,attr,omitempty"`
	Format *xmlType   `xml:"format"`
	Source *xmlSource `xml:"source"`
	End    *struct{}  `xml:"backingStore"`
}

type xmlType struct {
	Type string `xml:"type,attr"`
}

type xmlDiskPlace struct {
	Dev string `xml:"dev,attr"`
	Bus string `xml:"bus,attr"`
}

// disks are the guest's own and the seed.
func (d Domain) disks() []xmlDisk {
	var disks []xmlDisk
	if d.Disk != nil {
		disks = append(disks, d.disk())
	}
	if d.Seed != "" {
		disks = append(disks, d.seed())
	}
	return disks
}

// disk is the guest's disk. What the guest deletes is given back to the host's
// file system. The base must not become QEMU's user's: other guests use it.
func (d Domain) disk() xmlDisk {
	x := xmlDisk{
		Type: "file", Device: "disk",
		Driver:  xmlDriver{Name: "qemu", Type: "qcow2", Discard: "unmap"},
		Source:  xmlSource{File: d.Disk.Path},
		Backing: &xmlBacking{},
		Target:  xmlDiskPlace{Dev: "vda", Bus: "virtio"},
		Address: d.address(),
	}
	if d.Disk.Base != "" {
		x.Backing = &xmlBacking{
			Type: "file", Format: &xmlType{"qcow2"},
			Source: &xmlSource{File: d.Disk.Base, Label: &xmlLabel{Model: "dac", Relabel: "no"}},
			End:    &struct{}{},
		}
	}
	return x
}

// seed is the volume that tells the guest who it is, which nobody writes to.
func (d Domain) seed() xmlDisk {
	return xmlDisk{
		Type: "file", Device: "disk",
		Driver:  xmlDriver{Name: "qemu", Type: "raw"},
		Source:  xmlSource{File: d.Seed},
		Backing: &xmlBacking{},
		Target:  xmlDiskPlace{Dev: "vdb", Bus: "virtio"},
		Reads:   &struct{}{},
		Address: d.address(),
	}
}

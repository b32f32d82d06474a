package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Where state is kept when the environment does not say, and the variables that say it.
const (
	DefaultRunDir   = "/run/kvmlab"
	DefaultStateDir = "/var/lib/kvmlab"
	EnvRunDir       = "KVMLAB_RUN_DIR"
	EnvStateDir     = "KVMLAB_STATE_DIR"
	// PackagedDir is where the Debian package puts images. It is not below /usr, because libvirt's AppArmor driver lets
	// guests have nothing from there.
	PackagedDir = DefaultStateDir + "/packaged"
)

// The names of the files and folders. This file is the only one that knows them.
const (
	labsName             = "labs"
	imagesName           = "images"
	templatesName        = "templates"
	accelName            = "accel.json"
	lockName             = "lock"
	supervisorLockName   = "supervisor.lock"
	supervisorSocketName = "supervisor.sock"
	labFileName          = "lab.json"
	journalName          = "journal.jsonl"
	supervisorLogName    = "supervisor.log"
	leasesName           = "leases"
	consoleName          = "console"
	serveLeasesName      = "dhcp-serve"
	capturesName         = "captures"
	dhcpOrdersName       = "dhcp.json"
	exerciseName         = "exercise.json"
	bootName             = "boot"
	scenarioName         = "scenario"
	newSuffix            = ".new" // of a scenario that is being written
	disksName            = "disks"
	diskSuffix           = ".qcow2"
	seedSuffix           = ".seed"
)

// Who may do what. QEMU runs as a user of its own and reads images and disks below here, so others may pass through
// the folders on the way, and see the names of labs; of a lab they see nothing.
const (
	dirMode     = 0o755 // what holds the labs, and the images
	labMode     = 0o711 // a lab, its disks and its consoles
	privateMode = 0o700 // everything else
)

// FileMode is that of a lab's files: answers, seeds and secrets are among them.
const FileMode = 0o600

// ErrLabName is returned for a name that cannot be a lab's folder. Marks are read from objects that anybody with
// privileges can write, so a name is never trusted as a path.
var ErrLabName = errors.New("not a lab name")

// Dirs are the two roots of kvmlab's files.
type Dirs struct {
	Run   string // gone after a reboot: locks and sockets
	State string // kept: labs and images
	// Packaged holds images that came with the program and are only read; empty when none did.
	Packaged string
}

// DirsFromEnv returns the roots that the environment asks for, or the defaults. getenv is os.Getenv, or a test's.
func DirsFromEnv(getenv func(string) string) Dirs {
	d := Dirs{Run: DefaultRunDir, State: DefaultStateDir}
	if v := getenv(EnvRunDir); v != "" {
		d.Run = v
	}
	if v := getenv(EnvStateDir); v != "" {
		d.State = v
	}
	return d
}

// ImagesDir returns the folder of the guest images.
func (d Dirs) ImagesDir() string { return filepath.Join(d.State, imagesName) }

// ImageStores returns the folders that images are looked for in, in order: ImagesDir, then what came with the program.
func (d Dirs) ImageStores() []string {
	if d.Packaged == "" {
		return []string{d.ImagesDir()}
	}
	return []string{d.ImagesDir(), d.Packaged}
}

// TemplatesDir returns the folder of the saved guests that others are resumed from.
func (d Dirs) TemplatesDir() string { return filepath.Join(d.State, templatesName) }

// AccelFile keeps what was found out about acceleration on this host.
func (d Dirs) AccelFile() string { return filepath.Join(d.State, accelName) }

// ServeLeaseDir is the folder of the leases of `kvmlab dhcp serve`, unless it is given another.
func (d Dirs) ServeLeaseDir() string { return filepath.Join(d.State, serveLeasesName) }

// Lab returns the files of the lab called name. Nothing is created.
func (d Dirs) Lab(name string) (Lab, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return Lab{}, fmt.Errorf("%w: %q", ErrLabName, name)
	}
	return Lab{
		name: name,
		root: d,
		run:  filepath.Join(d.Run, name),
		dir:  filepath.Join(d.State, labsName, name),
	}, nil
}

// Labs returns the names of all labs that have state or a run folder, sorted. A folder of kept disks alone is no
// lab.
func (d Dirs) Labs() ([]string, error) {
	names := map[string]bool{}
	for _, place := range []struct {
		root string
		any  []string // one of these must be inside
	}{
		{d.Run, []string{supervisorLockName, supervisorSocketName}},
		{filepath.Join(d.State, labsName), []string{labFileName, journalName}},
	} {
		entries, err := os.ReadDir(place.root)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list labs: %w", err)
		}
		for _, e := range entries {
			has := func(file string) bool {
				_, err := os.Lstat(filepath.Join(place.root, e.Name(), file))
				return err == nil
			}
			if e.IsDir() && slices.ContainsFunc(place.any, has) {
				names[e.Name()] = true
			}
		}
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	return sorted, nil
}

// Lab is the set of files of one lab.
type Lab struct {
	name string
	root Dirs
	run  string
	dir  string
}

// Name returns the lab's name.
func (l Lab) Name() string { return l.name }

// RunDir is the lab's folder for locks and sockets.
func (l Lab) RunDir() string { return l.run }

// Dir is the lab's folder for what outlives a reboot.
func (l Lab) Dir() string { return l.dir }

// LockFile is locked by the command that changes the lab.
func (l Lab) LockFile() string { return filepath.Join(l.run, lockName) }

// SupervisorLock is locked by the supervisor for as long as it lives.
func (l Lab) SupervisorLock() string { return filepath.Join(l.run, supervisorLockName) }

// SupervisorSocket is the supervisor's control socket.
func (l Lab) SupervisorSocket() string { return filepath.Join(l.run, supervisorSocketName) }

// LabFile holds the resolved lab.
func (l Lab) LabFile() string { return filepath.Join(l.dir, labFileName) }

// JournalFile holds what was begun, done and undone.
func (l Lab) JournalFile() string { return filepath.Join(l.dir, journalName) }

// SupervisorLog gets the supervisor's messages.
func (l Lab) SupervisorLog() string { return filepath.Join(l.dir, supervisorLogName) }

// LeaseDir is the folder of the DHCP lease store.
func (l Lab) LeaseDir() string { return filepath.Join(l.dir, leasesName) }

// CaptureDir is the folder of the rolling capture of the lab's wire.
func (l Lab) CaptureDir() string { return filepath.Join(l.dir, capturesName) }

// DHCPOrders keeps what `kvmlab dhcp off` and `fault` asked of the lab's DHCP server.
func (l Lab) DHCPOrders() string { return filepath.Join(l.dir, dhcpOrdersName) }

// ExerciseFile keeps which scenario the lab is of, and how far its student has come.
func (l Lab) ExerciseFile() string { return filepath.Join(l.dir, exerciseName) }

// BootFile keeps in which boot of the host the lab was brought up.
func (l Lab) BootFile() string { return filepath.Join(l.dir, bootName) }

// ScenarioDir is the copy of the lab's scenario, when that is not a built-in one.
func (l Lab) ScenarioDir() string { return filepath.Join(l.dir, scenarioName) }

// ConsoleDir is the folder of the guests' console logs.
func (l Lab) ConsoleDir() string { return filepath.Join(l.dir, consoleName) }

// ConsoleLog gets everything that the guest prints on its serial console.
func (l Lab) ConsoleLog(guest string) string { return filepath.Join(l.ConsoleDir(), guest+".log") }

// DiskDir is the folder of the guests' disks. It outlives the lab: what is on them is somebody's work.
func (l Lab) DiskDir() string { return filepath.Join(l.dir, disksName) }

// Disk is the disk of one guest.
func (l Lab) Disk(guest string) string { return filepath.Join(l.DiskDir(), guest+diskSuffix) }

// Seed is the volume that tells one guest who it is, beside its disk.
func (l Lab) Seed(guest string) string { return filepath.Join(l.DiskDir(), guest+seedSuffix) }

// Disks returns the names of the guests that have a disk, sorted.
func (l Lab) Disks() ([]string, error) {
	entries, err := os.ReadDir(l.DiskDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list disks of lab %q: %w", l.name, err)
	}
	var guests []string
	for _, e := range entries {
		if guest, ok := strings.CutSuffix(e.Name(), diskSuffix); ok {
			guests = append(guests, guest)
		}
	}
	return guests, nil
}

// RemoveDisk deletes the disk of a guest, and its seed; one that is not there is what was wanted. The folders go when
// they are empty.
func (l Lab) RemoveDisk(guest string) error {
	for _, path := range []string{l.Seed(guest), l.Disk(guest)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove disk of %q in lab %q: %w", guest, l.name, err)
		}
	}
	return errors.Join(removeEmpty(l.DiskDir()), removeEmpty(l.dir))
}

// KeptDisks returns the names of the labs that have disks, sorted.
func (d Dirs) KeptDisks() ([]string, error) {
	found, err := filepath.Glob(filepath.Join(d.State, labsName, "*", disksName, "*"+diskSuffix))
	var names []string
	for _, path := range found {
		names = append(names, filepath.Base(filepath.Dir(filepath.Dir(path))))
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// Create makes the lab's folders, and makes their names durable. Folders of a lab that was made by an earlier kvmlab
// are closed to others.
func (l Lab) Create() error {
	modes := []struct {
		dir  string
		mode fs.FileMode
	}{
		{l.run, privateMode},
		{l.dir, labMode},
		{l.LeaseDir(), privateMode},
		{l.ConsoleDir(), labMode},
		{l.CaptureDir(), privateMode},
	}
	for _, m := range modes {
		err := os.MkdirAll(filepath.Dir(m.dir), dirMode)
		if err == nil {
			err = makeDir(m.dir, m.mode)
		}
		if err != nil {
			return fmt.Errorf("create state of lab %q: %w", l.name, err)
		}
	}
	for _, dir := range []string{l.dir, filepath.Dir(l.dir), l.root.State} {
		if err := syncDir(dir); err != nil {
			return fmt.Errorf("create state of lab %q: %w", l.name, err)
		}
	}
	return nil
}

// makeDir makes a folder with a mode, whatever the umask, or gives it to one that is there.
func makeDir(dir string, mode fs.FileMode) error {
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(dir, mode)
}

// Remove deletes the lab's files and the folders that are then empty, its own lock last: from then on another
// command may create the lab anew. Files that kvmlab did not write, and guests' disks, stay. The caller holds the
// lock and has seen that no object of the lab is left.
func (l Lab) Remove() error {
	var errs []error
	for _, path := range []string{
		l.LeaseDir(), l.DHCPOrders(), l.ExerciseFile(), l.BootFile(), l.ScenarioDir(), l.ScenarioDir() + newSuffix,
		l.ConsoleDir(), l.CaptureDir(), l.SupervisorLog(), l.LabFile(), l.JournalFile(),
	} {
		errs = append(errs, os.RemoveAll(path))
	}
	errs = append(errs, removeEmpty(l.dir))
	for _, path := range []string{l.SupervisorSocket(), l.SupervisorLock(), l.LockFile()} {
		errs = append(errs, os.RemoveAll(path))
	}
	errs = append(errs, removeEmpty(l.run), removeEmpty(l.root.Run))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove state of lab %q: %w", l.name, err)
	}
	return nil
}

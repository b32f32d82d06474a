package image

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// SeedLabel is the volume label by which cloud-init finds a NoCloud seed.
const SeedLabel = "cidata"

// SeedPassword is root's in a guest of an imported image, as in all of kvmlab's.
const SeedPassword = "kvmlab"

// Seed is what a guest of an imported image is told about itself: cloud-init's
// NoCloud data source
// (https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html).
type Seed struct {
	// Instance tells one machine from another: a guest that has not seen it before sets itself up.
	Instance string
	Hostname string
	// MACs of the cards, eth0 first. The first one asks for an address.
	MACs  []string
	Keys  []string // SSH public keys
	Files []SeedFile
}

// SeedFile is a file that the guest gets at its first start.
type SeedFile struct {
	Path    string
	Mode    uint32 // permission bits
	Content []byte
}

// Disk is the seed as a small ISO 9660 volume. The same seed gives the same
// bytes.
func (s Seed) Disk() ([]byte, error) {
	var files []isoFile
	for _, part := range []struct {
		name, comment string
		content       any
	}{
		{"meta-data", "", s.metaData()},
		{"network-config", "", s.networkConfig()},
		{"user-data", "#cloud-config\n", s.userData()},
	} {
		// JSON is YAML, and needs no rules of its own for what has to be quoted.
		text, err := json.MarshalIndent(part.content, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", part.name, err)
		}
		files = append(files, isoFile{part.name, append([]byte(part.comment), append(text, '\n')...)})
	}
	return isoVolume(SeedLabel, files), nil
}

func (s Seed) metaData() any {
	return map[string]any{"instance-id": s.Instance, "local-hostname": s.Hostname}
}

// networkConfig names the cards and leaves addresses to DHCP, on the first one.
func (s Seed) networkConfig() any {
	cards := map[string]any{}
	for i, mac := range s.MACs {
		name := fmt.Sprintf("eth%d", i)
		card := map[string]any{"match": map[string]any{"macaddress": mac}, "set-name": name, "dhcp4": i == 0}
		if i > 0 {
			card["optional"] = true // nobody waits for it
		}
		cards[name] = card
	}
	return map[string]any{"version": 2, "ethernets": cards}
}

// userData lets root in with the password of all guests, and with keys.
func (s Seed) userData() any {
	data := map[string]any{
		"hostname":         s.Hostname,
		"manage_etc_hosts": "localhost",
		"disable_root":     false,
		"ssh_pwauth":       false,
		"chpasswd":         map[string]any{"expire": false, "users": []any{map[string]any{"name": "root", "password": SeedPassword, "type": "text"}}},
		// The disk outlives the lab, whose cards may have other addresses the next time.
		"updates": map[string]any{"network": map[string]any{"when": []string{"boot-new-instance", "boot"}}},
	}
	var keys []string
	for _, key := range s.Keys {
		keys = append(keys, strings.TrimSpace(key))
	}
	if len(keys) > 0 {
		data["ssh_authorized_keys"] = keys
	}
	var files []any
	for _, f := range s.Files {
		files = append(files, map[string]any{
			"path": f.Path, "permissions": fmt.Sprintf("%04o", f.Mode), "encoding": "b64",
			"content": base64.StdEncoding.EncodeToString(f.Content),
		})
	}
	if len(files) > 0 {
		data["write_files"] = files
	}
	return data
}

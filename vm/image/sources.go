package image

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// debianSources are the host's own apt sources, in the one-line form of
// sources.list(5), as far as they are Debian 12: whatever mirror the school has
// serves the image too. Errors: ErrNoApt; ErrNoDebian.
func debianSources(ctx context.Context) (string, error) {
	cmd, err := aptCommand(ctx, "apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
		"Created-By: Packages")
	if err != nil {
		return "", err
	}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for its sources: %w", err)
	}
	// Without it apt would believe whatever key the host believes, for whatever else.
	if _, err := os.Stat(debianKeyring); err != nil {
		return "", &ProgramError{Program: debianKeyring, Package: "debian-archive-keyring"}
	}
	text := parseTargets(string(out))
	if text == "" {
		return "", ErrNoDebian
	}
	return text, nil
}

// parseTargets keeps what is Debian's own, once each, signed by Debian's keys and no other.
func parseTargets(targets string) string {
	var b strings.Builder
	seen := map[string]bool{}
	for line := range strings.Lines(targets) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) != 5 || fields[0] != "Debian" {
			continue
		}
		suite, _, _ := strings.Cut(fields[1], "-")
		source := fmt.Sprintf("deb [signed-by=%s] %s %s %s\n", debianKeyring, fields[2], fields[3], fields[4])
		if suite != debianSuite || strings.HasSuffix(fields[1], "-backports") || seen[source] {
			continue
		}
		seen[source] = true
		b.WriteString(source)
	}
	return b.String()
}

// aptOptions are mmdebstrap's arguments for what of the host's apt settings
// leads to the archive: proxies and patience.
func aptOptions(ctx context.Context) []string {
	out, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err != nil {
		return nil // then the archive is reached without, or not at all, which is told
	}
	var options []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		for _, key := range []string{"Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Retries"} {
			if strings.HasPrefix(line, key) && !strings.HasSuffix(line, `""`+";") {
				options = append(options, "--aptopt="+line)
			}
		}
	}
	return options
}

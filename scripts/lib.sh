# shellcheck shell=bash disable=SC2034 # what is set here is used where this is sourced
#
# scripts/lib.sh: what setup, up, test, lint and bench share. To be sourced.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The tools of the workshop, at fixed versions so that everybody gets the same verdict.
readonly GOLANGCI_LINT=github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
readonly GOTESTSUM=gotest.tools/gotestsum@v1.13.0
readonly GOVULNCHECK=golang.org/x/vuln/cmd/govulncheck@v1.9.0

# kvmlab is one static program (and its supervisor needs that: see detach in internal/supervisor).
export CGO_ENABLED=0

# A checkout that belongs to the user behind sudo: git, which Go asks for the version to
# stamp into the binary, would refuse to read it as root.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$ROOT

say() { printf '==> %s\n' "$*" >&2; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

need_root() {
  ((EUID == 0)) || die "needs root, to make bridges and start guests: sudo scripts/${0##*/}"
}

# ---- Debian packages --------------------------------------------------------------

# install_packages installs those of the named packages that are missing.
install_packages() {
  local name missing=()
  for name; do
    installed "$name" || missing+=("$name")
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "needs these packages, and finds no apt-get to install them: ${missing[*]}"
  say "installing Debian packages: ${missing[*]}"
  # The lists may be absent, as in a container, or older than the archive; and an installation that was
  # interrupted must be finished before the next one. Either is mended once, and it is tried again.
  apt_install "${missing[@]}" 2>/dev/null || { finish_installation; apt_update || true; apt_install "${missing[@]}"; } ||
    die "apt-get cannot install: ${missing[*]}"
}

# finish_installation configures what an interrupted dpkg has left unpacked: apt-get refuses to work before.
finish_installation() {
  DEBIAN_FRONTEND=noninteractive dpkg --configure --pending </dev/null >&2 || true # what is wrong, apt says next
}

installed() { [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# apt_update waits for another apt, as Debian runs one soon after each start: unlike those of dpkg, apt has no patience
# with the locks of its lists.
apt_update() {
  say "updating the package lists"
  local said tries=60
  until said=$(LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -qq update </dev/null 2>&1); do
    if [[ $said != *"Could not get lock"* ]] || ((!tries--)); then
      printf '%s\n' "$said" >&2
      return 1
    fi
    sleep 2
  done
}

# apt_install is quiet: apt's own story is told only when it ends badly.
apt_install() {
  local log
  log=$(DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 \
    --no-install-recommends install "$@" </dev/null 2>&1) || { printf '%s\n' "$log" >&2; return 1; }
}

# ---- Go ---------------------------------------------------------------------------

# have_go: is there a Go that builds this module? Go 1.21 and later fetch the version that
# go.mod asks for by themselves.
have_go() {
  PATH=$PATH:/usr/local/go/bin # sudo's PATH is a short one
  export GOTOOLCHAIN=${GOTOOLCHAIN:-auto}
  local want have
  want=$(go_wanted)
  have=$(cd "$ROOT" && go env GOVERSION 2>/dev/null) || return 1
  [[ $(printf '%s\n' "$want" "${have#go}" | sort --version-sort | head -1) == "$want" ]]
}

go_wanted() { sed -n 's/^go //p' "$ROOT/go.mod"; }

# need_go gets a Go if there is none: Debian's own is too old to build kvmlab, but it can
# fetch a new one, whose checksum it verifies, as a module.
need_go() {
  ! have_go || return 0
  local module dir
  module=golang.org/toolchain@v0.0.1-go$(go_wanted).linux-$(dpkg --print-architecture)
  dir=$(go_dir "$module")
  if [[ ! -d $dir ]]; then
    install_packages golang-go ca-certificates
    say "fetching Go $(go_wanted)"
    (cd / && go mod download "$module") ||
      die "no Go $(go_wanted) or later: install it from https://go.dev/dl/ and try again"
    dir=$(go_dir "$module")
    chmod -R a+x "$dir/bin" "$dir/pkg/tool" # modules are stored without execute permission
  fi
  PATH=$dir/bin:$PATH
  have_go || die "the Go in $dir does not work"
}

go_dir() { printf '%s/%s\n' "${GOMODCACHE:-${GOPATH:-$HOME/go}/pkg/mod}" "$1"; }

# need_tool installs a Go program (package@version) unless exactly that version is there,
# and puts it on the PATH.
need_tool() {
  local name version bin
  name=$(basename "${1%@*}") version=${1##*@}
  bin=$(go env GOPATH)/bin
  PATH=$bin:$PATH
  if ! go version -m "$bin/$name" 2>/dev/null | grep --quiet --fixed-strings --word-regexp "$version"; then
    say "installing $name $version"
    (cd / && GOBIN=$bin GOFLAGS='' go install "$1") || die "cannot install $1"
  fi
}

# build_kvmlab builds bin/kvmlab, or keeps the one that is there on a machine without Go.
build_kvmlab() {
  if ! have_go && [[ -x $ROOT/bin/kvmlab ]]; then
    say "there is no Go $(go_wanted) here: keeping the bin/kvmlab that is there"
    return 0
  fi
  need_go
  say "building bin/kvmlab"
  (cd "$ROOT" && go build -trimpath -o bin/kvmlab ./cmd/kvmlab)
}

# test_needs prints what the tests of Go packages need (see scripts/setup), each once; of all packages when none is named.
test_needs() {
  local dir
  (($#)) || set -- ./...
  (cd "$ROOT" && go list -f '{{.Dir}}' "$@") | while read -r dir; do
    sed -n 's,^//kvmlab:needs ,,p' "$dir"/*_test.go 2>/dev/null || true
  done | tr -s ' ' '\n' | sort --unique
}

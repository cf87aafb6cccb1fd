# Installs what `./run` and `./test` need, where it is missing. Sourced by both; not run by itself.
#
# On Debian and its children: by apt, one line said per group. Elsewhere: says what to install, and stops.

# need "what it is for" "a command that succeeds when it is there" package...
need() {
  local why=$1 probe=$2
  shift 2
  if bash -c "$probe" >/dev/null 2>&1; then return; fi
  if ! command -v apt-get >/dev/null; then
    echo "missing: $why. This is not a Debian system: install what Debian calls $* and start again." >&2
    exit 1
  fi
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "missing: $why. Become root or get sudo, run: apt-get install $*, and start again." >&2
      exit 1
    fi
    as_root=(sudo)
  fi
  echo "installing $* ($why)"
  # A new machine has no package lists; an old one may have lists that name packages which are gone.
  if [ -z "${apt_lists_are_new:-}" ]; then
    "${as_root[@]}" apt-get update -qq </dev/null >/dev/null
    apt_lists_are_new=yes
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
  if ! bash -c "$probe" >/dev/null 2>&1; then
    echo "missing: $why. Installing $* did not bring it (looked for: $probe)." >&2
    exit 1
  fi
}

# must_have "what" "a command that succeeds when it is there" "what to do": for what no Debian package brings.
must_have() {
  if bash -c "$2" >/dev/null 2>&1; then return; fi
  echo "missing: $1. $3" >&2
  exit 1
}

# What `cargo build` and the pages need.
setup_build() {
  must_have "cargo, the Rust toolchain" "cargo --version" "Install Rust 1.90 or later: https://rustup.rs"
  must_have "Node.js 20.19 or later, with npm" "npm --version && node -e '
    const [major, minor] = process.versions.node.split(\".\").map(Number);
    process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'" "Install it: https://nodejs.org"
  need "compiles the C in the DTLS, SQLite and Opus crates" "cc --version && c++ --version" gcc g++ libc6-dev
  need "builds Opus" "cmake --version && make --version" cmake make
  case $(uname -m) in
    x86_64 | i?86) need "assembles the H.264 codec" "nasm -v" nasm ;;
  esac
  need "decodes VP8 and VP9" "pkg-config --exists vpx" libvpx-dev pkg-config
}

# Node packages of folder $1, exactly as its lock file says. Does nothing when they are there already.
setup_node_packages() {
  if [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ]; then return; fi
  (cd "$1" && npm ci --no-audit --no-fund </dev/null)
}

# The pages in web/dist, which the binary embeds. Does nothing when nothing of web/ is newer than they are.
setup_pages() {
  setup_node_packages web
  if [ -f web/dist/index.html ] && [ -z "$(find web -path web/node_modules -prune -o -path web/dist -prune \
    -o -type f -newer web/dist/index.html -print -quit)" ]; then return; fi
  (cd web && npm run build </dev/null)
}

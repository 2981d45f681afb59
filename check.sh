#!/bin/bash
# Everything that must hold before a change is merged.
#   ./check.sh          all of it; installs missing Debian packages when run as root
#   ./check.sh --fast   format, structure and lints only
# Every build uses the release profile, so that tests, numerics and users share one set of dependencies: `cargo test`
# builds them once, clippy and rustdoc share their metadata, and `cargo run --release` afterwards has nothing to do.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

target_dir=${CARGO_TARGET_DIR:-target}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
summary=()
failed_steps=0

# Exit code of a step that can't run here (Automake's). Under CI=true, where everything is installed, that is a failure.
cannot_run=77

# step NAME COMMAND [ARG ...]: runs a command, prints its name and seconds, and goes on after a failure, so that one
# run reports everything there is to mend.
step() {
  local name=$1 start=$SECONDS code=0 verdict=FAILED
  shift
  printf '\n== %s\n' "$name"
  "$@" || code=$?
  [ "$code" -ne 0 ] || verdict=ok
  [ "$code" -ne "$cannot_run" ] || [ "${CI:-}" = true ] || verdict=skipped
  [ "$verdict" != FAILED ] || failed_steps=$((failed_steps + 1))
  printf -- '-- %s: %s, %d s\n' "$name" "$verdict" $((SECONDS - start))
  summary+=("$(printf '%-7s %5d s  %s' "$verdict" $((SECONDS - start)) "$name")")
}

# A linker; a software Vulkan driver for the studio's snapshots; a virtual screen, and the libraries that a window
# loads when it opens, for the test that opens one; what judges the menu entry.
packages=(libvulkan1 mesa-vulkan-drivers desktop-file-utils appstream
  xvfb xdotool libx11-xcb1 libxcursor1 libxi6 libxkbcommon0 libxkbcommon-x11-0 libxrandr2)
command -v cc >/dev/null || packages+=(gcc libc6-dev)
# For the pinned tools below; elsewhere they are the developer's choice.
[ "${CI:-}" != true ] || python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)

install_packages() {
  local missing=() package
  command -v dpkg-query >/dev/null || { echo "not a Debian system: a Vulkan driver, Xvfb and xdotool must be there"; return 0; }
  for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    echo "all there"
  elif [ "$(id -u)" -eq 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    echo "installing ${missing[*]}"
    { apt-get update -qq && apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "${missing[@]}"; } \
      </dev/null >"$scratch/apt.log" 2>&1 || { cat "$scratch/apt.log"; return 1; }
  else
    echo "the tests need packages that are missing; run this line, then ./check.sh again:"
    echo "sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}"
    return 1
  fi
}

# Spelling and licences are judged by tools that come as Python packages, pinned by checksum. Where they can't be
# installed, those on the PATH serve.
tools=$target_dir/check-tools

install_tools() {
  { { [ -x "$tools/bin/pip" ] || python3 -m venv "$tools"; } &&
    "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
      --requirement .ci/tools.txt; } >"$scratch/tools.log" 2>&1 && echo "all there" && return
  tail -n 3 "$scratch/tools.log"
  echo "the tools of .ci/tools.txt can't be installed in $tools"
  return "$cannot_run"
}

# with_tool TOOL [ARG ...]: runs the tool if it is there.
with_tool() {
  local tool=$tools/bin/$1
  [ -x "$tool" ] || tool=$(command -v "$1") || { echo "$1 is not installed"; return "$cannot_run"; }
  shift
  "$tool" "$@"
}

menu_entry_is_valid() {
  with_tool desktop-file-validate assets/package/*.desktop && with_tool appstreamcli validate --no-net assets/package/*.metainfo.xml
}

lock_is_current() {
  cargo metadata --quiet --locked --format-version 1 >/dev/null
}

# Direct dependencies of a crate, build scripts included; tests may reach further.
dependencies_of() {
  cargo tree --quiet --package "$1" --edges normal,build --depth 1 --prefix none --format '{p}' | tail -n +2 | cut -d' ' -f1
}

# imports CRATE [ALLOWED ...]: of our crates and of the tensor library's, a crate imports those allowed and no others.
imports() {
  local crate=$1 found name
  shift
  found=$(dependencies_of "$crate") || return 1
  for name in $found; do
    case "$name" in
      candle-* | gemm | mdsd3*)
        [[ " $* " = *" $name "* ]] || { echo "$crate imports $name, which it may not: $import_rule"; return 1; } ;;
    esac
  done
}

import_rule="imports run mdsd3 -> mdsd3-gui -> mdsd3-engine -> mdsd3-dataset and mdsd3-study -> mdsd3-render -> mdsd3-model -> mdsd3-weather -> mdsd3-words; \
the studio takes what it needs of those below through mdsd3-engine, and nothing above the model can name a tensor"

imports_run_one_way() {
  imports mdsd3-words && imports mdsd3-weather mdsd3-words && imports mdsd3-model mdsd3-words mdsd3-weather candle-core candle-nn gemm &&
    imports mdsd3-render mdsd3-words mdsd3-weather mdsd3-model &&
    imports mdsd3-dataset mdsd3-words mdsd3-weather mdsd3-model mdsd3-render &&
    imports mdsd3-study mdsd3-words mdsd3-model mdsd3-render &&
    imports mdsd3-engine mdsd3-words mdsd3-model mdsd3-render mdsd3-dataset mdsd3-study &&
    imports mdsd3-gui mdsd3-words mdsd3-engine &&
    imports mdsd3 mdsd3-words mdsd3-render mdsd3-dataset mdsd3-study mdsd3-engine mdsd3-gui
}

# A public function of the model that takes or gives tensors says of which shapes.
tensors_have_shapes() {
  local places
  places=$(find model/src -name '*.rs' | sort | xargs awk '
    FNR == 1 { doc = ""; signature = ""; tests = 0 }
    /^mod tests {/ { tests = 1 }
    tests { next }
    signature == "" && /^ *\/\/\// { doc = doc $0; next }
    signature == "" && /^ *#\[/ { next }
    signature == "" && /^ *pub (const |unsafe )*fn / { signature = " "; line = FNR }
    signature == "" { doc = ""; next }
    {
      signature = signature $0
      if ($0 !~ /[{;]$/) next
      gsub(/(HashMap|BTreeMap)<String, Tensor>|\(&str, Tensor\)/, "", signature)
      if (signature ~ /[^A-Za-z]Tensor[^A-Za-z]/ && doc !~ /# Shapes/) print FILENAME ":" line
      doc = ""; signature = ""
    }')
  [ -z "$places" ] || { printf 'no "# Shapes" in the documentation of\n%s\n' "$places"; return 1; }
}

is_git_checkout() {
  git -c safe.directory="$PWD" rev-parse --git-dir >/dev/null 2>&1 || { echo "not a git checkout: nothing to look at"; return 1; }
}

# Paths of one person's machine in a committed file work nowhere else.
no_machine_paths() {
  is_git_checkout || return 0
  ! git -c safe.directory="$PWD" grep -nIE '(^|[^A-Za-z0-9_./:-])/(work|root|tmp|home|Users)/[A-Za-z0-9_.$-]'
}

# Files that documents link to, and paths of ours that they name; NAME in a path stands for any.
documents_name_what_exists() {
  local file name missing=0
  is_git_checkout || return 0
  while IFS=: read -r file name; do
    [ -e "$(dirname "$file")/$name" ] || { echo "$file links to $name, which isn't there"; missing=1; }
  done < <(git -c safe.directory="$PWD" grep -oE '\]\([^)#: ]+[)#]' -- '*.md' | sed -E 's/\]\(//; s/[)#]$//')
  while IFS=: read -r file name; do
    [[ "$name" = *NAME* ]] || [ -e "$name" ] || { echo "$file names $name, which isn't there"; missing=1; }
  done < <(git -c safe.directory="$PWD" grep -oE '`(app|assets|docs|fuzz|model|shaders|tests)/[A-Za-z0-9_./-]+`' -- '*.md' | tr -d '`')
  return "$missing"
}

run_tests() {
  MDSD3_SKIPPED_TESTS="$scratch/skipped.txt" cargo test --release --workspace --no-fail-fast 2>&1 |
    tee "$scratch/tests.log" && touch "$scratch/tests.passed"
}

# sum_of passed|failed: over every suite's result line.
sum_of() {
  awk -v word="$1;" '/^test result:/ { for (i = 2; i <= NF; i++) if ($i == word) sum += $(i - 1) } END { print sum + 0 }' \
    "$scratch/tests.log"
}

# Waits up to 30 s for a command to succeed.
wait_for() {
  local try
  for ((try = 0; try < 60; try++)); do
    "$@" && return 0
    sleep 0.5
  done
  return 1
}

# The program as a user starts it, on a virtual screen, with an empty home so that no saved layout decides.
studio_opens_a_window() {
  local screen studio verdict=1
  [ -x "$target_dir/release/mdsd3" ] || { echo "$target_dir/release/mdsd3 was not built"; return 1; }
  Xvfb -displayfd 3 -screen 0 1440x900x24 -nolisten tcp 3>"$scratch/display" >/dev/null 2>&1 &
  screen=$!
  if wait_for test -s "$scratch/display"; then
    env -u WAYLAND_DISPLAY -u XDG_DATA_HOME -u XDG_CONFIG_HOME DISPLAY=":$(cat "$scratch/display")" HOME="$scratch" \
      "$target_dir/release/mdsd3" >"$scratch/studio.log" 2>&1 &
    studio=$!
    DISPLAY=":$(cat "$scratch/display")" wait_for visible_window_of "$studio" && sleep 3 && kill -0 "$studio" 2>/dev/null && verdict=0
    kill "$studio" 2>/dev/null
    wait "$studio" 2>/dev/null
    [ "$verdict" -eq 0 ] && echo "a window opened and stayed" || cat "$scratch/studio.log"
  fi
  kill "$screen" 2>/dev/null
  wait "$screen" 2>/dev/null
  return "$verdict"
}

# visible_window_of PID: whether its window is on the screen; gives up at once when the program has ended.
visible_window_of() {
  kill -0 "$1" 2>/dev/null || return 0
  xdotool search --onlyvisible --name 'MDSD3' >/dev/null 2>&1
}

# Tests that couldn't run here; libtest takes them for passed.
skipped_tests() {
  [ ! -e "$scratch/skipped.txt" ] || sort -u "$scratch/skipped.txt"
}

fast=no
case "${1:-}" in
  '') ;;
  --fast) fast=yes ;;
  *) echo "check.sh: unknown argument $1; usage: ./check.sh [--fast]" >&2; exit 2 ;;
esac

if [ "$fast" = no ]; then
  step "Debian packages" install_packages
  [ "$failed_steps" -eq 0 ] || exit 1
  step "Tools for spelling and licences" install_tools
fi
step "Cargo.lock is up to date" lock_is_current
step "Format" cargo fmt --all --check -- --color never
step "Imports run one way" imports_run_one_way
step "Tensors have shapes" tensors_have_shapes
step "No machine paths" no_machine_paths
step "Documents name what exists" documents_name_what_exists
step "Spelling" with_tool typos
# Advisories are looked up before a release: their database is on the network.
step "Licences, bans and sources" with_tool cargo-deny --locked check bans licenses sources
step "Menu entry" menu_entry_is_valid
step "Lints" cargo clippy --release --workspace --all-targets -- -D warnings
if [ "$fast" = no ]; then
  step "Tests and doc tests" run_tests
  step "Studio opens a window" studio_opens_a_window
  step "SLURM array" bash tests/slurm/run.sh "$target_dir/release/mdsd3"
  step "Readers of datasets" bash tests/readers/run.sh "$target_dir/release/mdsd3"
  RUSTDOCFLAGS="-D warnings" step "Documentation" cargo doc --release --workspace --no-deps
fi

printf '\n== Summary\n'
printf '%s\n' "${summary[@]}"
[ "$failed_steps" -eq 0 ] || echo "$failed_steps of the steps above failed"
if [ "$fast" = no ]; then
  # A suite that doesn't compile or is killed prints no result, so the numbers alone could look clean.
  [ -e "$scratch/tests.passed" ] || echo "not every test suite ran to its end with success; of those that did:"
  skipped_tests | sed 's/^/skipped: /'
  skipped=$(skipped_tests | wc -l)
  printf '%d passed, %d failed, %d skipped' $(($(sum_of passed) - skipped)) "$(sum_of failed)" "$skipped"
  [ -e "$scratch/tests.passed" ] && echo || echo ' (incomplete)'
fi
[ "$failed_steps" -eq 0 ]

#!/bin/bash
# Datasets, tables and logs are read by the programs that people read them with.
#   bash tests/readers/run.sh [PROGRAM]     default: target/release/mdsd3; about two minutes, half a gigabyte of packages
# The readers go into a virtual environment in the build folder. Where they can't be installed the test is skipped with the
# reason and exit 77, which check.sh takes for a failure under CI=true.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$(realpath "${1:-target/release/mdsd3}")
environment=${CARGO_TARGET_DIR:-target}/readers

missing() {
  echo "skipped: $1"
  exit 77
}

[ -x "$program" ] || missing "$program is not built; run cargo build --release first"
command -v python3 >/dev/null || missing "python3 is not installed"

install_readers() {
  python3 -m venv "$environment" &&
    "$environment/bin/pip" install --quiet --disable-pip-version-check -r tests/readers/requirements.txt &&
    # BasicSR alone: what it depends on is torch, which pairing files doesn't need.
    "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: basicsr==1.3.3.3 &&
    cp tests/readers/requirements.txt "$environment/installed"
}

if ! cmp -s tests/readers/requirements.txt "$environment/installed"; then
  echo "installing the readers into $environment"
  rm -rf "$environment"
  install_readers >"$environment.log" 2>&1 || { tail -n 5 "$environment.log"; missing "pip can't install the readers"; }
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
HF_HOME=$scratch/cache HF_DATASETS_OFFLINE=1 HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1 TF_CPP_MIN_LOG_LEVEL=3 \
  "$environment/bin/python" tests/readers/readers.py "$program" "$scratch"

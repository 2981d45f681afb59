#!/bin/sh
# Fetches the freely licensed photos that the bundled model is trained and judged on: ./get_photos.sh OUTDIR
#
# They come out of five packages of Debian 12, so the set is the same for everybody and every photo has a recorded
# licence. Needs apt-get with Debian 12 (bookworm) sources, dpkg and python3; root is not needed.
# manifest.tsv gives each photo's split, path below OUTDIR, size in pixels, licence, author and source:
#   train     clean photos to train on
#   heldout   for evaluation; never trained on
#   demo      the eight that assets/photos ships; never trained on
#   realhaze  real fog: of no use as a clean scene
#   drop      not usable as clean photos
# photos.sha256 is checked at the end: another release of a package may carry other photos.
set -eu

out=${1:?usage: get_photos.sh OUTDIR}
here=$(cd "$(dirname "$0")" && pwd)
packages='gcompris-qt-data lomiri-wallpapers-16.04 plasma-workspace-wallpapers tuxpaint-data sddm-theme-maldives'

for tool in apt-get dpkg python3 sha256sum; do
  command -v "$tool" >/dev/null || { echo "get_photos.sh: $tool is missing; run this on Debian 12" >&2; exit 2; }
done

mkdir -p "$out/deb" "$out/root"
cd "$out/deb"
[ "$(id -u)" -ne 0 ] || apt-get -qq update
# shellcheck disable=SC2086 # a list of package names
apt-get -qq download $packages
for package in *.deb; do dpkg -x "$package" ../root; done

cd ..
bundles=root/usr/share/gcompris-qt/rcc
python3 "$here/unrcc.py" gcompris "$bundles/explore_monuments.rcc" "$bundles/erase.rcc" \
  "$bundles/explore_world_animals.rcc" "$bundles/explore_farm_animals.rcc"

if ! sha256sum --check --quiet "$here/photos.sha256"; then
  echo "get_photos.sh: the photos in $out are not the ones of photos.sha256; use the packages of Debian 12" >&2
  exit 1
fi
echo "$(wc -l < "$here/photos.sha256") photos are in $out"

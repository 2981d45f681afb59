"""Writes the attribution table of the training photos: python3 list_photos.py > TRAINING_PHOTOS.md

Reads manifest.tsv beside this file, so the table can't drift from what the recipe trains on.
"""

import csv
import os
import sys

LICENCES = {
    "CC-BY-2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "GPL-2+": "https://www.gnu.org/licenses/old-licenses/gpl-2.0.html",
}

# The folder a photo lies in tells its package; the manifest's source is relative to that package.
PACKAGES = [
    ("gcompris/", "gcompris-qt-data"),
    ("root/usr/share/backgrounds/", "lomiri-wallpapers-16.04"),
    ("root/usr/share/wallpapers/", "plasma-workspace-wallpapers"),
    ("root/usr/share/tuxpaint/", "tuxpaint-data"),
    ("root/usr/share/sddm/", "sddm-theme-maldives"),
]

HEADER = """# Training photos

Generated from `manifest.tsv` by `list_photos.py`; edit those, not this file.

The bundled model's weights were fitted to the photos below and to no others. The photos themselves are not in this
repository: `get_photos.sh` fetches them from the Debian 12 packages named in the table. They were cropped, resized and
degraded (rain, haze, noise, snow) in memory while training. A source without a link is a file of that package's
source; "README" stands for the README beside the photos in GCompris' source.

| Photo | Package | Author | Licence | Source |
|---|---|---|---|---|
"""


def package_of(path):
    return next(package for prefix, package in PACKAGES if path.startswith(prefix))


def short_name(path):
    """A name that is unique in the set: wallpapers are all called by their size, so the theme's name stands in."""
    parts = path.split("/")
    if "wallpapers" in parts:
        return parts[parts.index("wallpapers") + 1]
    return "/".join(parts[-2:]) if path.startswith("gcompris/") else parts[-1]


def row(photo):
    licence, source = photo["licence"], photo["source"]
    licence = f"[{licence}]({LICENCES[licence]})" if licence in LICENCES else licence
    source = f"[Wikimedia Commons]({source})" if source.startswith("https:") else source.removeprefix("upstream ")
    return f"| {short_name(photo['path'])} | {package_of(photo['path'])} | {photo['author']} | {licence} | {source} |"


def main():
    manifest = os.path.join(os.path.dirname(os.path.abspath(__file__)), "manifest.tsv")
    with open(manifest, encoding="utf-8", newline="") as file:
        photos = [photo for photo in csv.DictReader(file, delimiter="\t") if photo["split"] == "train"]
    sys.stdout.write(HEADER + "".join(row(photo) + "\n" for photo in photos))
    sys.stdout.write(f"\n{len(photos)} photos.\n")


if __name__ == "__main__":
    main()

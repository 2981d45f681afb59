"""Unpacks the JPEG and WebP photos of Qt resource bundles: python3 unrcc.py OUT_DIR BUNDLE.rcc ...

The format is that of Qt's `rcc --binary`: a header `qres` with a version and the offsets of a node tree, of the
payload and of the names; all integers are big-endian. Needs nothing beyond Python's standard library.
"""

import os
import struct
import sys
import zlib

COMPRESSED, DIRECTORY, ZSTD = 1, 2, 4
HEADER = struct.Struct(">4s4I")  # magic, version, offsets of tree, payload and names


class Bundle:
    """One resource bundle, held in memory."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        magic, version, self.tree, self.payload, self.names = HEADER.unpack_from(self.data)
        if magic != b"qres":
            raise ValueError(f"{path} is no Qt resource bundle; give .rcc files made by rcc --binary")
        self.node_size = 22 if version >= 2 else 14  # version 2 added a modification time to every node

    def name_at(self, offset):
        (length,) = struct.unpack_from(">H", self.data, self.names + offset)
        start = self.names + offset + 6  # length (2 bytes) and hash (4 bytes) come first
        return self.data[start : start + 2 * length].decode("utf-16-be")

    def blob_at(self, offset, flags):
        (size,) = struct.unpack_from(">I", self.data, self.payload + offset)
        start = self.payload + offset + 4
        blob = self.data[start : start + size]
        return zlib.decompress(blob[4:]) if flags & COMPRESSED else blob  # 4 bytes: the size when unpacked

    def files(self, index=0, parent=""):
        """Yields (path, bytes) of every file below a node; Zstandard-packed ones hold no photos and are skipped."""
        node = self.tree + self.node_size * index
        name_offset, flags = struct.unpack_from(">IH", self.data, node)
        path = f"{parent}/{self.name_at(name_offset)}" if index else parent
        if flags & DIRECTORY:
            count, first = struct.unpack_from(">II", self.data, node + 6)
            for child in range(first, first + count):
                yield from self.files(child, path)
        elif not flags & ZSTD:
            (offset,) = struct.unpack_from(">I", self.data, node + 10)  # after country and language, 2 bytes each
            yield path, self.blob_at(offset, flags)


def is_photo(blob):
    return blob[:3] == b"\xff\xd8\xff" or blob[:4] == b"RIFF"


def main(out_dir, bundle_paths):
    for bundle_path in bundle_paths:
        for path, blob in Bundle(bundle_path).files():
            if ".." in path.split("/") or not is_photo(blob):
                continue
            target = out_dir + path
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(blob)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: unrcc.py OUT_DIR BUNDLE.rcc ...")
    main(sys.argv[1], sys.argv[2:])

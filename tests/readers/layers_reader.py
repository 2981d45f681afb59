"""Puts a degraded image together from its layers, by what layers.json says and nothing else.

    python tests/readers/layers_reader.py FOLDER [IMAGE]

prints the largest difference from IMAGE (8 or 16 bits per channel) in 255ths, and exits with 1 when it is 1 or more beside
the rounding of IMAGE itself. Without IMAGE it writes FOLDER/together.png.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np


def read(folder: Path, term: dict) -> np.ndarray:
    """A term's values in its unit: height x width x (1 or 3), red first; a colour is one pixel."""
    if "value" in term:
        return np.array(term["value"], np.float32).reshape(1, 1, 3)
    path = folder / term["file"]
    if path.suffix == ".npy":
        stored = np.load(path)
    else:
        stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert stored.dtype == np.uint16, f"{path}: {stored.dtype}"
        if stored.ndim == 3:
            stored = stored[..., ::-1]
    values = stored.astype(np.float32) * np.float32(term["scale"])
    return values if values.ndim == 3 else values[..., None]


def to_linear(v: np.ndarray) -> np.ndarray:
    v, sign = np.abs(v), np.sign(v)
    return sign * np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def to_srgb(v: np.ndarray) -> np.ndarray:
    v, sign = np.abs(v), np.sign(v)
    return sign * np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)


def convolve(v: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    # filter2D correlates, so the kernel is turned round.
    turned = np.ascontiguousarray(kernel[::-1, ::-1, 0])
    return cv2.filter2D(np.ascontiguousarray(v), -1, turned, borderType=cv2.BORDER_REPLICATE)


OPERATIONS = {
    "veil": lambda v, transmission, airlight: v * transmission + airlight * (1 - transmission),
    "cover": lambda v, opacity, colour: v * (1 - opacity) + colour * opacity,
    "shine": lambda v, opacity, colour, amount: v * (1 - opacity) + colour * amount,
    "light": lambda v, opacity, light: v * (1 - opacity) + light,
    "gain": lambda v, gain: v * gain,
    "add": lambda v, residual: v + residual,
    "convolve": convolve,
    "replace": lambda v, image: image,
}


def put_together(folder: Path) -> np.ndarray:
    description = json.loads((folder / "layers.json").read_text())
    assert (description["format"], description["version"]) == ("mdsd3-layers", 1), description["format"]
    v, space = read(folder, description["clean"]), "srgb"
    for step in description["steps"]:
        if step["space"] != space:
            space = step["space"]
            v = to_linear(v) if space == "linear" else to_srgb(v)
        terms = {name: read(folder, term) for name, term in step["terms"].items()}
        after = OPERATIONS[step["operation"]](v, **terms)
        region = read(folder, step["region"]) if "region" in step else 1
        v = v + (after - v) * region
    return np.clip(v if space == "srgb" else to_srgb(v), 0, 1)


def main() -> int:
    folder = Path(sys.argv[1])
    together = put_together(folder)
    if len(sys.argv) < 3:
        stored = np.round(65535 * together).astype(np.uint16)
        cv2.imwrite(str(folder / "together.png"), stored[..., ::-1])
        return 0
    image = cv2.imread(sys.argv[2], cv2.IMREAD_UNCHANGED)[..., 2::-1]
    full = np.iinfo(image.dtype).max
    largest = 255 * np.abs(together - image / full).max()
    rounding = 127.5 / full
    print(f"{folder}: largest difference {largest:.3f}/255, of which rounding {rounding:.3f}")
    return int(largest - rounding >= 1)


if __name__ == "__main__":
    sys.exit(main())

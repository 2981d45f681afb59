"""Loads every pair of two folders by BasicSR's own PairedImageDataset and prints their paths as JSON.

    python basicsr_reader.py GT LQ [META_INFO]

Without torch: the reader only wraps arrays in tensors, so a stand-in does.
"""

import importlib
import importlib.machinery
import json
import sys
import types
from unittest import mock

import numpy as np


class Tensor(np.ndarray):
    """What img2tensor asks of a tensor."""

    def float(self):
        return self.astype(np.float32)


def stand_ins():
    torch = mock.MagicMock()
    torch.from_numpy = lambda array: np.ascontiguousarray(array).view(Tensor)
    torch.utils.data.Dataset = object
    parts = ["nn", "nn.functional", "utils", "utils.data", "distributed", "multiprocessing"]
    sys.modules["torch"] = torch
    for part in parts:
        found = torch
        for name in part.split("."):
            found = getattr(found, name)
        sys.modules[f"torch.{part}"] = found
    for name in ("torchvision", "torchvision.utils", "torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules[name] = mock.MagicMock()


def package(name):
    """BasicSR's packages import every model; here only their folders are known."""
    spec = importlib.machinery.PathFinder.find_spec(name.split(".")[-1], package.paths.get(name.rpartition(".")[0]))
    module = types.ModuleType(name)
    module.__path__ = list(spec.submodule_search_locations)
    package.paths[name] = module.__path__
    sys.modules[name] = module


package.paths = {"": None}
stand_ins()
package("basicsr")
package("basicsr.data")
PairedImageDataset = importlib.import_module("basicsr.data.paired_image_dataset").PairedImageDataset


def pairs(gt, lq, meta_info=None):
    """Loads every pair; their paths."""
    options = {
        "dataroot_gt": str(gt),
        "dataroot_lq": str(lq),
        "meta_info_file": meta_info and str(meta_info),
        "io_backend": {"type": "disk"},
        "phase": "val",
        "scale": 1,
    }
    found = []
    dataset = PairedImageDataset(options)
    for index in range(len(dataset)):
        pair = dataset[index]
        assert pair["gt"].shape == pair["lq"].shape and pair["gt"].shape[0] == 3, pair["lq_path"]
        assert not np.array_equal(pair["gt"], pair["lq"]), pair["lq_path"]
        found.append((pair["gt_path"], pair["lq_path"]))
    return found


print(json.dumps(pairs(*sys.argv[1:])))

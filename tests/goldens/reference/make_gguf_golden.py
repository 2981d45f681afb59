"""One GGUF file with a tensor of every type that is read, and what gguf-py says that they hold.

Types that gguf-py can't quantise to (Q2_K to Q6_K) are filled with random bytes, their scales with small numbers. Needs gguf, numpy,
torch, safetensors. Run from this folder; writes ../gguf_tiny.
"""

from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

OUT = Path(__file__).resolve().parent.parent / "gguf_tiny"
T = gguf.GGMLQuantizationType
RNG = np.random.default_rng(23)
# Bytes of a block of 256 numbers, and where half-precision scales are in it.
K_SCALES = {T.Q2_K: (80, 82), T.Q3_K: (108,), T.Q4_K: (0, 2), T.Q5_K: (0, 2), T.Q6_K: (208,)}


def blocks_of(kind, rows, cols):
    size = gguf.GGML_QUANT_SIZES[kind][1]
    data = RNG.integers(0, 256, (rows * cols // 256, size), dtype=np.uint8)
    for place in K_SCALES[kind]:
        data[:, place : place + 2] = RNG.normal(size=(len(data), 1)).astype(np.float16).view(np.uint8)
    return data.reshape(rows, -1)


OUT.mkdir(exist_ok=True)
writer = gguf.GGUFWriter(OUT / "blocks.gguf", "sd3")
expected = {}
for kind in (T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, *K_SCALES):
    name = f"{kind.name}.weight"
    if kind in K_SCALES:
        data = blocks_of(kind, 6, 256)
    else:
        data = gguf.quants.quantize(RNG.normal(size=(6, 64)).astype(np.float32), kind)
    writer.add_tensor(name, data, raw_dtype=kind)
    expected[name] = torch.from_numpy(gguf.quants.dequantize(data, kind).astype(np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
save_file(expected, OUT / "expected.safetensors")

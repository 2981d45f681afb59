"""Depth Anything V2 on random weights, in both layouts: python make_depth_golden.py

Weights and disparity are transformers' (`DepthAnythingForDepthEstimation`); `original.safetensors` holds the same weights as the
original repository's module names them, which has to accept them all and to agree. That repository
(github.com/DepthAnything/Depth-Anything-V2) is found through PYTHONPATH. Needs torch, torchvision, opencv-python, transformers,
safetensors, pillow. Run from this folder; writes ../depth_anything_tiny. Its weights are rounded to half precision, in which they
are stored.
"""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import torch
from depth_anything_v2.dinov2 import DinoVisionTransformer
from depth_anything_v2.dinov2_layers import MemEffAttention
from depth_anything_v2.dinov2_layers import NestedTensorBlock as Block
from depth_anything_v2.dpt import DPTHead
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

OUT = Path(__file__).resolve().parent.parent / "depth_anything_tiny"
WIDTH, LAYERS, HEADS, SIDE, NECK, FUSION, HEAD = 6, 4, 2, 42, [2, 2, 4, 4], 4, 32


def randomised(model):
    """Weights under which every part of the network shows in its output, the final ReLU included."""
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            inputs = tensor[0].numel() if tensor.dim() > 1 else 1
            if "norm" in name and "weight" in name or "lambda" in name:
                tensor.normal_(1.0, 0.2)
            elif tensor.dim() == 1 or "embeddings" in name and "projection" not in name:
                tensor.normal_(0.0, 0.3)
            else:
                tensor.normal_(0.0, 1.2 * inputs**-0.5)
            tensor.copy_(tensor.half().float())
    return model.eval()


def original_name(name):
    """transformers' name to the original repository's; queries, keys and values are joined by the caller."""
    for pattern, to in [
        (r"backbone\.embeddings\.(cls_token|mask_token)", r"pretrained.\1"),
        (r"backbone\.embeddings\.position_embeddings", "pretrained.pos_embed"),
        (r"backbone\.embeddings\.patch_embeddings\.projection", "pretrained.patch_embed.proj"),
        (r"backbone\.layernorm", "pretrained.norm"),
        (r"backbone\.encoder\.layer", "pretrained.blocks"),
        (r"attention\.output\.dense", "attn.proj"),
        (r"layer_scale(\d)\.lambda1", r"ls\1.gamma"),
        (r"neck\.reassemble_stage\.layers\.(\d)\.projection", r"depth_head.projects.\1"),
        (r"neck\.reassemble_stage\.layers\.(\d)\.resize", r"depth_head.resize_layers.\1"),
        (r"neck\.convs\.(\d)", lambda m: f"depth_head.scratch.layer{int(m[1]) + 1}_rn"),
        (r"neck\.fusion_stage\.layers\.(\d)", lambda m: f"depth_head.scratch.refinenet{4 - int(m[1])}"),
        (r"residual_layer(\d)\.convolution", r"resConfUnit\1.conv"),
        (r"(refinenet\d)\.projection", r"\1.out_conv"),
        (r"head\.conv1\.", "depth_head.scratch.output_conv1."),
        (r"head\.conv2\.", "depth_head.scratch.output_conv2.0."),
        (r"head\.conv3\.", "depth_head.scratch.output_conv2.2."),
    ]:
        name = re.sub(f"^{pattern}" if pattern.startswith("head") else pattern, to, name)
    return name


def original_weights(weights):
    found = {}
    for name, tensor in weights.items():
        if match := re.match(r"(.*)\.attention\.attention\.query\.(.*)", name):
            parts = [weights[name.replace("query", part)] for part in ("query", "key", "value")]
            found[original_name(f"{match[1]}.attn.qkv.{match[2]}")] = torch.cat(parts)
        elif ".attention.attention." not in name:
            found[original_name(name)] = tensor
    return found


class Original(torch.nn.Module):
    """The repository's DepthAnythingV2 in a size of ours: its constructor knows those that were published."""

    def __init__(self, encoder, head, taps):
        super().__init__()
        self.pretrained, self.depth_head, self.taps = encoder, head, taps

    def forward(self, x):
        features = self.pretrained.get_intermediate_layers(x, self.taps, return_class_token=True)
        return torch.relu(self.depth_head(features, x.shape[-2] // 14, x.shape[-1] // 14)).squeeze(1)


def scene():
    """60 x 44 px: smooth colours, a bright block with sharp edges, a little texture."""
    y, x = np.mgrid[0:44, 0:60].astype(np.float64)
    image = np.stack([128 + 100 * np.sin(x / 9), 60 + 3 * y, 200 - 2 * x + 20 * np.cos(x * y / 40)], -1)
    image[12:30, 20:35] = [250, 240, 30]
    return np.clip(image, 0, 255).round().astype(np.uint8)


torch.manual_seed(21)
OUT.mkdir(exist_ok=True)
encoder = Dinov2Config(
    hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, image_size=SIDE, patch_size=14,
    out_indices=[1, 2, 3, 4], reshape_hidden_states=False,
)
config = DepthAnythingConfig(
    backbone_config=encoder, reassemble_hidden_size=WIDTH, neck_hidden_sizes=NECK, fusion_hidden_size=FUSION,
    head_hidden_size=HEAD,
)
model = randomised(DepthAnythingForDepthEstimation(config))
image = scene()
process = DPTImageProcessor(
    size={"height": SIDE, "width": SIDE}, keep_aspect_ratio=True, ensure_multiple_of=14, resample=3,
    image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225],
)
processed = process(Image.fromarray(image), return_tensors="pt").pixel_values
pixels = processed.half().float()
with torch.no_grad():
    # About an eighth of the values is below zero before the last ReLU.
    last = model.head.conv3
    last.bias.zero_()
    head = model.head.activation2
    model.head.activation2 = torch.nn.Identity()
    last.bias.copy_(-model(pixels).predicted_depth.quantile(0.125).half().float())
    model.head.activation2 = head
    disparity = model(pixels).predicted_depth

model.half().save_pretrained(OUT)
weights = load_file(OUT / "model.safetensors")
(OUT / "model.safetensors").rename(OUT / "weights.safetensors")

original = Original(
    DinoVisionTransformer(
        img_size=SIDE, patch_size=14, embed_dim=WIDTH, depth=LAYERS, num_heads=HEADS, init_values=1.0, block_chunks=0,
        block_fn=partial(Block, attn_class=MemEffAttention), interpolate_offset=0.0,
    ),
    DPTHead(WIDTH, FUSION, out_channels=NECK),
    [0, 1, 2, 3],
)
original.load_state_dict({name: tensor.float() for name, tensor in original_weights(weights).items()}, strict=True)
with torch.no_grad():
    other = original.eval()(pixels)
print("disparity", disparity.shape, disparity.min().item(), disparity.max().item(), "zero", (disparity == 0).float().mean().item())
print("the original repository differs by", (disparity - other).abs().max().item())
assert (disparity - other).abs().max() < 1e-4
original.pretrained.interpolate_offset = 0.1
with torch.no_grad():
    print("and as it is published, positions offset by 0.1, by", (disparity - original(pixels)).abs().max().item())
save_file({name: tensor.half() for name, tensor in original.state_dict().items()}, OUT / "original.safetensors")
save_file({"pixels": pixels[0].half(), "disparity": disparity[0].contiguous()}, OUT / "case.safetensors")
Image.fromarray(image).save(OUT / "image.png")
keep = json.loads((OUT / "config.json").read_text())
(OUT / "config.json").write_text(json.dumps(keep, indent=1, sort_keys=True) + "\n")

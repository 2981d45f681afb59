"""Neighbour projections on top of the MDSD3 reference, and the golden `mdsd3_neighbours_tiny`: python mdsd3_neighbours.py OUT_DIR

A 3x3 convolution over the grid of tokens (zeros around it) adds to each token, beside its own projection,
pos_embed, pos_embed_clean   that of the nine patches around and under it (channel, row, column inside a patch), before positions;
block 1 and up               that of the nine tokens' plain LayerNorm, before anything else in the block;
proj_out                     that of the nine tokens as proj_out sees them.
Weights are stored as [outputs, 9 * inputs]: row, column, input. Needs what make_goldens.py needs.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mdsd3_reference import MDSD3Transformer


class Neighbours(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(outputs, 9 * inputs)), nn.Parameter(torch.zeros(outputs))

    def forward(self, tokens, rows):
        grid = tokens.transpose(1, 2).unflatten(2, (rows, -1))
        weight = self.weight.unflatten(1, (3, 3, -1)).permute(0, 3, 1, 2)
        return F.conv2d(grid, weight, self.bias, padding=1).flatten(2).transpose(1, 2)


class NeighbourTransformer(MDSD3Transformer):
    """Call add_clean_path first, then add_neighbours."""

    def add_neighbours(self):
        c, dim = self.config, self.inner_dim
        values = c.patch_size**2 * c.in_channels
        for embed in (self.pos_embed, self.pos_embed_clean):
            embed.neighbours = Neighbours(values, dim)
            embed.register_forward_hook(self.add_patches)
        for block in self.transformer_blocks[1:]:
            block.neighbours = Neighbours(dim, dim)
        self.proj_out.neighbours = Neighbours(dim, c.patch_size**2 * self.out_channels)
        self.proj_out.register_forward_hook(lambda layer, inputs, out: out + layer.neighbours(inputs[0], self.rows))
        return self

    def add_patches(self, embed, inputs, tokens):
        p = self.config.patch_size
        self.rows = inputs[0].shape[-2] // p
        patches = F.unfold(inputs[0], p, stride=p).transpose(1, 2)
        return tokens + embed.neighbours(patches, self.rows)

    def before_block(self, block, x):
        if not hasattr(block, "neighbours"):
            return x
        return x + block.neighbours(F.layer_norm(x, (x.shape[-1],), eps=1e-6), self.rows)


if __name__ == "__main__":
    # make_goldens.py writes all its goldens when imported; this one goes beside them, from a seed of its own.
    import json, pathlib, sys
    from safetensors.torch import save_file
    from mdsd3_reference import head_mask

    torch.manual_seed(3)
    classes, heads, head_dim, height, width = ["rain", "haze", "noise"], 6, 8, 12, 20
    config = dict(sample_size=16, patch_size=2, in_channels=16, out_channels=16, num_layers=3, num_attention_heads=heads,
                  attention_head_dim=head_dim, joint_attention_dim=32, caption_projection_dim=heads * head_dim,
                  pooled_projection_dim=24, pos_embed_max_size=24)
    model = NeighbourTransformer(**config).eval().add_clean_path().add_neighbours()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0 if parameter.dim() > 1 or "bias" in name else 1, 0.05)
        x = dict(hidden_states=torch.randn(2, 16, height, width), encoder_hidden_states=torch.randn(2, 7, 32),
                 pooled_projections=torch.randn(2, 24), timestep=torch.tensor([812.5, 37.0]))
        mask = torch.stack([head_mask({"rain": 1.0, "haze": 0.35}, classes, heads), head_mask({"haze": 1.0, "noise": 1.6}, classes, heads)])
        clean = torch.randn(2, 16, height, width)
        ones = torch.ones_like(mask)
        case = dict(x, clean_hidden_states=clean, mask=mask, out_plain=model(**x, mask=ones), out_masked=model(**x, mask=mask),
                    out_full=model(**x, mask=mask, clean_hidden_states=clean),
                    out_zero_mask=model(**x, mask=torch.zeros_like(mask), clean_hidden_states=clean))
        for i, (q, k, v) in enumerate(model.clean_projections(clean)):
            case.update({f"clean_q_{i}": q, f"clean_k_{i}": k, f"clean_v_{i}": v})
    out = pathlib.Path(sys.argv[1]) / "mdsd3_neighbours_tiny"
    out.mkdir(parents=True, exist_ok=True)
    config = dict(config, classes=classes, neighbours=True, _class_name="SD3Transformer2DModel")
    (out / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True))
    save_file({k: v.detach().clone().contiguous() for k, v in model.state_dict().items()}, out / "weights.safetensors")
    save_file({k: v.detach().clone().contiguous() for k, v in case.items()}, out / "case.safetensors")

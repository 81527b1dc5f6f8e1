"""Writes layers.safetensors: what transformers and U-shaped networks are made of, with gradients, `python layers.py`.

Operands come from formula.py; a case's loss is the sum of `y dy`. Everything is computed in float64 and stored as f32, images channels-last.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

import formula
import store

HERE = Path(__file__).resolve().parent
ACTIVATIONS = {
    "erf": torch.erf,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
}
ATTENTION = [
    {"name": "self", "images": 2, "queries": 7, "keys": 7, "heads": 3, "d": 5, "mask": []},
    {"name": "one", "images": 1, "queries": 1, "keys": 3, "heads": 1, "d": 1, "mask": []},
    {"name": "padded", "images": 2, "queries": 5, "keys": 9, "heads": 2, "d": 8, "mask": [2, 1, 9]},
    {"name": "causal", "images": 2, "queries": 6, "keys": 6, "heads": 1, "d": 4, "mask": [6, 6]},
    {"name": "full", "images": 2, "queries": 3, "keys": 4, "heads": 2, "d": 3, "mask": [2, 3, 4]},
    {"name": "blocks", "images": 1, "queries": 70, "keys": 131, "heads": 2, "d": 33, "mask": []},
    {"name": "wide", "images": 2, "queries": 3, "keys": 4, "heads": 2, "d": 260, "mask": [2, 1, 4]},
]
TRANSPOSED = [
    {"name": "stride", "x": [2, 4, 5, 3], "out": 6, "kernel": [3, 3], "stride": [2, 2], "padding": [1, 1],
     "output_padding": [1, 1], "dilation": [1, 1], "groups": 1},
    {"name": "groups", "x": [1, 4, 3, 4], "out": 6, "kernel": [2, 3], "stride": [2, 1], "padding": [0, 1],
     "output_padding": [0, 0], "dilation": [1, 2], "groups": 2},
    {"name": "depthwise", "x": [1, 4, 4, 3], "out": 4, "kernel": [4, 4], "stride": [2, 2], "padding": [1, 1],
     "output_padding": [0, 0], "dilation": [1, 1], "groups": 4},
]


def double(name, shape, scale=1.0):
    return torch.from_numpy(formula.signed(name, shape, scale)).double().requires_grad_()


def gradients(name, y, operands):
    """y and the gradients of sum(y dy)."""
    dy = double(f"{name}.dy", list(y.shape)).detach()
    found = torch.autograd.grad((y * dy).sum(), list(operands.values()))
    return {f"{name}.y": y, **{f"{name}.d{key}": value for key, value in zip(operands, found)}}


def attention(case):
    name = f"attention.{case['name']}"
    shape = lambda rows: [case["images"], rows, case["heads"], case["d"]]
    q = double(f"{name}.q", shape(case["queries"]), 2.0)
    k, v = (double(f"{name}.{key}", shape(case["keys"]), 2.0) for key in "kv")
    out, mask = {}, None
    if case["mask"]:
        # Some pairs are forbidden, but no query is left without a key.
        bias = formula.signed(f"{name}.mask", case["mask"], 1.0)
        forbidden = formula.unit(f"{name}.forbidden", case["mask"]) < 0.3
        if case["name"] == "causal":
            forbidden = np.triu(np.ones(case["mask"], bool), 1)
        mask = np.where(forbidden, np.float32(-1e30), bias)
        out[f"{name}.mask"] = mask
        mask = torch.from_numpy(mask).double()
        mask = mask if mask.dim() == 2 else mask[:, None]
    heads = lambda x: x.transpose(1, 2)
    y = F.scaled_dot_product_attention(heads(q), heads(k), heads(v), mask, scale=1 / math.sqrt(case["d"]))
    return {**out, **gradients(name, heads(y), {"q": q, "k": k, "v": v})}


def transposed(case):
    """x [n, channels, height, width] and w [in, out / groups, height, width], as PyTorch has them; stored in the same order."""
    name = f"conv_transposed.{case['name']}"
    x = double(f"{name}.x", case["x"])
    w = double(f"{name}.w", [case["x"][1], case["out"] // case["groups"], *case["kernel"]])
    keys = ["stride", "padding", "output_padding", "dilation", "groups"]
    y = F.conv_transpose2d(x, w, **{key: case[key] for key in keys})
    return gradients(name, y, {"x": x, "w": w})


def main():
    tensors = {}
    for name, function in ACTIVATIONS.items():
        x = double(f"{name}.x", [60], 5.0)
        tensors.update(gradients(name, function(x), {"x": x}))
    x, weight, bias = double("layer_norm.x", [2, 5, 20], 3.0), double("layer_norm.weight", [20]), double("layer_norm.bias", [20])
    operands = {"x": x, "weight": weight, "bias": bias}
    tensors.update(gradients("layer_norm", F.layer_norm(x, [20], weight, bias, 1e-5), operands))
    x = double("l2_normalize.x", [4, 6])
    tensors.update(gradients("l2_normalize", F.normalize(x, dim=-1), {"x": x}))
    table, ids = double("embed.table", [7, 3]), torch.tensor([[4, 0, 4, 6], [1, 4, 2, 0]])
    tensors.update({"embed.ids": ids.numpy(), **gradients("embed", F.embedding(ids, table), {"table": table})})
    for mode in ["nearest", "bilinear"]:
        x = double(f"upsample.{mode}.x", [2, 3, 4, 5])
        options = {} if mode == "nearest" else {"align_corners": False}
        y = F.interpolate(x.permute(0, 3, 1, 2), scale_factor=(2, 3), mode=mode, **options).permute(0, 2, 3, 1)
        tensors.update(gradients(f"upsample.{mode}", y, {"x": x}))
    for case in ATTENTION:
        tensors.update(attention(case))
    for case in TRANSPOSED:
        tensors.update(transposed(case))
    metadata = {"activations": list(ACTIVATIONS), "attention": ATTENTION, "conv_transposed": TRANSPOSED,
                "made_by": f"torch {torch.__version__.split('+')[0]}, numpy {np.__version__}"}
    store.save(HERE / "layers.safetensors", tensors, metadata)


if __name__ == "__main__":
    main()

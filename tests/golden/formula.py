"""Weights and inputs from a formula, so that no large tensor is committed. README.md states it; keep both alike."""

import numpy as np

GAMMA = np.uint64(0x9E3779B97F4A7C15)


def fnv1a64(name: str) -> int:
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    return h


def hashes(name: str, n: int) -> np.ndarray:
    """Outputs 0..n of the SplitMix64 generator seeded with the name's FNV-1a hash, as u64."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a64(name)) + np.arange(1, n + 1, dtype=np.uint64) * GAMMA
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def unit(name: str, shape) -> np.ndarray:
    """u in [0, 1): multiples of 2^-24, exact in f32."""
    n = int(np.prod(shape, dtype=np.int64))
    u = (hashes(name, n) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    return u.reshape(shape)


def signed(name: str, shape, scale=1.0) -> np.ndarray:
    """(2u - 1) * scale in f32: the bracket is exact, the product is rounded once."""
    u = unit(name, shape)
    return (np.float32(2) * u - np.float32(1)) * np.float32(scale)


# Vectors of tokens and places; scales of residual branches.
EMBEDDINGS = ("cls_token", "class_token", "pos_embed", "pos_embedding", "position_embeddings")
BRANCH_SCALES = ("gamma", "layer_scale", "layer_scale_parameter")


def parameter(name: str, shape) -> np.ndarray:
    """A model's tensor by the last part of its state-dict name."""
    kind = name.rsplit(".", 1)[-1]
    if kind == "running_var" or kind in BRANCH_SCALES or ("weight" in kind and len(shape) == 1):
        return np.float32(0.5) + unit(name, shape)
    if kind == "running_mean" or "bias" in kind:
        return signed(name, shape, 0.1)
    if kind in EMBEDDINGS:
        return signed(name, shape, 0.5)
    if "weight" in kind:
        fan_in = int(np.prod(shape[1:], dtype=np.int64))
        return signed(name, shape, np.float32(np.sqrt(np.float64(3) / np.float64(fan_in))))
    raise ValueError(f"no formula for {name}")


def fill(model):
    """Overwrites every parameter and running statistic of a torch module; leaves `num_batches_tracked` at 0."""
    import torch

    state = model.state_dict()
    for name, tensor in state.items():
        if not name.endswith("num_batches_tracked"):
            value = parameter(name, tuple(tensor.shape))
            state[name] = torch.from_numpy(value).to(tensor.dtype)
    model.load_state_dict(state)
    return model

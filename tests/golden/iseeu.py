"""Writes iseeu.safetensors: ISeeU's published weights run forwards in numpy float64, from its Keras description alone."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import formula
import store

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent.parent / "experiments/models/iseeu"
SAMPLES = 8
EPSILON = 1e-3


def weights():
    """Keras names without their repeated folder: `fc1/kernel`."""
    found = load_file(MODEL / "model.safetensors")
    parts = {name: name.removesuffix(":0").split("/") for name in found}
    return {f"{p[1]}/{p[3]}": found[name].astype(np.float64) for name, p in parts.items()}


def same_convolution(x, w, b):
    """(n, 1, variables, hours) by (k, 1, hours, filters) over the height of 1: only the centre tap meets data."""
    k = w.shape[0]
    padded = np.pad(x, ((0, 0), ((k - 1) // 2, k - 1 - (k - 1) // 2), (0, 0), (0, 0)))
    out = sum(padded[:, t : t + 1] @ w[t, 0] for t in range(k))
    return out + b


def average_pool(x):
    """Threes of variables, 'same': 22 become 8, padded by one on each side, the padding not counted."""
    n, _, width, channels = x.shape
    out = np.zeros((n, 1, -(-width // 3), channels))
    for i in range(out.shape[2]):
        low, high = max(3 * i - 1, 0), min(3 * i + 2, width)
        out[:, :, i] = x[:, :, low:high].mean(axis=2)
    return out


def batch_norm(x, w, name):
    scale = w[f"{name}/gamma"] / np.sqrt(w[f"{name}/moving_variance"] + EPSILON)
    return (x - w[f"{name}/moving_mean"]) * scale + w[f"{name}/beta"]


def logits(standardised, w):
    """(n, 22, 48) standardised values to (n,) logits of death."""
    x = standardised[:, None]
    pooled = []
    for name in ("3h_conv", "6h_conv", "12h_conv"):
        y = same_convolution(x, w[f"{name}/kernel"], w[f"{name}/bias"])
        pooled.append(average_pool(np.maximum(y, 0)))
    x = batch_norm(np.concatenate(pooled, axis=3), w, "bn1").reshape(len(x), -1)
    x = np.maximum(x @ w["fc1/kernel"] + w["fc1/bias"], 0)
    return (batch_norm(x, w, "bn3") @ w["fc2/kernel"] + w["fc2/bias"])[:, 0]


def gradient(standardised, w, step=1e-5):
    """Of the logit to the standardised input, by central differences."""
    flat = standardised.reshape(len(standardised), -1)
    out = np.zeros_like(flat)
    for i in range(flat.shape[1]):
        high, low = flat.copy(), flat.copy()
        high[:, i] += step
        low[:, i] -= step
        shape = standardised.shape
        out[:, i] = (logits(high.reshape(shape), w) - logits(low.reshape(shape), w)) / (2 * step)
    return out.reshape(standardised.shape)


def main():
    statistics = json.loads((MODEL / "statistics.json").read_text())
    variables = statistics["variables"]
    mean = np.array([v["mean"] for v in variables])[:, None]
    std = np.array([v["std"] for v in variables])[:, None]
    # A level for each variable, a walk over the hours; in physical units, rounded to f32 before anything is computed.
    level = formula.signed("iseeu.level", (SAMPLES, 22, 1), 1.5).astype(np.float64)
    hourly = formula.signed("iseeu.hourly", (SAMPLES, 22, 48), 0.5).astype(np.float64)
    raw = (mean + std * (level + hourly)).astype(np.float32)
    raw[0] = mean
    missing = (SAMPLES - 1, slice(2, 5), slice(0, 12))
    raw[missing] = np.nan
    standardised = np.nan_to_num((raw.astype(np.float64) - mean) / std)
    w = weights()
    z = logits(standardised, w)
    print("logits", z, "probabilities", 1 / (1 + np.exp(-z)))
    store.save(HERE / "iseeu.safetensors", {
        "inputs": raw, "standardised": standardised, "logits": z, "probabilities": 1 / (1 + np.exp(-z)),
        "grad_logit_standardised": gradient(standardised, w),
    }, {"made_by": f"numpy {np.__version__}", "model": "experiments/models/iseeu"})


if __name__ == "__main__":
    main()

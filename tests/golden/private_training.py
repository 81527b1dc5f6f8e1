"""DP-SGD without noise, by PyTorch's per-sample gradients (torch.func): see README.md.

Models, inputs and labels come from formula.py. Step s takes (37 s) mod 29 of 64 samples (some steps none, for Poisson batches differ in
size), namely (7 s + 5 i) mod 64, and divides by the expected 16. Computed in float64, stored as f32.
"""

from pathlib import Path

import numpy as np
import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

import architectures
import formula
import store

HERE = Path(__file__).parent
CONFIGS = {
    "mlp": {"architecture": "mlp", "inputs": 12, "hidden": [16, 16], "classes": 3},
    "logistic": {"architecture": "mlp", "inputs": 12, "hidden": [], "classes": 1, "head": "sigmoid"},
    "cnn": {
        "architecture": "cnn", "input": [8, 8, 2], "classes": 3,
        "layers": [
            {"kind": "conv", "out": 6, "kernel": 3}, {"kind": "relu"}, {"kind": "max_pool", "kernel": 2},
            {"kind": "conv", "out": 8, "kernel": 3, "padding": 1}, {"kind": "relu"}, {"kind": "flatten"}, {"kind": "linear", "out": 3},
        ],
    },
}
SAMPLES, EXPECTED, STEPS = 64, 16, 40
CLIP = {"mlp": 1.5, "logistic": 1.1, "cnn": 3.5}  # near the median norm, so that some gradients are clipped and some are not
SGD = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3}
ADAMW = {"lr": 2e-3, "betas": [0.9, 0.999], "eps": 1e-4, "weight_decay": 1e-2}


def batch(step):
    return [(7 * step + 5 * i) % SAMPLES for i in range(37 * step % 29)]


def data(name, config):
    shape = [2, 8, 8] if name == "cnn" else [12]
    x = formula.signed(f"private {name}", [SAMPLES, *shape], 1.0)
    classes = 2 if name == "logistic" else 3
    labels = (formula.hashes(f"private labels {name}", SAMPLES) >> np.uint64(40)) % np.uint64(classes)
    return torch.from_numpy(x).double(), torch.from_numpy(labels.astype(np.int64))


def per_sample(model, name, x, labels):
    """Every sample's gradients, by parameter: [batch, ...]."""
    def loss(parameters, one, label):
        logits = functional_call(model, parameters, (one[None],))
        if name == "logistic":
            return F.binary_cross_entropy_with_logits(logits[0, 0], label.double())
        return F.cross_entropy(logits, label[None])

    parameters = {key: value.detach() for key, value in model.named_parameters()}
    return vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, labels)


def run(name, config, kind, options):
    model = formula.fill(architectures.build(config)).double()
    x, labels = data(name, config)
    optimiser = kind(model.parameters(), **options)
    clipped = []
    for step in range(STEPS):
        chosen = batch(step)
        optimiser.zero_grad()
        gradients = per_sample(model, name, x[chosen], labels[chosen]) if chosen else None
        if chosen:
            norms = torch.sqrt(sum(g.flatten(1).square().sum(1) for g in gradients.values()))
            factors = torch.clamp(CLIP[name] / norms, max=1.0)  # Abadi et al. 2016, algorithm 1
            clipped += (factors < 1).tolist()
        for key, parameter in model.named_parameters():
            total = torch.einsum("n,n...->...", factors, gradients[key]) if chosen else torch.zeros_like(parameter)
            parameter.grad = total / EXPECTED
        optimiser.step()
    return {key: value.detach() for key, value in model.named_parameters()}, float(np.mean(clipped))


def main():
    tensors, share = {}, {}
    for name, config in CONFIGS.items():
        for key, kind, options in (("sgd", torch.optim.SGD, SGD), ("adamw", torch.optim.AdamW, ADAMW)):
            parameters, share[f"{name}.{key}"] = run(name, config, kind, options)
            tensors |= {f"{name}.{key}.{tensor}": value.float() for tensor, value in parameters.items()}
    print(share)
    made_by = f"torch {torch.__version__.split('+')[0]}, numpy {np.__version__}"
    metadata = {"configs": CONFIGS, "clip_norm": CLIP, "sgd": SGD, "adamw": ADAMW, "clipped": share, "made_by": made_by}
    store.save(HERE / "private_training.safetensors", tensors, metadata)


if __name__ == "__main__":
    main()

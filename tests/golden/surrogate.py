"""Writes surrogate.safetensors: features and gradients of models in inference, `python surrogate.py`.

Models are those of hundred.py and one with a single logit; weights, inputs, labels, the goal in feature space and the shift of the
parameters come from formula.py. Everything is computed in float64 and stored as f32.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import architectures
import formula
import hundred
import store

HERE = Path(__file__).resolve().parent
CONFIGS = {
    **hundred.CONFIGS,
    "binary": {"architecture": "mlp", "inputs": 12, "hidden": [16, 8], "classes": 1, "head": "sigmoid"},
}
SAMPLES = 40
SHIFT = 0.02


def double(array):
    return torch.from_numpy(array).double()


def losses(logits, labels, head):
    if head == "sigmoid":
        return F.binary_cross_entropy_with_logits(logits[:, 0], labels.double(), reduction="none")
    return F.cross_entropy(logits, labels, reduction="none")


def run(name, config):
    head = config.get("head", "softmax")
    model = formula.fill(architectures.build(config)).double().eval()
    shape = {"cnn": [1, 8, 8], "resnet1d": [1, 32]}.get(name, [12])
    x = double(formula.signed(f"surrogate {name}", [SAMPLES, *shape], 1.0)).requires_grad_()
    classes = 2 if head == "sigmoid" else config["classes"]
    labels = (formula.hashes(f"surrogate labels {name}", SAMPLES) >> np.uint64(40)) % np.uint64(classes)
    labels = torch.from_numpy(labels.astype(np.int64))
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    seen = []
    handle = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    logits = model(x)
    handle.remove()
    features = seen[0]
    goal = double(formula.signed(f"surrogate goal {name}", [features.shape[1]], 1.0))
    distance = ((features - goal) ** 2).sum(1)
    (slope,) = torch.autograd.grad(distance.sum(), x, retain_graph=True)
    found = {"features": features, "distance": distance, "slope": slope}
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(losses(logits, labels, head).mean(), list(parameters.values()))
    found.update({f"parameters.{key}": gradient for key, gradient in zip(parameters, gradients)})
    each = losses(logits, labels, head)
    with torch.no_grad():
        for key, value in parameters.items():
            value += double(formula.signed(f"surrogate shift {key}", list(value.shape), SHIFT))
    (inputs,) = torch.autograd.grad(losses(model(x), labels, head).sum(), x)
    found.update({"losses": each, "logits": logits, "inputs": inputs})
    return {f"{name}.{key}": value.detach().float() for key, value in found.items()}


def main():
    tensors = {}
    for name, config in CONFIGS.items():
        tensors.update(run(name, config))
    metadata = {"configs": json.dumps(CONFIGS), "samples": json.dumps(SAMPLES), "shift": json.dumps(SHIFT),
                "made_by": f"torch {torch.__version__.split('+')[0]}, numpy {np.__version__}"}
    store.save(HERE / "surrogate.safetensors", tensors, metadata)


if __name__ == "__main__":
    main()

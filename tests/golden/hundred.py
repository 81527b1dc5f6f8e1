"""Writes hundred.safetensors: models after 100 steps of training, `python hundred.py`.

Weights, inputs and labels come from formula.py; minibatches are 16 of 64 samples, step s taking samples (16 s + 5 i) mod 64 for i = 0..15
(5 has no divisor in common with 64, so that a minibatch has no sample twice). Everything is computed in float64 and stored as f32; what
PyTorch's own f32 run is off by is stored beside it.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

import architectures
import formula
import store

HERE = Path(__file__).resolve().parent
CONFIGS = {
    "mlp": {"architecture": "mlp", "inputs": 12, "hidden": [16, 16], "classes": 3},
    "cnn": {
        "architecture": "cnn", "input": [8, 8, 1], "classes": 3,
        "layers": [
            {"kind": "conv", "out": 6, "kernel": 3}, {"kind": "batch_norm"}, {"kind": "relu"}, {"kind": "max_pool", "kernel": 2},
            {"kind": "conv", "out": 8, "kernel": 3, "stride": 2}, {"kind": "batch_norm"}, {"kind": "relu"},
            {"kind": "global_avg_pool"}, {"kind": "linear", "out": 3},
        ],
    },
    "resnet1d": {
        "architecture": "resnet1d", "length": 32, "in_channels": 1, "classes": 3, "stem_kernel": 7, "stem_stride": 2, "widths": [4, 8],
        "blocks": [1, 1], "kernel": 3,
    },
}
SAMPLES, BATCH, STEPS = 64, 16, 100
SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
ADAMW = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-4, "weight_decay": 1e-2}


def data(name, config, dtype):
    shape = {"mlp": [config.get("inputs")], "cnn": [1, 8, 8], "resnet1d": [1, config.get("length")]}[name]
    x = formula.signed(f"hundred {name}", [SAMPLES, *shape], 1.0)
    labels = (formula.hashes(f"hundred labels {name}", SAMPLES) >> np.uint64(40)) % np.uint64(3)
    return torch.from_numpy(x).to(dtype), torch.from_numpy(labels.astype(np.int64))


def run(name, config, kind, options, dtype):
    model = formula.fill(architectures.build(config)).to(dtype).train()
    x, labels = data(name, config, dtype)
    optimiser = kind(model.parameters(), **options)
    for step in range(STEPS):
        chosen = torch.tensor([(16 * step + 5 * i) % SAMPLES for i in range(BATCH)])
        optimiser.zero_grad()
        F.cross_entropy(model(x[chosen]), labels[chosen]).backward()
        optimiser.step()
    return {k: v.detach().double() for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}


def main():
    tensors, errors = {}, {}
    for name, config in CONFIGS.items():
        for key, kind, options in (("sgd", torch.optim.SGD, SGD), ("adamw", torch.optim.AdamW, ADAMW)):
            exact = run(name, config, kind, options, torch.float64)
            single = run(name, config, kind, options, torch.float32)
            for tensor, value in exact.items():
                tensors[f"{name}.{key}.{tensor}"] = value.float()
                errors[f"{name}.{key}.{tensor}"] = float((single[tensor] - value).abs().max())
    print({key: max(v for k, v in errors.items() if k.startswith(key)) for key in
           (f"{n}.{o}" for n in CONFIGS for o in ("sgd", "adamw"))})
    metadata = {"configs": json.dumps(CONFIGS), "sgd": json.dumps(SGD), "adamw": json.dumps(ADAMW), "torch_f32_error": json.dumps(errors),
                "made_by": f"torch {torch.__version__.split('+')[0]}, numpy {np.__version__}"}
    store.save(HERE / "hundred.safetensors", tensors, metadata)


if __name__ == "__main__":
    main()

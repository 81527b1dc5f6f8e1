"""Writes the golden values of recurrent classifiers: `python recurrent.py [NAME ...]`.

nn.GRU and nn.LSTM with a linear layer, weights and inputs from formula.py, computed in float64.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

import formula
import store

HERE = Path(__file__).resolve().parent
BATCH = 3


class Classifier(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        time = config.get("time_axis", 1)
        features = config["input"][3 - time]
        kind = {"gru": nn.GRU, "lstm": nn.LSTM}[config["architecture"]]
        both = config.get("bidirectional", False)
        self.rnn = kind(
            features, config["hidden"], config.get("layers", 1), bias=config.get("bias", True), batch_first=True, bidirectional=both)
        self.fc = nn.Linear(config["hidden"] * (2 if both else 1), config["classes"])

    def forward(self, x):
        x = x[:, 0]
        if self.config.get("time_axis", 1) == 2:
            x = x.transpose(1, 2)
        outputs, state = self.rnn(x)
        state = state[0] if isinstance(state, tuple) else state
        pooling = self.config.get("pooling", "last")
        if pooling == "mean":
            features = outputs.mean(dim=1)
        elif pooling == "last":
            features = outputs[:, -1]
        else:
            directions = 2 if self.config.get("bidirectional") else 1
            features = torch.cat([state[i - directions] for i in range(directions)], dim=1)
        return self.fc(features)


# name: configuration, whether parameters' gradients are written.
MODELS = {
    "gru": ({"architecture": "gru", "input": [1, 7, 5], "classes": 3, "hidden": 6, "layers": 2}, True),
    "gru_both_ways": (
        {"architecture": "gru", "input": [1, 5, 6], "time_axis": 2, "classes": 2, "hidden": 4, "layers": 2, "bidirectional": True,
         "pooling": "state"}, False),
    "gru_mean": ({"architecture": "gru", "input": [1, 6, 3], "classes": 2, "hidden": 5, "pooling": "mean", "bias": False}, False),
    "lstm": ({"architecture": "lstm", "input": [1, 7, 5], "classes": 3, "hidden": 6, "layers": 2}, True),
    "lstm_both_ways": (
        {"architecture": "lstm", "input": [1, 6, 4], "classes": 2, "hidden": 5, "layers": 2, "bidirectional": True, "pooling": "last"},
        False),
}


def evaluated(config, x, wanted):
    """Logits, and gradients of their sum weighted by the formula."""
    model = formula.fill(Classifier(config)).to(x.dtype)
    x = x.clone().requires_grad_(True)
    logits = model(x)
    weights = torch.from_numpy(formula.signed("cotangent", tuple(logits.shape))).to(x.dtype)
    (logits * weights).sum().backward()
    out = {"logits": logits, "grad_input": x.grad}
    if wanted:
        out |= {f"grad.{name}": p.grad for name, p in model.named_parameters()}
    return {key: value.detach() for key, value in out.items()}


def write_model(name):
    config, wanted = MODELS[name]
    # As percuss has it: no axis is called channels.
    shape = (BATCH, *config["input"])
    x = torch.from_numpy(formula.signed("input.0", shape, 2)).double()
    exact, single = evaluated(config, x, wanted), evaluated(config, x.float(), wanted)
    errors = {k: float(f"{(single[k].double() - v).abs().max() / v.abs().max():.2e}") for k, v in exact.items()}
    store.save(HERE / f"{name}.safetensors", exact, {
        "config": config, "input_shape": shape, "input": {"formula": "signed", "name": "input.0", "scale": 2},
        "made_by": f"torch {torch.__version__.split('+')[0]}, numpy {np.__version__}", "torch_f32_error": errors,
    })
    print("   ", errors)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in sys.argv[1:] or MODELS:
        write_model(each)

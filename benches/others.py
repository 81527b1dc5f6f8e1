"""The same work done by other tools: raw PyTorch, Foolbox and torchattacks. Needs tests/golden/requirements.txt.

    others.py pgd40 --model mlp|cnn|resnet1d|resnet18 [--threads N]   sample-steps per second of one PGD-40, linf
    others.py cells --study-json FILE [--threads N]                   a loop of Foolbox calls over the cells of a study

Results are JSON lines on standard output. Start-up is counted in `cells`: the clock starts with this process.
"""

import time

STARTED = time.perf_counter()

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/golden"))

MODELS = {
    "mlp": ({"architecture": "mlp", "inputs": 64, "hidden": [128, 128], "classes": 2}, (64,), (256, 1024, 4096, 16384)),
    "cnn": ({
        "architecture": "cnn", "input": [28, 28, 1], "classes": 2,
        "layers": [
            {"kind": "conv", "out": 32, "kernel": 3, "padding": 1}, {"kind": "batch_norm"}, {"kind": "relu"},
            {"kind": "max_pool", "kernel": 2},
            {"kind": "conv", "out": 64, "kernel": 3, "padding": 1}, {"kind": "batch_norm"}, {"kind": "relu"},
            {"kind": "max_pool", "kernel": 2}, {"kind": "flatten"}, {"kind": "linear", "out": 2},
        ],
    }, (1, 28, 28), (16, 64, 128, 256)),
    "resnet1d": ({
        "architecture": "resnet1d", "in_channels": 1, "classes": 5, "stem_kernel": 7, "stem_stride": 2,
        "widths": [16, 32, 64], "blocks": [1, 1, 1], "kernel": 5,
    }, (1, 256), (32, 128, 256, 1024)),
    "resnet18": (
        {"architecture": "resnet", "depth": 18, "in_channels": 1, "classes": 2, "stem": "3x3"}, (1, 28, 28), (4, 16, 64),
    ),
}
EPS, STEP_SIZE, STEPS = 8 / 255, 2 / 255, 40


def raw_pytorch(torch, model, x, labels, eps, step_size, steps, low=0.0, high=1.0):
    """Projected gradient descent in linf, as a person would write it, without wasted work."""
    adversarial = x.clone()
    for _ in range(steps):
        adversarial.requires_grad_(True)
        loss = torch.nn.functional.cross_entropy(model(adversarial), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, adversarial)
        with torch.no_grad():
            adversarial = adversarial + step_size * gradient.sign()
            adversarial = torch.clamp(adversarial, x - eps, x + eps).clamp_(low, high)
    return adversarial


def runners(torch, model, shape):
    import foolbox
    import torchattacks

    fmodel = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(abs_stepsize=STEP_SIZE, steps=STEPS, random_start=False)
    other = torchattacks.PGD(model, eps=EPS, alpha=STEP_SIZE, steps=STEPS, random_start=False)
    other.set_device(torch.device("cpu"))
    return {
        "pytorch": lambda x, y: raw_pytorch(torch, model, x, y, EPS, STEP_SIZE, STEPS),
        "foolbox": lambda x, y: attack(fmodel, x, y, epsilons=EPS)[1],
        "torchattacks": other,
    }


def measured(run, x, labels, seconds):
    """Sample-steps per second: the best of the calls within the time, at least two, and so the first to warm up does not count."""
    best, spent, calls = float("inf"), 0.0, 0
    while calls < 2 or spent < seconds:
        start = time.perf_counter()
        run(x, labels)
        took = time.perf_counter() - start
        best, spent, calls = min(best, took), spent + took, calls + 1
    return len(x) * STEPS / best


def pgd40(options):
    import torch

    import architectures
    import formula

    if options.threads:
        torch.set_num_threads(options.threads)
    config, shape, batches = MODELS[options.model]
    # Frozen parameters: no tool is charged for gradients to weights that nobody asked for.
    model = formula.fill(architectures.build(config)).eval().requires_grad_(False)
    for tool, run in runners(torch, model, shape).items():
        best = (0.0, None)
        for batch in options.batch or batches:
            x = torch.from_numpy(formula.unit("input", (batch, *shape)))
            with torch.no_grad():
                labels = model(x).argmax(dim=1)
            best = max(best, (measured(run, x, labels, options.seconds), batch))
        print(json.dumps({
            "tool": tool, "model": options.model, "threads": torch.get_num_threads(), "batch": best[1],
            "sample_steps_per_second": round(best[0], 1),
        }), flush=True)


def attack_class(foolbox, kind, norm):
    """Foolbox's class for a cell; `pgd` and `bim` differ in their defaults alone, and all of those are given."""
    prefix = {"linf": "Linf", "l2": "L2", "l1": "L1"}[norm]
    suffix = {
        "fgsm": "FastGradientAttack", "bim": "BasicIterativeAttack", "pgd": "ProjectedGradientDescentAttack",
        "mifgsm": "MomentumIterativeFastGradientMethod", "mi-fgsm": "MomentumIterativeFastGradientMethod",
    }[kind]
    return getattr(foolbox.attacks, prefix + suffix)


def margin_loss(base):
    """The attack with the margin loss, written as Foolbox's documentation says that other losses are."""

    class Margin(base):
        def get_loss_fn(self, model, labels):
            def loss(inputs):
                logits = model(inputs).raw
                own = logits.gather(1, labels.raw[:, None])[:, 0]
                others = logits.scatter(1, labels.raw[:, None], float("-inf"))
                return ep.astensor(others.amax(dim=1) - own).sum()

            return loss

    import eagerpy as ep

    return Margin


def load_data(path, cell):
    """Inputs in PyTorch's order (n, channels, ...) as f32, and labels; images are stored channels last."""
    import numpy as np

    if str(path).endswith(".npz"):
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in archive.files}
    else:
        from safetensors.numpy import load_file

        arrays = load_file(path)
    x = arrays[cell.get("inputs_key", "inputs")].astype(np.float32)
    labels = arrays[cell.get("labels_key", "labels")].astype(np.int64).reshape(len(x), -1)[:, 0]
    return x, labels


def to_model_layout(x, config):
    """Adds the channel where it is missing, and moves it forwards where it is last."""
    kind = config["architecture"]
    if kind == "mlp":
        return x.reshape(len(x), -1)
    if kind == "resnet1d":
        channels = config["in_channels"]
        return x.reshape(len(x), -1, channels).transpose(0, 2, 1)
    channels = config["input"][2] if kind == "cnn" else config["in_channels"]
    x = x[..., None] if x.ndim == 3 else x
    return x if x.shape[1] == channels and x.shape[-1] != channels else x.transpose(0, 3, 1, 2)


class Study:
    """Loads each model and each data set once, as a careful user's loop would."""

    def __init__(self, folder):
        self.folder, self.models, self.data = folder, {}, {}

    def model(self, torch, foolbox, cell):
        import architectures

        key = (cell["model"], str(cell.get("mean")), str(cell.get("std")), str(cell.get("bounds")))
        if key not in self.models:
            model, config = architectures.load(self.folder / cell["model"])
            model.requires_grad_(False)
            preprocessing = None
            if cell.get("std") is not None:
                as_tensor = lambda v: torch.tensor(v, dtype=torch.float32)
                preprocessing = {"mean": as_tensor(cell["mean"]), "std": as_tensor(cell["std"])}
            bounds = tuple(cell.get("bounds", (0.0, 1.0)))
            self.models[key] = foolbox.PyTorchModel(model, bounds, "cpu", preprocessing), config
        return self.models[key]

    def samples(self, torch, config, cell):
        import numpy as np

        key = tuple(cell.get(k) for k in ("data", "inputs_key", "labels_key", "n", "model"))
        if key not in self.data:
            x, labels = load_data(self.folder / cell["data"], cell)
            n = cell.get("n") or len(x)
            low, high = cell.get("bounds", (0.0, 1.0))
            x = np.ascontiguousarray(to_model_layout(x[:n], config)).clip(low, high)
            self.data[key] = torch.from_numpy(x), torch.from_numpy(labels[:n])
        return self.data[key]


def run_cell(torch, foolbox, study, cell, batch):
    """Robust accuracy (right when clean and right under attack) and plain accuracy on the last iterates."""
    fmodel, config = study.model(torch, foolbox, cell)
    x, labels = study.samples(torch, config, cell)
    torch.manual_seed(cell.get("seed", 0))
    arguments = {"random_start": cell.get("random_start", False)}
    if cell["attack"] != "fgsm":
        arguments |= {"steps": cell["steps"], "abs_stepsize": cell["step_size"]}
    kind = attack_class(foolbox, cell["attack"], cell["norm"])
    attack = (margin_loss(kind) if cell.get("loss") == "margin" else kind)(**arguments)
    clean, attacked = [], []
    for start in range(0, len(x), batch):
        part, truth = x[start : start + batch], labels[start : start + batch]
        adversarials = attack(fmodel, part, truth, epsilons=cell["eps"])[1]
        with torch.no_grad():
            clean.append(fmodel(part).argmax(dim=1) == truth)
            attacked.append(fmodel(adversarials).argmax(dim=1) == truth)
    clean, attacked = torch.cat(clean), torch.cat(attacked)
    return {
        "n": len(x), "clean_accuracy": clean.double().mean().item(), "accuracy_adv": attacked.double().mean().item(),
        "robust_accuracy": (clean & attacked).double().mean().item(),
    }


def cells(options):
    import foolbox
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    path = Path(options.study_json)
    listed = json.loads(path.read_text())
    study = Study(path.parent)
    for cell in listed:
        result = run_cell(torch, foolbox, study, cell, (options.batch or [512])[0])
        print(json.dumps(cell | result), flush=True)
    print(json.dumps({
        "tool": "foolbox", "cells": len(listed), "threads": torch.get_num_threads(),
        "seconds": round(time.perf_counter() - STARTED, 3),
    }), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    speed = commands.add_parser("pgd40", help="one PGD-40 attack by three tools")
    speed.add_argument("--model", required=True, choices=MODELS)
    speed.add_argument("--seconds", type=float, default=2.0, help="measured time for each tool and batch size")
    loop = commands.add_parser("cells", help="the cells of a study by Foolbox")
    loop.add_argument("--study-json", required=True, help="a list of cells; paths in it are relative to the file")
    for command in (speed, loop):
        command.add_argument("--threads", type=int, default=os.cpu_count())
        command.add_argument("--batch", type=int, nargs="*", help="batch sizes to try; cells takes the first (512)")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    {"pgd40": pgd40, "cells": cells}[options.command](options)


if __name__ == "__main__":
    main()

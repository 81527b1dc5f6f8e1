"""Writes adversarials and robust accuracies of Foolbox and torchattacks on formula-weight models: `python parity.py`.

Both tools run as published, in float32. Each attack is run again in float64; where the two differ an element's
gradient is zero to rounding, and `*.sure` is 0 there.
"""

import warnings
from pathlib import Path

import foolbox
import numpy as np
import torch
import torchattacks
from torch import nn

import architectures
import formula
import store

HERE = Path(__file__).resolve().parent
STORED = 16
LADDER_SAMPLES = 200
STEPS = 10
CNN = {
    "architecture": "cnn", "input": [14, 14, 1], "classes": 3,
    "layers": [
        {"kind": "conv", "out": 8, "kernel": 3, "padding": 1}, {"kind": "batch_norm"}, {"kind": "relu"},
        {"kind": "max_pool", "kernel": 2}, {"kind": "conv", "out": 12, "kernel": 3, "padding": 1}, {"kind": "relu"},
        {"kind": "flatten"}, {"kind": "linear", "out": 3},
    ],
}
MLP = {"architecture": "mlp", "inputs": 45, "hidden": [64, 64], "classes": 2}
RESNET1D = {
    "architecture": "resnet1d", "in_channels": 1, "classes": 5, "stem_kernel": 7, "stem_stride": 2,
    "widths": [8, 16], "blocks": [1, 1], "kernel": 5,
}
# config, input shape, bounds, preprocessing of the input by (x - mean) / std inside the attacked model.
SETTINGS = {
    "mlp": (MLP, (45,), (0.0, 1.0), None),
    "cnn": (CNN, (1, 14, 14), (0.0, 1.0), None),
    "cnn_pixels": (CNN, (1, 14, 14), (0.0, 255.0), (123.7, 58.4)),
    "resnet1d": (RESNET1D, (1, 256), (-2.5, 2.5), None),
}
# The middle of each ladder of budgets, in the data's unit.
MIDDLE = {
    "mlp": {"linf": 0.04, "l2": 0.25, "l1": 1.5},
    "cnn": {"linf": 0.012, "l2": 0.12, "l1": 1.2},
    "cnn_pixels": {"linf": 4.0, "l2": 40.0, "l1": 400.0},
    "resnet1d": {"linf": 0.05, "l2": 0.6, "l1": 6.0},
}
FOOLBOX = {
    ("fgsm", "linf"): "LinfFastGradientAttack", ("fgsm", "l2"): "L2FastGradientAttack",
    ("fgsm", "l1"): "L1FastGradientAttack",
    ("bim", "linf"): "LinfBasicIterativeAttack", ("bim", "l2"): "L2BasicIterativeAttack",
    ("pgd", "linf"): "LinfProjectedGradientDescentAttack", ("pgd", "l2"): "L2ProjectedGradientDescentAttack",
    ("pgd", "l1"): "L1ProjectedGradientDescentAttack",
    ("mifgsm", "linf"): "LinfMomentumIterativeFastGradientMethod",
}
TORCHATTACKS = {
    ("fgsm", "linf"): "FGSM", ("bim", "linf"): "BIM", ("pgd", "linf"): "PGD", ("pgd", "l2"): "PGDL2",
    ("mifgsm", "linf"): "MIFGSM",
}


class Normalised(nn.Module):
    def __init__(self, model, mean, std):
        super().__init__()
        self.model, self.mean, self.std = model, mean, std

    def forward(self, x):
        return self.model((x - self.mean) / self.std)


class FourAxes(nn.Module):
    """torchattacks wants (n, channels, height, width).

    It must be in evaluation mode: torchattacks puts a model back into the mode in which it found the outermost one.
    """

    def __init__(self, model, shape):
        super().__init__()
        self.model, self.shape = model, shape

    def forward(self, x):
        return self.model(x.reshape(len(x), *self.shape))


def inputs(setting, n):
    """Blocks of eight equal values and a fine part, so that samples differ by more than noise; within the bounds."""
    _, shape, (low, high), _ = SETTINGS[setting]
    size = int(np.prod(shape))
    blocks = formula.unit("parity.blocks", (n, -(-size // 8))).repeat(8, axis=1)[:, :size]
    mixed = np.float32(0.75) * blocks + np.float32(0.25) * formula.unit("parity.fine", (n, size))
    scaled = np.float32(low) + np.float32(high - low) * mixed
    return torch.from_numpy(scaled.reshape(n, *shape).astype(np.float32))


def attacked_model(setting, dtype):
    """The formula's model; the mean of its logits over the ladder's samples is taken off its last bias."""
    config, _, _, preprocessing = SETTINGS[setting]

    def make(dtype):
        model = formula.fill(architectures.build(config)).to(dtype).eval().requires_grad_(False)
        return Normalised(model, *preprocessing).eval() if preprocessing else model

    model = make(torch.float64)
    with torch.no_grad():
        logits = model(inputs(setting, LADDER_SAMPLES).double())
    last = [p for name, p in model.named_parameters() if name.endswith("bias")][-1]
    bias = (last - logits.mean(dim=0)).float()
    model = make(dtype)
    [p for name, p in model.named_parameters() if name.endswith("bias")][-1].copy_(bias.to(dtype))
    return model, bias


def true_labels(setting, x):
    """The model's own predictions, every sixteenth one wrong by intention."""
    model, _ = attacked_model(setting, torch.float64)
    with torch.no_grad():
        logits = model(x.double())
    labels = logits.argmax(dim=1)
    labels[5::16] = (labels[5::16] + 1) % logits.shape[1]
    return labels


def budgets(setting, norm):
    middle = MIDDLE[setting][norm]
    return [float(np.float32(f"{middle * 2.0**k:.4g}")) for k in (-3, -2, -1, -0.5, 0, 0.5, 1, 2)]


def step_size(kind, eps):
    """The published single step is the budget; ten steps of a quarter budget else."""
    return eps if kind == "fgsm" else float(np.float32(eps / 4))


def foolbox_attack(setting, kind, norm, eps):
    name = FOOLBOX[kind, norm]
    arguments = {"random_start": False}
    if kind != "fgsm":
        arguments |= {"steps": STEPS, "abs_stepsize": step_size(kind, eps)}
    attack = getattr(foolbox.attacks, name)(**arguments)
    bounds = SETTINGS[setting][2]

    def run(model, x, labels):
        clipped = attack(foolbox.PyTorchModel(model, bounds=bounds), x, labels, epsilons=eps)[1]
        return clipped

    return run, {"tool": "foolbox", "version": foolbox.__version__, "class": name, "arguments": arguments}


def torchattacks_attack(setting, kind, norm, eps):
    name = TORCHATTACKS[kind, norm]
    arguments = {"eps": eps}
    if kind != "fgsm":
        arguments |= {"alpha": step_size(kind, eps), "steps": STEPS}
    if kind == "pgd":
        arguments["random_start"] = False
    if kind == "mifgsm":
        arguments["decay"] = 1.0
    shape = SETTINGS[setting][1]

    def run(model, x, labels):
        attack = getattr(torchattacks, name)(FourAxes(model, shape).eval(), **arguments)
        attack.set_device(torch.device("cpu"))
        padded = x.reshape(len(x), shape[0] if len(shape) > 1 else 1, shape[-2] if len(shape) == 3 else 1, shape[-1])
        return attack(padded, labels).reshape(x.shape)

    return run, {"tool": "torchattacks", "version": torchattacks.__version__, "class": name, "arguments": arguments}


def predictions(model, x):
    with torch.no_grad():
        return model(x).argmax(dim=1)


def cases(setting):
    """Which tools, attacks and norms a setting has; torchattacks knows no bounds but [0, 1]."""
    makers = [(foolbox_attack, FOOLBOX)]
    if SETTINGS[setting][2] == (0.0, 1.0):
        makers.append((torchattacks_attack, TORCHATTACKS))
    for maker, table in makers:
        for kind, norm in table:
            if setting == "cnn_pixels" and (kind, norm) not in (("pgd", "linf"), ("pgd", "l2"), ("fgsm", "linf")):
                continue
            yield maker, kind, norm


def write(setting):
    config, shape, bounds, preprocessing = SETTINGS[setting]
    x = inputs(setting, LADDER_SAMPLES)
    labels = true_labels(setting, x)
    (model, bias), (exact, _) = attacked_model(setting, torch.float32), attacked_model(setting, torch.float64)
    clean = predictions(model, x)
    assert torch.equal(clean, predictions(exact, x.double()))
    tensors = {"inputs": x, "labels": labels, "clean_predictions": clean, "last_bias": bias}
    records = []
    for maker, kind, norm in cases(setting):
        name, ladder = None, []
        for k, eps in enumerate(budgets(setting, norm)):
            run, about = maker(setting, kind, norm, eps)
            name = f"{about['tool']}.{kind}.{norm}"
            adversarials = run(model, x, labels).detach()
            predicted = predictions(model, adversarials)
            right = predicted == labels
            ladder.append({
                "eps": eps, "step_size": step_size(kind, eps), "accuracy_adv": float(right.double().mean()),
                "robust_accuracy": float((right & (clean == labels)).double().mean()), "arguments": about["arguments"],
            })
            tensors[f"{name}.{k}.right"] = right.to(torch.uint8)
            if k in (2, 5):
                kept = adversarials[:STORED]
                again = run(exact, x[:STORED].double(), labels[:STORED]).detach()
                sure = (again - kept.double()).abs() <= 1e-4 * eps
                tensors |= {f"{name}.{k}.adversarials": kept, f"{name}.{k}.sure": sure.to(torch.uint8)}
                ladder[-1] |= {"stored": True, "sure_share": float(sure.double().mean())}
        records.append(about | {
            "name": name, "attack": kind, "norm": norm, "steps": 1 if kind == "fgsm" else STEPS, "ladder": ladder,
        })
        records[-1].pop("arguments")
        print(name, [rung["robust_accuracy"] for rung in ladder], [r["sure_share"] for r in ladder if "stored" in r])
    store.save(HERE / f"parity_{setting}.safetensors", tensors, {
        "config": config, "input_shape": shape, "bounds": bounds, "preprocessing": preprocessing,
        "attacks": records, "made_by": f"torch {torch.__version__.split('+')[0]}",
    })


def main():
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    for setting in SETTINGS:
        write(setting)


if __name__ == "__main__":
    main()

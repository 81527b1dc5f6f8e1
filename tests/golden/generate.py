"""Writes the golden values of models, convolutions and losses: `python generate.py [NAME ...]`.

`--search NAME,... TRIES` finds an input that stays away from the kinks of a model's ReLUs and max pooling.

Every value is computed in float64 by PyTorch from weights and inputs that formula.py gives, and stored as f32.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import architectures
import formula
import store

HERE = Path(__file__).resolve().parent
SGD = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4}
ADAMW = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 1e-2}
OPTIMISER_STEPS = 3


def write(name, tensors, **metadata):
    metadata["made_by"] = f"torch {torch.__version__.split('+')[0]}, numpy {np.__version__}"
    store.save(HERE / f"{name}.safetensors", tensors, metadata)


def model_in(config, dtype=torch.float64):
    model = architectures.build(config)
    return formula.fill(model).to(dtype).eval()


def batch(shape, classes, spec):
    name = spec["name"]
    make = {"unit": lambda: formula.unit(name, shape), "signed": lambda: formula.signed(name, shape, spec["scale"])}
    labels = (formula.hashes("labels", shape[0]) >> np.uint64(40)) % np.uint64(classes)
    return torch.from_numpy(make[spec["formula"]]()).double(), torch.from_numpy(labels.astype(np.int64))


def evaluated(config, x, labels):
    """Logits, per-sample cross-entropy and its gradient to the input, in evaluation mode."""
    model = model_in(config, x.dtype)
    x = x.clone().requires_grad_(True)
    logits = model(x)
    loss = F.cross_entropy(logits, labels, reduction="none")
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    return {"logits": logits, "loss": loss, "grad_input": gradient}


def trained(config, x, labels, train_mode):
    """Gradients of the mean cross-entropy to input and parameters; state after steps of both optimisers."""
    out = {}
    model = model_in(config, x.dtype).train(train_mode)
    x = x.clone().requires_grad_(True)
    logits = model(x)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    out |= {"train.logits": logits, "train.loss": loss.reshape(1), "train.grad_input": x.grad}
    out |= {f"grad.{name}": p.grad for name, p in model.named_parameters()}
    for key, (model, losses) in optimised(config, x, labels, train_mode).items():
        out[f"{key}.losses"] = losses
        state = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
        out |= {f"{key}.{name}": value for name, value in state.items()}
    return out


def optimised(config, x, labels, train_mode, watch=lambda model: None):
    """A model after steps on the one batch, and its losses before each step, for both optimisers."""
    out = {}
    for key, kind, options in (("sgd", torch.optim.SGD, SGD), ("adamw", torch.optim.AdamW, ADAMW)):
        model = model_in(config, x.dtype).train(train_mode)
        watch(model)
        optimiser = kind(model.parameters(), **options)
        losses = []
        for _ in range(OPTIMISER_STEPS):
            optimiser.zero_grad()
            loss = F.cross_entropy(model(x.detach()), labels)
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
        out[key] = model, torch.stack(losses)
    return out


def kink_distance(config, x, labels, train_mode):
    """How far, in all passes, the nearest ReLU or max-pooling window is from switching, over the root mean square of its layer.

    Below about 1e-6 a float32 gradient may differ from the float64 one through no fault of its own.
    """
    distances = []

    def look(module, inputs):
        value = inputs[0].detach()
        gap = value.abs()
        if isinstance(module, nn.MaxPool2d):
            size = {"kernel_size": module.kernel_size, "stride": module.stride, "padding": 0}
            windows = F.unfold(value.flatten(0, 1).unsqueeze(1), **size)
            top = windows.topk(2, dim=1).values
            gap = (top[:, 0] - top[:, 1])[top[:, 0] > 0]
        distances.append(float(gap.min() / value.square().mean().sqrt()))

    def watch(model):
        for module in model.modules():
            if isinstance(module, (nn.ReLU, nn.MaxPool2d)):
                module.register_forward_pre_hook(look)

    model = model_in(config)
    watch(model)
    with torch.no_grad():
        model(x)
    if train_mode is not None:
        optimised(config, x, labels, train_mode, watch)
    return min(distances)


def search(name, tries):
    """Which of the inputs `input.0`, `input.1`, ... keeps furthest from every kink."""
    config, shape, spec, train_mode = MODELS[name]
    found = []
    for i in range(tries):
        x, labels = batch(shape, config["classes"], spec | {"name": f"input.{i}"})
        found.append((kink_distance(config, x, labels, train_mode), i))
    print(name, "(distance, input):", sorted(found, reverse=True)[:3])


MLP = {"architecture": "mlp", "inputs": 45, "hidden": [64, 64], "classes": 2}
CNN_POOLED = {
    "architecture": "cnn", "input": [28, 28, 1], "classes": 2,
    "layers": [
        {"kind": "conv", "out": 16, "kernel": 3, "padding": 1}, {"kind": "batch_norm"}, {"kind": "relu"},
        {"kind": "max_pool", "kernel": 2},
        {"kind": "conv", "out": 24, "kernel": 3, "padding": 1, "stride": 2}, {"kind": "batch_norm"}, {"kind": "relu"},
        {"kind": "global_avg_pool"}, {"kind": "linear", "out": 2},
    ],
}
CNN_FLATTENED = {
    "architecture": "cnn", "input": [13, 10, 2], "classes": 3,
    "layers": [
        {"kind": "conv", "out": 8, "kernel": 3}, {"kind": "relu"}, {"kind": "avg_pool", "kernel": 2},
        {"kind": "conv", "out": 6, "kernel": 3, "padding": 1}, {"kind": "batch_norm"}, {"kind": "relu"},
        {"kind": "max_pool", "kernel": 2}, {"kind": "flatten"},
        {"kind": "linear", "out": 20}, {"kind": "relu"}, {"kind": "dropout", "p": 0.5}, {"kind": "linear", "out": 3},
    ],
}
RESNET18_7X7 = {"architecture": "resnet", "depth": 18, "in_channels": 3, "classes": 2, "stem": "7x7"}
RESNET18_3X3 = {"architecture": "resnet", "depth": 18, "in_channels": 1, "classes": 2, "stem": "3x3"}
RESNET50_7X7 = {"architecture": "resnet", "depth": 50, "in_channels": 3, "classes": 2, "stem": "7x7"}
RESNET1D = {
    "architecture": "resnet1d", "in_channels": 1, "classes": 5, "stem_kernel": 7, "stem_stride": 2,
    "widths": [16, 32, 64], "blocks": [1, 1, 1], "kernel": 5,
}


def unit(index):
    return {"formula": "unit", "name": f"input.{index}"}


def signed(index, scale=2.0):
    return {"formula": "signed", "name": f"input.{index}", "scale": scale}


# name: config, input shape in PyTorch's order, input formula (its index found by --search), mode in which
# parameters are trained (None: not).
MODELS = {
    "mlp": (MLP, (16, 45), signed(242), False),
    "cnn_pooled": (CNN_POOLED, (8, 1, 28, 28), unit(248), True),
    "cnn_flattened": (CNN_FLATTENED, (8, 2, 13, 10), unit(5), False),
    "resnet18_7x7": (RESNET18_7X7, (2, 3, 64, 64), unit(69), None),
    "resnet18_3x3": (RESNET18_3X3, (2, 1, 28, 28), unit(66), None),
    "resnet50_7x7": (RESNET50_7X7, (2, 3, 64, 64), unit(26), None),
    "resnet1d": (RESNET1D, (8, 1, 256), signed(249), True),
}


def write_model(name):
    config, shape, spec, train_mode = MODELS[name]
    x, labels = batch(shape, config["classes"], spec)
    metadata = {"config": config, "input_shape": shape, "input": spec}
    metadata["kink_distance"] = float(f"{kink_distance(config, x, labels, train_mode):.2e}")
    if train_mode is not None:
        metadata |= {"train_mode": train_mode, "sgd": SGD, "adamw": ADAMW, "optimiser_steps": OPTIMISER_STEPS}
    compute = lambda x: evaluated(config, x, labels) | (
        {} if train_mode is None else trained(config, x, labels, train_mode))
    exact, single = compute(x), compute(x.float())
    errors = {k: float(f"{(single[k].double() - v).abs().max():.2e}") for k, v in exact.items()}
    logits_f32 = {"logits_f32": single["logits"]}
    write(name, {"labels": labels} | exact | logits_f32, **metadata, torch_f32_error=errors)


# name, input shape, output channels, kernel, then stride, padding, dilation, groups, bias.
CONVOLUTIONS = [
    ("conv2d_plain", (2, 3, 7, 9), 5, (3, 3), (1, 1), (0, 0), (1, 1), 1, True),
    ("conv2d_strided", (2, 5, 11, 8), 7, (3, 3), (2, 2), (1, 1), (1, 1), 1, False),
    ("conv2d_uneven", (3, 4, 13, 10), 6, (3, 5), (2, 3), (1, 2), (1, 1), 2, True),
    ("conv2d_dilated", (1, 6, 15, 14), 9, (3, 2), (1, 2), (3, 1), (2, 3), 3, True),
    ("conv2d_depthwise", (2, 7, 9, 9), 7, (5, 5), (1, 1), (2, 2), (1, 1), 7, True),
    ("conv2d_pointwise", (2, 9, 5, 6), 17, (1, 1), (2, 2), (0, 0), (1, 1), 1, False),
    ("conv2d_everything", (2, 6, 17, 12), 10, (3, 4), (3, 2), (2, 3), (2, 1), 2, True),
    ("conv1d_plain", (3, 1, 31), 8, (7,), (2,), (3,), (1,), 1, False),
    ("conv1d_everything", (2, 6, 37), 9, (5,), (3,), (4,), (2,), 3, True),
    ("conv1d_even_kernel", (2, 4, 20), 5, (4,), (2,), (1,), (1,), 1, True),
]


def write_convolutions():
    tensors, cases = {}, []
    for name, x_shape, out, kernel, stride, padding, dilation, groups, bias in CONVOLUTIONS:
        w_shape = (out, x_shape[1] // groups, *kernel)
        scale = np.float32(np.sqrt(np.float64(3) / np.float64(np.prod(w_shape[1:]))))
        x = double(formula.signed(f"{name}.x", x_shape))
        w = double(formula.signed(f"{name}.w", w_shape, scale))
        b = double(formula.signed(f"{name}.b", (out,), 0.1)) if bias else None
        apply = F.conv2d if len(kernel) == 2 else F.conv1d
        y = apply(x, w, b, stride, padding, dilation, groups)
        dy = torch.from_numpy(formula.signed(f"{name}.dy", tuple(y.shape))).double()
        wrt = [x, w] + ([b] if bias else [])
        for key, value in zip(("dx", "dw", "db"), torch.autograd.grad(y, wrt, dy)):
            tensors[f"{name}.{key}"] = value
        tensors[f"{name}.y"] = y
        cases.append({
            "name": name, "x": x_shape, "w": w_shape, "y": list(y.shape), "stride": stride, "padding": padding,
            "dilation": dilation, "groups": groups, "bias": bias,
        })
    write("convolutions", tensors, cases=cases)


def double(array):
    return torch.from_numpy(array).double().requires_grad_(True)


def cross_entropy(z, y):
    """log sum exp(z) - z_y."""
    top = z.max(axis=1, keepdims=True)
    return (top + np.log(np.exp(z - top).sum(axis=1, keepdims=True)))[:, 0] - pick(z, y)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def pick(z, y):
    return z[np.arange(len(z)), y]


def one_hot(y, classes):
    return np.eye(classes)[y]


def best_other(z, y):
    """Index of the largest logit that is not y's (the first of equals)."""
    return np.where(one_hot(y, z.shape[1]) > 0, -np.inf, z).argmax(axis=1)


def margin(z, y):
    """Largest other logit minus the label's: positive once misclassified."""
    other = best_other(z, y)
    k = z.shape[1]
    return pick(z, other) - pick(z, y), one_hot(other, k) - one_hot(y, k)


def dlr(z, y):
    """Croce and Hein 2020, eq. 6."""
    k, order, other = z.shape[1], np.argsort(-z, axis=1, kind="stable"), best_other(z, y)
    top, third = order[:, 0], order[:, 2]
    return quotient(z, one_hot(other, k) - one_hot(y, k), one_hot(top, k) - one_hot(third, k))


def targeted_dlr(z, y, target):
    """Croce and Hein 2020, eq. 7."""
    k, order = z.shape[1], np.argsort(-z, axis=1, kind="stable")
    bottom = one_hot(order[:, 0], k) - (one_hot(order[:, 2], k) + one_hot(order[:, 3], k)) / 2
    return quotient(z, one_hot(target, k) - one_hot(y, k), bottom)


def quotient(z, numerator, denominator):
    """(numerator . z) / (denominator . z) and its gradient, for constant selections."""
    a, b = (numerator * z).sum(axis=1, keepdims=True), (denominator * z).sum(axis=1, keepdims=True)
    return (a / b)[:, 0], (numerator - a / b * denominator) / b


def class_losses(prefix, n, classes):
    """Every loss of softmax heads, larger being better for the adversary."""
    z = formula.signed(f"{prefix}.logits", (n, classes), 4).astype(np.float64)
    z[-2, :] = np.linspace(-900, 800, classes)
    z[-1, :] = np.linspace(700, -800, classes)
    y = ((formula.hashes(f"{prefix}.labels", n) >> np.uint64(40)) % np.uint64(classes)).astype(np.int64)
    target = ((y + 1 + np.arange(n) % (classes - 1)) % classes).astype(np.int64)
    out = {"logits": z, "labels": y, "targets": target}
    out["cross_entropy"], out["cross_entropy.grad"] = cross_entropy(z, y), softmax(z) - one_hot(y, classes)
    out["cross_entropy_targeted"] = -cross_entropy(z, target)
    out["cross_entropy_targeted.grad"] = one_hot(target, classes) - softmax(z)
    out["margin"], out["margin.grad"] = margin(z, y)
    out["margin_targeted"], out["margin_targeted.grad"] = (-v for v in margin(z, target))
    if classes >= 3:
        out["dlr"], out["dlr.grad"] = dlr(z, y)
    if classes >= 4:
        out["dlr_targeted"], out["dlr_targeted.grad"] = targeted_dlr(z, y, target)
    weights = formula.unit(f"{prefix}.class_weights", (classes,)).astype(np.float64) + 0.5
    share = weights[y] / weights[y].sum()
    out["class_weights"] = weights
    out["weighted_mean"] = np.array([(share * out["cross_entropy"]).sum()])
    out["weighted_mean.grad"] = share[:, None] * out["cross_entropy.grad"]
    check_class_losses(out)
    return {f"{prefix}.{k}": v for k, v in out.items()}


def check_class_losses(out):
    """The closed forms against automatic differentiation of the textbook expressions."""
    z, y, t = (torch.from_numpy(out[k]) for k in ("logits", "labels", "targets"))
    z.requires_grad_(True)
    rows = torch.arange(len(z))
    without = lambda index: z.masked_fill(F.one_hot(index, z.shape[1]).bool(), -torch.inf).amax(dim=1)
    top = z.sort(dim=1, descending=True).values
    named = {
        "cross_entropy": F.cross_entropy(z, y, reduction="none"),
        "cross_entropy_targeted": -F.cross_entropy(z, t, reduction="none"),
        "margin": without(y) - z[rows, y],
        "margin_targeted": z[rows, t] - without(t),
        "weighted_mean": F.cross_entropy(z, y, torch.from_numpy(out["class_weights"])).reshape(1),
    }
    if z.shape[1] >= 3:
        named["dlr"] = -(z[rows, y] - without(y)) / (top[:, 0] - top[:, 2])
    if z.shape[1] >= 4:
        named["dlr_targeted"] = -(z[rows, y] - z[rows, t]) / (top[:, 0] - (top[:, 2] + top[:, 3]) / 2)
    for name, value in named.items():
        (gradient,) = torch.autograd.grad(value.sum(), z, retain_graph=True)
        np.testing.assert_allclose(out[name], value.detach().numpy(), rtol=1e-12, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(out[f"{name}.grad"], gradient.numpy(), rtol=1e-10, atol=1e-12, err_msg=name)


def finding_losses(prefix, n, findings):
    """Losses of sigmoid heads, one value a finding; `threshold` is the probability at which a finding is called."""
    z = formula.signed(f"{prefix}.logits", (n, findings), 6).astype(np.float64)
    z[-1, :] = np.linspace(-900, 800, findings).astype(np.float32)
    y = ((formula.hashes(f"{prefix}.labels", n * findings) >> np.uint64(40)) % np.uint64(2)).astype(np.int64)
    y = y.reshape(n, findings)
    threshold = 0.1 + 0.8 * formula.unit(f"{prefix}.threshold", (findings,)).astype(np.float64)
    threshold = threshold.astype(np.float32).astype(np.float64)
    sign = 1.0 - 2.0 * y
    per_finding = np.logaddexp(0, sign * z)
    gradient = sign / (1 + np.exp(-np.clip(sign * z, -700, 700)))
    margins = sign * (z - np.log(threshold / (1 - threshold)))
    check = torch.from_numpy(z).requires_grad_(True)
    loss = F.binary_cross_entropy_with_logits(check, torch.from_numpy(y).double(), reduction="none")
    (expected,) = torch.autograd.grad(loss.sum(), check)
    np.testing.assert_allclose(per_finding, loss.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradient, expected.numpy(), rtol=1e-10, atol=1e-12)
    out = {
        "logits": z, "labels": y, "threshold": threshold, "binary_cross_entropy": per_finding,
        "binary_cross_entropy.grad": gradient, "margin": margins, "margin_any": margins.max(axis=1),
        "margin_any.grad": one_hot(margins.argmax(axis=1), findings) * sign,
    }
    return {f"{prefix}.{k}": v for k, v in out.items()}


def write_losses():
    tensors = class_losses("two", 32, 2) | class_losses("three", 32, 3) | class_losses("five", 48, 5)
    write("losses", tensors | finding_losses("one_finding", 32, 1) | finding_losses("findings", 16, 14))


def main():
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["--search"]:
        return [search(name, int(sys.argv[3])) for name in sys.argv[2].split(",")]
    wanted = sys.argv[1:] or [*MODELS, "convolutions", "losses"]
    for name in wanted:
        if name in MODELS:
            write_model(name)
        elif name in ("convolutions", "losses"):
            {"convolutions": write_convolutions, "losses": write_losses}[name]()
        else:
            sys.exit(f"no golden named {name}: there are {', '.join([*MODELS, 'convolutions', 'losses'])}")


if __name__ == "__main__":
    main()

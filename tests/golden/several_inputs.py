"""A network of two inputs and a whole number, and what gradient steps of both inputs at once come to, each within a budget of its own.

    python several_inputs.py

Writes several_inputs/model.onnx, several_inputs/data.npz (arrays x, b, c, y) and several_inputs/expected.safetensors; and a linear model of
numbers and categories (categories.onnx, with two inputs that cut a category in two: categories_cut.onnx) with a synthetic table.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent / "several_inputs"
SAMPLES, EPS_A, EPS_B, STEPS, RELATIVE = 24, 0.5, 0.8, 10, 0.25


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 16), nn.Linear(4, 16), nn.Embedding(5, 16)
        self.out = nn.Linear(16, 3)

    def forward(self, a, b, c):
        return self.out(torch.tanh(self.a(a) + self.b(b) + self.c(c).squeeze(1)))


def attack(net, a0, b0, c, y, move_b):
    a, b = a0.clone(), b0.clone()
    for _ in range(STEPS):
        a.requires_grad_(True)
        b.requires_grad_(True)
        loss = nn.functional.cross_entropy(net(a, b, c), y, reduction="sum")
        ga, gb = torch.autograd.grad(loss, [a, b])
        with torch.no_grad():
            a = (a + RELATIVE * EPS_A * ga.sign()).clamp(a0 - EPS_A, a0 + EPS_A).clamp(-2, 2)
            if move_b:
                b = b + RELATIVE * EPS_B * gb / gb.norm(dim=1, keepdim=True)
                b = b0 + (b - b0) * (EPS_B / (b - b0).norm(dim=1, keepdim=True)).clamp(max=1)
    return a.detach(), b.detach()


class Linear(nn.Module):
    """Class 1 by two numbers and two categories of three, one-hot, each in the order of its names."""

    def __init__(self, generator):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, generator=generator))

    def forward(self, first, second):
        z = (torch.cat([first, second], 1) * self.weight).sum(1)
        return torch.stack([-z, z], 1)


def categories():
    generator = torch.Generator().manual_seed(4)
    net = Linear(generator).eval()
    numbers = (torch.randn(SAMPLES * 2, 2, generator=generator) * 100).round() / 100
    codes = torch.randint(0, 3, (SAMPLES * 2, 2), generator=generator)
    x = torch.cat([numbers, nn.functional.one_hot(codes, 3).flatten(1).float()], 1)
    for name, at in [("categories", 2), ("categories_cut", 3)]:
        torch.onnx.export(
            net, (x[:1, :at], x[:1, at:]), HERE / f"{name}.onnx", input_names=["numbers", "categories"], output_names=["logits"], opset_version=17,
            dynamo=False, dynamic_axes={name: {0: "batch"} for name in ["numbers", "categories", "logits"]},
        )
    rows = ["a,b,k,m,dead"]
    for (a, b), (k, m), z in zip(numbers.tolist(), codes.tolist(), net(x[:, :2], x[:, 2:])[:, 1].tolist()):
        rows.append(f"{a:.2f},{b:.2f},{'pqr'[k]},{'uvw'[m]},{int(z > 0)}")
    (HERE / "categories.csv").write_text("\n".join(rows) + "\n")
    (HERE / "categories.toml").write_text('outcome = "dead == 1"\nclasses = ["no", "yes"]\n')


def main():
    categories()
    torch.manual_seed(3)
    HERE.mkdir(exist_ok=True)
    net = Network().eval()
    a, b = torch.rand(SAMPLES, 6) * 2 - 1, torch.randn(SAMPLES, 4)
    c = torch.randint(0, 5, (SAMPLES, 1))
    y = net(a, b, c).argmax(1)
    torch.onnx.export(
        net, (a[:1], b[:1], c[:1]), HERE / "model.onnx", input_names=["a", "b", "c"], output_names=["logits"], opset_version=17, dynamo=False,
        dynamic_axes={name: {0: "batch"} for name in ["a", "b", "c", "logits"]},
    )
    np.savez(HERE / "data.npz", x=a.numpy(), b=b.numpy(), c=c.numpy(), y=y.numpy())
    both, alone = attack(net, a, b, c, y, True), attack(net, a, b, c, y, False)
    with torch.no_grad():
        logits = net(*both, c)
    tensors = {"both.a": both[0], "both.b": both[1], "both.logits": logits, "alone.a": alone[0], "clean.logits": net(a, b, c).detach()}
    save_file({name: value.contiguous() for name, value in tensors.items()}, HERE / "expected.safetensors")


if __name__ == "__main__":
    main()

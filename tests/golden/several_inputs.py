"""A network of two inputs and a whole number, and what gradient steps of both inputs at once come to, each within a budget of its own.

    python several_inputs.py

Writes several_inputs/model.onnx, several_inputs/data.npz (arrays x, b, c, y) and several_inputs/expected.safetensors.
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


def main():
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

"""The same cells by another tool: raw PyTorch, Foolbox, torchattacks or ART. Needs benches/requirements.txt.

    others.py TOOL --cells FILE [--threads N] [--batch N ...] [--seconds S]

FILE is JSON: `model` (a percuss model folder), `mean` and `std` of its input, `data` (safetensors), `repeat`, `n`, `bounds`, and `cells`, each
with attack (fgsm, bim, pgd), norm, eps, steps, step_size, random_start, seed. One line of JSON comes out: the seconds of all cells one after
the other (loading not counted, one attack before to warm up), at the best of the batch sizes, and every cell's robust accuracy.
"""

import argparse
import importlib.metadata
import json
import math
import os
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/golden"))


class Subject:
    """The model behind its input scaling, and the samples in PyTorch's order: (n, channels, ...)."""

    def __init__(self, torch, file):
        import architectures
        from safetensors.numpy import load_file

        model, config = architectures.load(file["model"])
        arrays = load_file(file["data"])
        x, labels = (arrays[key][: file["n"]] for key in ("inputs", "labels"))
        x = to_model_layout(x.repeat(file["repeat"], axis=0), config)
        self.x = torch.from_numpy(x.copy())
        self.labels = torch.from_numpy(labels.repeat(file["repeat"])).long()
        self.low, self.high = file["bounds"]
        # Frozen parameters: no tool is charged for gradients to weights that nobody asked for.
        self.model = scaled(torch, model.requires_grad_(False), file["mean"], file["std"], x.ndim).eval()
        self.classes = self.model(self.x[:2]).shape[1]


def to_model_layout(x, config):
    kind = config["architecture"]
    if kind == "mlp":
        return x.reshape(len(x), -1)
    if kind == "resnet1d":
        return x.reshape(len(x), -1, config["in_channels"]).transpose(0, 2, 1)
    return x.transpose(0, 3, 1, 2)


def scaled(torch, model, mean, std, rank):
    """`model((x - mean) / std)`, values one a channel or one for all."""

    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            shape = (1, -1, *[1] * (rank - 2))
            self.model = model
            self.mean = torch.tensor(mean, dtype=torch.float32).reshape(shape)
            self.std = torch.tensor(std, dtype=torch.float32).reshape(shape)

        def forward(self, x):
            return self.model((x - self.mean) / self.std)

    return Scaled()


def length(x):
    """The l2 length of every sample, shaped to broadcast."""
    return x.flatten(1).norm(dim=1).clamp_min(1e-12).reshape(-1, *[1] * (x.dim() - 1))


def pytorch(torch, subject, cell):
    """Projected gradient descent as a person would write it, without wasted work."""
    eps, linf = cell["eps"], cell["norm"] == "linf"

    def project(adversarial, x):
        if linf:
            adversarial = torch.clamp(adversarial, x - eps, x + eps)
        else:
            change = adversarial - x
            adversarial = x + change * (eps / length(change)).clamp_max(1)
        return adversarial.clamp_(subject.low, subject.high)

    def start(x):
        if linf:
            return project(x + torch.empty_like(x).uniform_(-eps, eps), x)
        change = torch.randn_like(x)
        radius = eps * torch.rand(len(x), *[1] * (x.dim() - 1)) ** (1 / x[0].numel())
        return project(x + change / length(change) * radius, x)

    def attack(x, labels):
        adversarial = start(x) if cell["random_start"] else x.clone()
        for _ in range(cell["steps"]):
            adversarial.requires_grad_(True)
            loss = torch.nn.functional.cross_entropy(subject.model(adversarial), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, adversarial)
            with torch.no_grad():
                along = gradient.sign() if linf else gradient / length(gradient)
                adversarial = project(adversarial + cell["step_size"] * along, x)
        return adversarial

    return attack


def foolbox(torch, subject, cell):
    import foolbox

    suffix = {"fgsm": "FastGradientAttack", "bim": "BasicIterativeAttack", "pgd": "ProjectedGradientDescentAttack"}
    kind = getattr(foolbox.attacks, {"linf": "Linf", "l2": "L2"}[cell["norm"]] + suffix[cell["attack"]])
    arguments = {"random_start": cell["random_start"]}
    if cell["attack"] != "fgsm":
        arguments |= {"steps": cell["steps"], "abs_stepsize": cell["step_size"]}
    model = foolbox.PyTorchModel(subject.model, (subject.low, subject.high), "cpu")
    attack = kind(**arguments)
    return lambda x, labels: attack(model, x, labels, epsilons=cell["eps"])[1]


def torchattacks(torch, subject, cell):
    """Its inputs lie in [0, 1], so the model gets its units back."""
    import torchattacks

    span = subject.high - subject.low
    model = lambda x: subject.model(x * span + subject.low)
    wrapped = torch.nn.Module()
    wrapped.forward = model
    eps, step = cell["eps"] / span, cell["step_size"] / span
    if cell["norm"] == "linf":
        attack = torchattacks.PGD(wrapped.eval(), eps=eps, alpha=step, steps=cell["steps"], random_start=cell["random_start"])
    else:
        attack = torchattacks.PGDL2(wrapped.eval(), eps=eps, alpha=step, steps=cell["steps"], random_start=cell["random_start"])
    attack.set_device(torch.device("cpu"))
    return lambda x, labels: attack((x - subject.low) / span, labels) * span + subject.low


def art(torch, subject, cell):
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        subject.model, torch.nn.CrossEntropyLoss(), tuple(subject.x.shape[1:]), subject.classes,
        clip_values=(subject.low, subject.high), device_type="cpu",
    )
    attack = ProjectedGradientDescentPyTorch(
        classifier, norm=math.inf if cell["norm"] == "linf" else 2, eps=cell["eps"], eps_step=cell["step_size"], max_iter=cell["steps"],
        num_random_init=int(cell["random_start"]), batch_size=len(subject.x), verbose=False,
    )
    return lambda x, labels: torch.from_numpy(attack.generate(x.numpy(), torch.nn.functional.one_hot(labels, subject.classes).numpy()))


TOOLS = {"pytorch": (pytorch, "torch"), "foolbox": (foolbox, "foolbox"), "torchattacks": (torchattacks, "torchattacks"), "art": (art, "adversarial-robustness-toolbox")}


def run_cell(torch, build, subject, right, cell, batch):
    """The share of samples that are right when clean and right under attack."""
    torch.manual_seed(cell.get("seed") or 0)
    attack = build(torch, subject, cell)
    robust = 0
    for start in range(0, len(subject.x), batch):
        x, labels = subject.x[start : start + batch], subject.labels[start : start + batch]
        adversarial = attack(x, labels)
        with torch.no_grad():
            under = subject.model(adversarial).argmax(dim=1) == labels
        robust += (under & right[start : start + batch]).sum().item()
    return robust / len(subject.x)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("--cells", required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, nargs="+", default=[512])
    parser.add_argument("--seconds", type=float, default=0.0, help="repeat for so long, and take the best time")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    import torch

    torch.set_num_threads(options.threads)
    file = json.loads(Path(options.cells).read_text())
    subject = Subject(torch, file)
    build, package = TOOLS[options.tool]
    with torch.no_grad():
        right = torch.cat([subject.model(x).argmax(dim=1) for x in subject.x.split(512)]) == subject.labels
    best, robust = (math.inf, 0), None
    for batch in options.batch:
        run_cell(torch, build, subject, right, file["cells"][0] | {"steps": 1}, batch)
        spent = 0.0
        while True:
            start = time.perf_counter()
            robust = [run_cell(torch, build, subject, right, cell, batch) for cell in file["cells"]]
            took = time.perf_counter() - start
            best, spent = min(best, (took, batch)), spent + took
            if spent >= options.seconds:
                break
    print(json.dumps({
        "tool": options.tool, "version": importlib.metadata.version(package), "seconds": round(best[0], 3), "batch": best[1],
        "robust_accuracy": robust,
    }), flush=True)


if __name__ == "__main__":
    main()

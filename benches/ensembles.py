"""Training of ensembles by percuss, by a loop of PyTorch, and by torch.func's vmap, in one run on the same cores.

    python benches/ensembles.py [--threads N] [--model mlp ecg] [--loop-members N]

The same architecture, samples, number of members, steps, minibatch size and AdamW for all three. The loop trains --loop-members of the members
one after the other, and its time is scaled to all of them (the members do the same work). No time is printed before the mean training losses of
the last epoch agree within 5 percent: seeds differ, the mean over members must not. Writes benches/results/DATE-ensembles.csv.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional as F

from compare import ROOT, Records, last_line

sys.path.insert(0, str(ROOT / "tests/golden"))
import architectures  # noqa: E402


def load(folder, work):
    arrays = load_file(Path(folder) / f"{work['name']}.safetensors")
    x, y = torch.from_numpy(arrays["inputs"]), torch.from_numpy(arrays["labels"]).long()
    return (x if work["config"]["architecture"] == "mlp" else x[:, None, :]), y


def built(config):
    model = architectures.build(config)
    for module in model.modules():
        # As torch.nn's layers start by default, in every tool; running averages cannot be updated under vmap.
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.track_running_stats, module.running_mean, module.running_var, module.num_batches_tracked = False, None, None, None
    return model.train()


def loop(work, x, y, members):
    began, losses = time.perf_counter(), []
    for seed in range(members):
        torch.manual_seed(seed)
        model = built(work["config"])
        optimiser = torch.optim.AdamW(model.parameters(), lr=work["rate"], weight_decay=work["weight_decay"])
        for _ in range(work["epochs"]):
            total, steps = 0.0, work["n"] // work["batch"]
            for chosen in torch.randperm(work["n"])[: steps * work["batch"]].split(work["batch"]):
                optimiser.zero_grad()
                loss = F.cross_entropy(model(x[chosen]), y[chosen])
                loss.backward()
                optimiser.step()
                total += loss.item()
        losses.append(total / steps)
    return (time.perf_counter() - began) * work["members"] / members, float(np.mean(losses))


def together(work, x, y):
    """All members in one vmap, AdamW written over the stacked parameters."""
    models = []
    for seed in range(work["members"]):
        torch.manual_seed(seed)
        models.append(built(work["config"]))
    parameters, _ = stack_module_state(models)
    parameters = {k: v.detach() for k, v in parameters.items()}
    first, second = ({k: torch.zeros_like(v) for k, v in parameters.items()} for _ in range(2))
    skeleton = models[0].to("meta")

    def loss_of(parameters, x, y):
        return F.cross_entropy(functional_call(skeleton, parameters, (x,)), y)

    step_of = vmap(grad_and_value(loss_of))
    rate, decay, members = work["rate"], work["weight_decay"], work["members"]
    began, t = time.perf_counter(), 0
    steps = work["n"] // work["batch"]
    for _ in range(work["epochs"]):
        order = torch.stack([torch.randperm(work["n"]) for _ in range(members)])
        total = torch.zeros(members)
        for step in range(steps):
            chosen = order[:, step * work["batch"] : (step + 1) * work["batch"]]
            gradients, losses = step_of(parameters, x[chosen], y[chosen])
            total += losses
            t += 1
            with torch.no_grad():
                for k, g in gradients.items():
                    first[k].mul_(0.9).add_(g, alpha=0.1)
                    second[k].mul_(0.999).addcmul_(g, g, value=0.001)
                    parameters[k].mul_(1 - rate * decay)
                    deviation = (second[k] / (1 - 0.999**t)).sqrt_().add_(1e-8)
                    parameters[k].addcdiv_(first[k], deviation, value=-rate / (1 - 0.9**t))
    return time.perf_counter() - began, float((total / steps).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", nargs="*", default=["mlp", "ecg"], choices=["mlp", "ecg"])
    parser.add_argument("--loop-members", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    records = Records()
    with tempfile.TemporaryDirectory() as folder:
        lines = last_line(["cargo", "bench", "--locked", "--bench", "ensembles", "--", folder, options.threads])
        for work in (line for line in lines if line["name"] in options.model):
            x, y = load(folder, work)
            about = {"workload": "ensemble", "model": work["name"], "members": work["members"], "samples": work["n"], "threads": options.threads}
            found = {"percuss": (work["seconds"], work["loss"]), "pytorch loop": loop(work, x, y, min(options.loop_members, work["members"])),
                     "torch.func vmap": together(work, x, y)}
            for tool, (_, loss) in found.items():
                if abs(loss / work["loss"] - 1) > 0.05:
                    raise SystemExit(f"{work['name']}: mean loss {work['loss']:.4f} by percuss, {loss:.4f} by {tool}; no time is worth printing")
            for tool, (seconds, loss) in found.items():
                records.add(**about, tool=tool, seconds=round(seconds, 3), times_as_fast=round(seconds / work["seconds"], 2), loss=round(loss, 4))
    path = ROOT / "benches/results" / f"{records.about['date']}-ensembles.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, records.rows[0].keys())
        writer.writeheader()
        writer.writerows(records.rows)
    print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

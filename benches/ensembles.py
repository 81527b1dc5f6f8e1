"""Training of ensembles by percuss, by a loop of PyTorch, and by torch.func's vmap, in one run on the same cores.

    python benches/ensembles.py [--threads N] [--model mlp ecg] [--rounds N] [--loop-members N]

The same architecture, initial distribution, samples, number of members, steps, minibatch size and AdamW for all. Every tool trains once before
anything is timed (PyTorch imports much of itself at its first step). Then come rounds, in each of which every tool trains once, in an order that
turns from round to round; a ratio is that of two times of one round, and the median over rounds is reported with the smallest and largest. The
loop trains --loop-members of the members one after the other, other seeds in every round, and its time is scaled to all of them (members do the
same work). It runs with PyTorch's default AdamW and with its fused one. No time is printed before the mean training losses of the last epoch
agree within 5 percent: seeds differ, the mean over members must not. Writes benches/results/DATE-ensembles.csv.
"""

import argparse
import os
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


BENCH = ["cargo", "bench", "--locked", "--quiet", "--bench", "ensembles", "--"]


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


def loop(work, x, y, seeds, fused):
    began, losses = time.perf_counter(), []
    for seed in seeds:
        torch.manual_seed(seed)
        model = built(work["config"])
        optimiser = torch.optim.AdamW(model.parameters(), lr=work["rate"], weight_decay=work["weight_decay"], fused=fused)
        for _ in range(work["epochs"]):
            total, steps = 0.0, work["n"] // work["batch"]
            for chosen in torch.randperm(work["n"])[: steps * work["batch"]].split(work["batch"]):
                optimiser.zero_grad()
                loss = F.cross_entropy(model(x[chosen]), y[chosen])
                loss.backward()
                optimiser.step()
                total += loss.item()
        losses.append(total / steps)
    return (time.perf_counter() - began) * work["members"] / len(seeds), losses


def together(work, x, y, round):
    """All members in one vmap, AdamW written over the stacked parameters."""
    models = []
    for seed in range(work["members"]):
        torch.manual_seed(10_000 * (round + 1) + seed)
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
    return time.perf_counter() - began, (total / steps).tolist()


def measure(name, folder, options):
    """Rounds of one ensemble: what was trained, and for each tool its seconds in every round and the losses of its members."""
    command = [*BENCH, folder, options.threads, name]
    work = last_line(command)[0]
    x, y = load(folder, work)
    few = min(options.loop_members, work["members"])

    def percuss(_):
        line = last_line(command)[0]
        return line["seconds"], line["losses"]

    def seeds(round):
        return [1000 + few * round + i for i in range(few)]

    tools = {
        "percuss": percuss,
        "pytorch loop": lambda round: loop(work, x, y, seeds(round), False),
        "pytorch loop, fused AdamW": lambda round: loop(work, x, y, seeds(round), True),
        "torch.func vmap": lambda round: together(work, x, y, round),
    }
    loop(work | {"epochs": 1}, x, y, [0], False), loop(work | {"epochs": 1}, x, y, [0], True), together(work | {"epochs": 1}, x, y, 0)
    seconds, losses = {tool: [] for tool in tools}, {tool: [] for tool in tools}
    for round in range(options.rounds):
        order = list(tools)
        for tool in order[round % len(order) :] + order[: round % len(order)]:
            took, found = tools[tool](round)
            seconds[tool].append(took)
            losses[tool] += found
    return work, seconds, {tool: float(np.mean(found)) for tool, found in losses.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", nargs="*", default=["mlp", "ecg"], choices=["mlp", "ecg"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loop-members", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    records = Records()
    for name in options.model:
        with tempfile.TemporaryDirectory() as folder:
            work, seconds, losses = measure(name, folder, options)
        for tool, loss in losses.items():
            if abs(loss / losses["percuss"] - 1) > 0.05:
                raise SystemExit(f"{name}: mean loss {losses['percuss']:.4f} by percuss, {loss:.4f} by {tool}; no time is worth printing")
        about = {"workload": "ensemble", "model": name, "members": work["members"], "samples": work["n"], "threads": options.threads}
        for tool, times in seconds.items():
            ratios = np.divide(times, seconds["percuss"])
            records.add(
                **about, tool=tool, rounds=options.rounds, seconds=round(float(np.median(times)), 3), times_as_fast=round(float(np.median(ratios)), 2),
                lowest=round(float(ratios.min()), 2), highest=round(float(ratios.max()), 2), loss=round(losses[tool], 4), load=round(os.getloadavg()[1], 1),
            )
    records.write("ensembles")


if __name__ == "__main__":
    main()

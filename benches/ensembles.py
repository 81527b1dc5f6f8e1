"""Training of ensembles by percuss, by a loop of PyTorch, and by torch.func's vmap, in one run on the same cores.

    python benches/ensembles.py [--threads N] [--model mlp ecg] [--rounds N] [--loop-members N] [--binary FILE]

The same architecture, initial distribution, samples, number of members, steps, minibatch size and AdamW for all. Every tool trains once before
anything is timed (PyTorch imports much of itself at its first step). Then come rounds, in each of which every tool trains once, in an order that
turns from round to round; a ratio is that of two times of one round, and the median over rounds is reported with the smallest and largest. The
loop trains --loop-members of the members one after the other, other seeds in every round, and its time is scaled to all of them (members do the
same work). It runs with PyTorch's default AdamW and with its fused one. No time is printed before the mean training losses of the last epoch
agree within 5 percent: seeds differ, the mean over members must not. Beside the clock's time stands the processor's, of all threads, which other
work on the machine disturbs less (PyTorch's waiting threads count in it). Writes benches/results/DATE-ensembles.csv.
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


def timed(train):
    """Seconds of the clock and of the processor, and what was returned."""
    began, used = time.perf_counter(), time.process_time()
    found = train()
    return np.array([time.perf_counter() - began, time.process_time() - used]), found


def loop(work, x, y, seeds, fused):
    losses = []
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
    return losses


def stacked(work, round):
    """The members' initial parameters, stacked, and a model without any: made before the clock starts, which is to vmap's advantage."""
    models = []
    for seed in range(work["members"]):
        torch.manual_seed(10_000 * (round + 1) + seed)
        models.append(built(work["config"]))
    parameters, _ = stack_module_state(models)
    return {k: v.detach() for k, v in parameters.items()}, models[0].to("meta")


def together(work, x, y, parameters, skeleton):
    """All members in one vmap, AdamW written over the stacked parameters."""
    first, second = ({k: torch.zeros_like(v) for k, v in parameters.items()} for _ in range(2))

    def loss_of(parameters, x, y):
        return F.cross_entropy(functional_call(skeleton, parameters, (x,)), y)

    step_of = vmap(grad_and_value(loss_of))
    rate, decay, members = work["rate"], work["weight_decay"], work["members"]
    t = 0
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
    return (total / steps).tolist()


def measure(name, folder, options):
    """Rounds of one ensemble: what was trained, and for each tool its seconds in every round and the losses of its members."""
    command = [*([options.binary] if options.binary else BENCH), folder, options.threads, name]
    work = last_line(command)[0]
    x, y = load(folder, work)
    few = min(options.loop_members, work["members"])

    def percuss(_):
        line = last_line(command)[0]
        return np.array([line["seconds"], line["processor"]]), line["losses"]

    def few_of_them(round, fused):
        took, found = timed(lambda: loop(work, x, y, seeds(round), fused))
        return took * work["members"] / few, found

    def seeds(round):
        return [1000 + few * round + i for i in range(few)]

    def all_of_them(round):
        start = stacked(work, round)
        return timed(lambda: together(work, x, y, *start))

    tools = {
        "percuss": percuss,
        "pytorch loop": lambda round: few_of_them(round, False),
        "pytorch loop, fused AdamW": lambda round: few_of_them(round, True),
        "torch.func vmap": all_of_them,
    }
    loop(work | {"epochs": 1}, x, y, [0], False), loop(work | {"epochs": 1}, x, y, [0], True), together(work | {"epochs": 1}, x, y, *stacked(work, 0))
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
    parser.add_argument("--binary", help="benches/ensembles as cargo built it, so that nothing is built here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    records = Records()
    for name in options.model:
        with tempfile.TemporaryDirectory() as folder:
            work, seconds, losses = measure(name, folder, options)
        for tool, loss in losses.items():
            if abs(loss / losses["percuss"] - 1) > 0.05:
                raise SystemExit(f"{name}: mean loss {losses['percuss']:.4f} by percuss, {loss:.4f} by {tool}; no time is worth printing")
        about = {"workload": f"ensemble by {options.threads}", "model": name, "members": work["members"], "samples": work["n"], "threads": options.threads}
        for tool, times in seconds.items():
            ratios = np.divide(times, seconds["percuss"])
            (clock, processor), (fast, lean) = np.median(times, axis=0), np.median(ratios, axis=0)
            records.add(
                **about, tool=tool, rounds=options.rounds, seconds=f"{clock:.3f}", times_as_fast=f"{fast:.2f}", lowest=f"{ratios[:, 0].min():.2f}",
                highest=f"{ratios[:, 0].max():.2f}", processor_seconds=f"{processor:.2f}", processor_times=f"{lean:.2f}", loss=f"{losses[tool]:.4f}",
                load=f"{os.getloadavg()[1]:.1f}",
            )
    records.write("ensembles")


if __name__ == "__main__":
    main()

"""ViT-B/16 by percuss and by PyTorch on the same cores, weights and images: `python benches/vit.py [--threads N] [--images N] [--rounds N]`.

The two take turns, round by round, so that whatever else the machine does meets both; a ratio is the median over pairs of rounds, once of the time by the clock, once
of the processors' time, which others on the machine take less from. No time is printed before logits and input gradients agree to 1e-3 of their largest. Needs torch and timm (tests/golden/requirements.txt).
"""

import argparse
import csv
import datetime
import glob
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/golden"), str(ROOT / "benches")]


def percuss(threads, images):
    subprocess.run(["cargo", "build", "--release", "--locked", "--workspace", "--bench", "vit"], cwd=ROOT, check=True)
    binary = max(glob.glob(str(ROOT / "target/release/deps/vit-*[0-9a-f]")), key=os.path.getmtime)
    process = subprocess.Popen([binary, str(threads), str(images)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


def ask(process, line):
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", action="store_true", help="append to a dated file in benches/results")
    arguments = parser.parse_args()
    threads, images = arguments.threads, arguments.images
    import timm
    import torch
    from torch.nn import functional as F

    import compare
    import formula

    torch.set_num_threads(threads)
    model = timm.create_model("vit_base_patch16_224").eval()
    state = model.state_dict()
    for name, value in state.items():
        special = name in ("cls_token", "pos_embed")
        shape = tuple(value.shape)
        state[name] = torch.from_numpy(formula.signed(name, shape, 0.02) if special else formula.parameter(name, shape))
    model.load_state_dict(state)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    x = np.stack([formula.signed(f"image {i}", (224, 224, 3)) for i in range(images)])
    x = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
    labels = torch.arange(images)

    def gradient():
        leaf = x.clone().requires_grad_()
        logits = model(leaf)
        F.cross_entropy(logits, labels, reduction="sum").backward()
        return logits.detach(), leaf.grad

    def forward():
        with torch.no_grad():
            return model(x)

    process = percuss(threads, images)
    ask(process, "gradient")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "values")
        ask(process, path)
        found = np.fromfile(path, np.float32)
    logits, slope = gradient()
    errors = []
    for mine, theirs in [(found[: 1000 * images], logits.numpy()), (found[1000 * images :], slope.permute(0, 2, 3, 1).numpy())]:
        errors.append(np.abs(mine - theirs.ravel()).max() / np.abs(theirs).max())
    print(f"logits differ by {errors[0]:.1e}, gradients by {errors[1]:.1e} of the largest")
    assert max(errors) < 1e-3, "the two do not agree"
    rows = []
    for what, run in [("forward", forward), ("gradient", gradient)]:
        run()
        ask(process, what)
        rounds = {"percuss": [], "torch": []}
        for _ in range(arguments.rounds):
            rounds["percuss"].append([float(value) for value in ask(process, what).split()])
            began, before = time.perf_counter(), time.process_time()
            run()
            rounds["torch"].append([time.perf_counter() - began, time.process_time() - before])
        for which, kind in enumerate(["clock", "processors"]):
            times = {tool: [seconds[which] for seconds in found] for tool, found in rounds.items()}
            ratio = statistics.median(theirs / mine for mine, theirs in zip(times["percuss"], times["torch"]))
            medians = {tool: statistics.median(found) for tool, found in times.items()}
            least = {tool: min(found) for tool, found in times.items()}
            print(
                f"{what:9} {kind:10} {images} images, {threads} threads: percuss {medians['percuss']:.3f} s, PyTorch {medians['torch']:.3f} s (least "
                f"{least['percuss']:.3f} and {least['torch']:.3f}); PyTorch's time over percuss's, median of pairs: {ratio:.2f}"
            )
            for tool in times:
                rows.append([what, kind, tool, threads, images, f"{medians[tool]:.4f}", f"{least[tool]:.4f}", f"{ratio:.3f}"])
    process.stdin.close()
    if arguments.write:
        path = ROOT / f"benches/results/{datetime.date.today()}-vit.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            out = csv.writer(file)
            if new:
                out.writerow(["commit", "processor", "what", "seconds_of", "tool", "threads", "images", "median_s", "least_s", "median_ratio_torch_to_percuss"])
            versions = f"torch {torch.__version__}"
            for row in rows:
                tool = versions if row[2] == "torch" else row[2]
                out.writerow([compare.commit(), compare.processor(), *row[:2], tool, *row[3:]])


if __name__ == "__main__":
    main()

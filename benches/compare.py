"""percuss and other tools on the same cells, models, samples and cores, in one run: prints times, writes a dated CSV file.

    python benches/compare.py [one] [ladder] [study] [growth] [--model NAME ...] [--threads N] [--tools NAME ...]

one: PGD-40, one budget. ladder: PGD-40 over 20 budgets. study: at least 1,000 cells of FGSM, BIM and PGD in two norms, over budgets, steps,
step sizes and seeds. growth: 10 to 10,000 cells of PGD by 1 and 2 threads, time and peak memory.

percuss runs each twice, with stop = "steps", as the others do, and with "success", where a lane may stop at its first success. Its time is that
of `percuss sweep` from when models and data are loaded until tables, curves and picture are written; theirs that of the attacks and
predictions alone: `one` at their best batch size, the others with all samples in one batch. No time is printed before the answers agree: the mean robust accuracy over the cells within half a
point, or lower where lanes stop. Needs benches/requirements.txt.
"""

import argparse
import csv
import datetime
import glob
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parent.parent
PERCUSS = ROOT / "target/release/percuss"
# For each model: samples of `one` (and how often they are repeated), of `ladder`, of `study` and of `growth`; batch sizes that others try;
# the largest budgets in linf and l2.
MODELS = {
    "mlp": {"one": (1024, 16), "ladder": 1024, "study": 200, "growth": 100, "batch": [1024, 4096, 16384], "linf": 0.5, "l2": 2.0},
    "cnn": {"one": (512, 1), "ladder": 128, "study": 20, "growth": 8, "batch": [64, 128, 256], "linf": 8.0, "l2": 150.0},
    "resnet1d": {"one": (1024, 1), "ladder": 256, "study": 20, "growth": 8, "batch": [128, 256, 1024], "linf": 0.1, "l2": 1.0},
    "resnet18": {"one": (32, 1), "ladder": 8, "study": 2, "growth": 1, "batch": [4, 16, 32], "linf": 4.0, "l2": 75.0},
}
HALF_A_POINT = 0.005


def last_line(command, **more):
    text = subprocess.run([str(part) for part in command], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, **more).stdout
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def watch_memory(pid, peak):
    """Keeps the largest resident set in kB that the kernel reports while the process lives. (wait4 would count the parent's, from before exec.)"""
    try:
        while True:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            found = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
            if not found:
                return
            peak[0] = max(peak[0], *found)
            time.sleep(0.01)
    except OSError:
        return


def processor():
    try:
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        return names[0].split(":", 1)[1].strip()
    except (OSError, IndexError):
        return platform.processor()


def commit():
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()


def tables(workload, size, cells=None):
    """The `[[attack]]` tables of a workload."""
    linf, l2 = size["linf"], size["l2"]
    pgd = '[[attack]]\nkind = "bim"\nsteps = 40\nstep_size = {{ rel = 0.1 }}\nbudget = [{{ norm = "linf", eps = {eps} }}]\n'
    ladder = lambda most, count: most if count == 1 else f"{{ linspace = [{most / count}, {most}, {count}] }}"
    if workload == "one":
        return pgd.format(eps=linf / 4)
    if workload == "ladder":
        return pgd.format(eps=ladder(linf, 20))
    if workload == "study":
        return f"""[[attack]]
kind = "fgsm"
projection = "scale"
budget = [{{ norm = "linf", eps = {ladder(linf, 20)} }}, {{ norm = "l2", eps = {ladder(l2, 20)} }}]
[[attack]]
kind = ["bim", "pgd"]
steps = [5, 10, 20]
step_size = [{{ rel = 0.1 }}, {{ rel = 0.25 }}]
projection = "scale"
budget = [{{ norm = "linf", eps = {ladder(linf, 20)} }}, {{ norm = "l2", eps = {ladder(l2, 20)} }}]
"""
    return f"""[[attack]]
kind = "pgd"
steps = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
step_size = {{ rel = 0.25 }}
budget = [{{ norm = "linf", eps = {ladder(linf, cells // 10)} }}]
"""


class Workload:
    """A study file, its data, and the same for other tools, in a folder."""

    def __init__(self, folder, subject, name, cells=None):
        self.name, self.subject, self.folder = name, subject, folder
        size = MODELS[subject["name"]]
        self.n, self.repeat = size["one"] if name == "one" else (size[name], 1)
        self.text = tables(name, size, cells)
        arrays = load_file(folder.parent / f"{subject['name']}.safetensors")
        folder.mkdir()
        x, labels = arrays["inputs"][: self.n], arrays["labels"][: self.n].astype(np.int64)
        self.n = len(x)
        np.savez(folder / "data.npz", x=x.repeat(self.repeat, axis=0), y=labels.repeat(self.repeat))
        self.bounds = [float(x.min()), float(x.max())]

    def percuss(self, stop, threads, best_of=1):
        """The report of the fastest run, with its cells and the peak memory in MB."""
        study = self.folder / f"{stop}.toml"
        attacks = self.text.replace("[[attack]]\n", f'[[attack]]\nstop = "{stop}"\n')
        study.write_text(
            f'name = "{self.name}"\nseeds = {[0] if self.name == "growth" else [0, 1, 2]}\n[[data]]\nid = "data"\npath = "data.npz"\nsplit = "all"\n'
            f'[[model]]\nid = "model"\npath = "{self.subject["model"]}"\ndata = ["data"]\n'
            f'input = {{ mean = {self.subject["mean"]}, std = {self.subject["std"]} }}\n{attacks}'
        )
        best = None
        for run in range(best_of):
            out = self.folder / f"{stop}-{threads}-{run}"
            command = [PERCUSS, "sweep", study, "--device", "cpu", "--threads", threads, "--json", "--out", out]
            with open(self.folder / "progress", "w+") as progress:
                process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=progress, text=True)
                peak = [0]
                watch = threading.Thread(target=watch_memory, args=(process.pid, peak))
                watch.start()
                text = process.stdout.read()
                status = process.wait()
                watch.join()
                if status:
                    progress.seek(0)
                    raise SystemExit(f"percuss sweep {study} failed: {progress.read()}")
            report = json.loads(text.splitlines()[-1])
            report["seconds"] -= report["loading_seconds"]
            report["peak_mb"] = peak[0] / 1024
            if best is None or report["seconds"] < best["seconds"]:
                best = report
        best["table"] = pd.concat(map(pd.read_parquet, glob.glob(f"{best['out']}/cells-*.parquet")))
        return best

    def others(self, table):
        """The cells for `others.py`."""
        columns = ["attack", "norm", "eps", "steps", "step_size", "random_start", "seed"]
        cells = json.loads(table[columns].to_json(orient="records"))
        for cell in cells:
            cell["random_start"] = bool(cell["random_start"])
        file = self.folder / "cells.json"
        file.write_text(json.dumps({
            "model": self.subject["model"], "mean": self.subject["mean"], "std": self.subject["std"], "bounds": self.bounds,
            "data": str(self.folder.parent / f"{self.subject['name']}.safetensors"), "n": self.n, "repeat": self.repeat, "cells": cells,
        }))
        return file


def agree(what, ours, theirs, lower_is_fine):
    difference = ours - theirs
    if difference > HALF_A_POINT or (difference < -HALF_A_POINT and not lower_is_fine):
        raise SystemExit(f"{what}: mean robust accuracy {ours:.4f} by percuss, {theirs:.4f} by the other; no time is worth printing")


class Records:
    def __init__(self):
        self.rows = []
        self.about = {
            "date": datetime.date.today().isoformat(), "device": processor(), "driver": "", "commit": commit(),
            "platform": platform.platform(), "python": platform.python_version(), "torch": importlib.metadata.version("torch"),
        }

    def add(self, **row):
        self.rows.append(row | self.about)
        print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)

    def write(self, name):
        folder = ROOT / "benches/results"
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.about['date']}-{name}.csv"
        # Models that were measured apart share a file.
        known = list(csv.DictReader(path.open())) if path.exists() else []
        new = {(row["workload"], row["model"]) for row in self.rows}
        rows = [row for row in known if (row["workload"], row["model"]) not in new] + self.rows
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, self.rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        print(f"written: {path.relative_to(ROOT)}")


def compare(records, folder, subject, name, options):
    workload = Workload(folder / f"{subject['name']}-{name}", subject, name)
    best_of = {"one": 5, "ladder": 2, "study": 1}[name]
    ours = {stop: workload.percuss(stop, options.threads, best_of) for stop in ["steps", "success"]}
    file = workload.others(ours["steps"]["table"])
    tools = [tool for tool in options.tools if name != "study" or tool in ["pytorch", "foolbox"]]
    # In the other workloads all samples are one batch.
    batches = [batch for batch in MODELS[subject["name"]]["batch"] if name == "one"] or [workload.n]
    theirs = [
        last_line([sys.executable, "benches/others.py", tool, "--cells", file, "--threads", options.threads, "--seconds",
                   3.0 if name == "one" else 0.0, "--batch", *batches])[0]
        for tool in tools
    ]
    mean = {stop: report["table"]["robust_accuracy"].mean() for stop, report in ours.items()}
    for other in theirs:
        other["mean"] = float(np.mean(other["robust_accuracy"]))
        for stop in ours:
            agree(f"{name} on {subject['name']}, {other['tool']}, stop = {stop}", mean[stop], other["mean"], stop == "success")
    about = {"workload": name, "model": subject["name"], "cells": len(ours["steps"]["table"]), "samples": workload.n * workload.repeat, "threads": options.threads}
    for stop, report in ours.items():
        records.add(**about, tool="percuss", version=report["table"]["version"].iloc[0], stop=stop, batch="", seconds=round(report["seconds"], 3),
                    times_as_fast=1.0, robust_accuracy=round(mean[stop], 4), peak_mb=round(report["peak_mb"]))
    for other in theirs:
        ratio = {stop: round(other["seconds"] / report["seconds"], 2) for stop, report in ours.items()}
        records.add(**about, tool=other["tool"], version=other["version"], stop="steps", batch=other["batch"], seconds=other["seconds"],
                    times_as_fast=ratio["steps"], robust_accuracy=round(other["mean"], 4), peak_mb="")
        print(f"    percuss is {ratio['steps']} times as fast as {other['tool']}; where lanes stop at success {ratio['success']} times", flush=True)
    records.write("bench")


def growth(records, folder, subject, options):
    for threads in sorted({1, options.threads}):
        for cells in [10, 100, 1000, 10_000]:
            workload = Workload(folder / f"{subject['name']}-growth-{threads}-{cells}", subject, "growth", cells)
            report = workload.percuss("success", threads)
            records.add(workload="growth", model=subject["name"], cells=len(report["table"]), samples=workload.n, threads=threads, tool="percuss",
                        version=report["table"]["version"].iloc[0], stop="success", batch="", seconds=round(report["seconds"], 3), times_as_fast=1.0,
                        robust_accuracy=round(report["table"]["robust_accuracy"].mean(), 4), peak_mb=round(report["peak_mb"]))
    records.write("bench")


def main():
    workloads = ["one", "ladder", "study", "growth"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[*workloads, []], help="all, if none is named")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", nargs="*", default=list(MODELS), choices=MODELS)
    parser.add_argument("--tools", nargs="*", default=["pytorch", "foolbox", "torchattacks", "art"])
    options = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    records = Records()
    with tempfile.TemporaryDirectory() as folder:
        data = [os.environ["PERCUSS_DATA"]] if os.environ.get("PERCUSS_DATA") else []
        subjects = last_line(["cargo", "bench", "--locked", "--bench", "export", "--", folder, *data])
        for subject in (subject for subject in subjects if subject["name"] in options.model):
            for name in options.what or workloads:
                if name == "growth":
                    growth(records, Path(folder), subject, options)
                else:
                    compare(records, Path(folder), subject, name, options)


if __name__ == "__main__":
    main()

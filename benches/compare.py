"""percuss and other tools in one run on the same cores: prints ratios, writes dated CSV files.

    python benches/compare.py [pgd40] [cells] [--threads N] [--model NAME ...]

pgd40: sample-steps per second of one PGD-40 by percuss, raw PyTorch, Foolbox and torchattacks.
cells: wall time of `percuss demo`, start-up counted, against a loop of Foolbox calls over the same cells.
Needs the packages of tests/golden/requirements.txt. A ratio above 1 means that percuss is faster.
"""

import argparse
import csv
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODELS = ["mlp", "cnn", "resnet1d", "resnet18"]


def lines(command):
    text = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def processor():
    try:
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        return names[0].split(":", 1)[1].strip()
    except (OSError, IndexError):
        return platform.processor()


def commit():
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()


def write(name, rows):
    folder = ROOT / "benches/results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{datetime.date.today().isoformat()}-{name}.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    print(f"written: {path.relative_to(ROOT)}")


def pgd40(options):
    rows = []
    for model in options.model:
        ours = lines(["cargo", "bench", "--locked", "--bench", "pgd40", "--", str(options.threads), model])
        others = lines([sys.executable, "benches/others.py", "pgd40", "--model", model, "--threads", str(options.threads)])
        rate = ours[0]["sample_steps_per_second"]
        for row in ours + others:
            ratio = rate / row["sample_steps_per_second"]
            print(f"{model:10} {row['tool']:14} {row['sample_steps_per_second']:12.0f} sample-steps/s   percuss / it: {ratio:.2f}", flush=True)
            rows.append({
                "model": model, "tool": row["tool"], "threads": options.threads, "batch": row.get("batch", ""),
                "sample_steps_per_second": round(row["sample_steps_per_second"], 1), "percuss_ratio": round(ratio, 3),
                "device": processor(), "commit": commit(),
            })
    write("pgd40", rows)


def seconds(command):
    start = time.perf_counter()
    text = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return time.perf_counter() - start, text


def cells(options):
    """Both sides read the same data; percuss also writes its tables and picture, Foolbox's loop only prints its rows."""
    with tempfile.TemporaryDirectory() as folder:
        count = lines(["cargo", "bench", "--locked", "--bench", "cells", "--", folder])[0]["cells"]
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
        threads = str(options.threads)
        ours, _ = seconds(["target/release/percuss", "demo", "--quiet", "--device", "cpu", "--threads", threads, "--out", f"{folder}/demo"])
        print(f"{'percuss':14} {count} cells in {ours:8.1f} s", flush=True)
        loop = [sys.executable, "benches/others.py", "cells", "--study-json", f"{folder}/study.json", "--threads", threads]
        theirs, text = seconds(loop)
    done = len(text.splitlines()) - 1
    print(f"{'foolbox':14} {done} cells in {theirs:8.1f} s   percuss is {theirs / ours:.2f} times faster")
    about = {"threads": options.threads, "data": "fetched" if os.environ.get("PERCUSS_DATA") else "embedded", "device": processor(), "commit": commit()}
    write("cells", [
        {"tool": tool, "cells": n, "seconds": round(took, 1), "percuss_ratio": round(took / ours, 3), **about}
        for tool, n, took in [("percuss", count, ours), ("foolbox", done, theirs)]
    ])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["pgd40", "cells", []], help="all, if none is named")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", nargs="*", default=MODELS, choices=MODELS)
    options = parser.parse_args()
    for name in options.what or ["pgd40", "cells"]:
        {"pgd40": pgd40, "cells": cells}[name](options)


if __name__ == "__main__":
    main()

"""PGD-40 by percuss and by other tools, in one run on the same cores: prints ratios, writes a dated CSV.

    python benches/compare.py [--threads N] [--model NAME ...]

Needs the packages of tests/golden/requirements.txt. A ratio above 1 means that percuss is faster.
"""

import argparse
import csv
import datetime
import json
import platform
import subprocess
import sys
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", nargs="*", default=MODELS, choices=MODELS)
    options = parser.parse_args()
    rows = []
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
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
                "device": processor(), "commit": commit,
            })
    folder = ROOT / "benches/results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{datetime.date.today().isoformat()}-pgd40.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

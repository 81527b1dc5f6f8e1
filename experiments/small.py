"""Writes a small version of a study: the same tables, with few seeds, the ends of every ladder, and models that hardly learn.

    small.py STUDY FOLDER

It shows that a study runs and that its notebook reads what comes out; its numbers say nothing. Where a real data set is not at hand, a
generator takes its place, and rows and figures say that they are synthetic.
"""

import os
import subprocess
import sys
from pathlib import Path

import tomli
import tomli_w

PERCUSS = os.environ.get("PERCUSS", "target/release/percuss")
# What takes the place of data that are not at hand.
GENERATORS = {"mitbih_beats": "ecg-synthetic", "pneumoniamnist": "cxr-phantom"}
SEEDS, SAMPLES, EPOCHS, SHADOWS = 2, 400, 3, 8


def at_hand(name):
    return subprocess.run([PERCUSS, "data", "path", name], capture_output=True, check=False).returncode == 0


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def ends(value):
    """The smallest and the largest number of a ladder; anything else as it is."""
    if isinstance(value, list) and len(value) > 2 and all(map(is_number, value)):
        return [min(value), max(value)]
    return value


def smaller(table):
    table = {key: ends(value) for key, value in table.items()}
    # The attack itself, and only at its strongest: a rate of nothing is the twin.
    if isinstance(table.get("rate"), list):
        table["rate"] = table["rate"][-1:]
    if "shadows" in table:
        table["shadows"] = min(table["shadows"], SHADOWS)
    return table


def recipe(text):
    content = tomli.loads(text)
    data = content["data"]
    if data["name"] in GENERATORS and not at_hand(data["name"]):
        print(f"{data['name']} is not at hand: {GENERATORS[data['name']]} (synthetic) takes its place")
        data["name"] = GENERATORS[data["name"]]
        for split in ("train", "val", "test"):
            data.pop(split, None)
        data["val"] = "none"
    data["limit"] = min(data.get("limit", SAMPLES), SAMPLES)
    content["epochs"] = min(content["epochs"], EPOCHS)
    return tomli_w.dumps(content)


def main():
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    study = tomli.loads(source.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    study["name"] += "-small"
    study["seeds"] = study["seeds"][:SEEDS]
    for entry in study["recipe"]:
        text = recipe((source.parent / entry["train"]).read_text())
        (folder / entry["train"]).write_text(text)
    for threat in ("poisoning", "backdoor", "membership"):
        if threat in study:
            study[threat] = [smaller(table) for table in study[threat]]
    (folder / "study.toml").write_text(tomli_w.dumps(study))


if __name__ == "__main__":
    main()

"""Writes a small version of a study: the same tables, with few seeds, the ends of every ladder, and models that hardly learn.

    small.py STUDY FOLDER

Models that are there already are attacked on few samples, whatever is expected of them.

It shows that a study runs and that its notebook reads what comes out; its numbers say nothing. Where a real data set is not at hand, a
generator takes its place, and rows and figures say that they are synthetic; a recipe for which there is none is left out, which is printed.
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
# What is part of the program.
EMBEDDED = {"support2", *GENERATORS.values()}
SEEDS, SAMPLES, EPOCHS = 2, 400, 3
# Samples on which models are attacked.
ATTACKED = 12
# Numbers of a threat that are cut.
MOST = {"shadows": 8, "decisions": 50}


def at_hand(name):
    return name in EMBEDDED or subprocess.run([PERCUSS, "data", "path", name], capture_output=True, check=False).returncode == 0


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def ends(value):
    """The smallest and the largest number of a ladder; anything else as it is."""
    if isinstance(value, dict) and len(value) == 1 and {"linspace", "logspace"} & value.keys():
        return next(iter(value.values()))[:2]
    if isinstance(value, list) and len(value) > 2 and all(map(is_number, value)):
        return [min(value), max(value)]
    return value


def smaller(table):
    table = {key: ends(value) for key, value in table.items()}
    # The attack itself, and only at its strongest: a rate of nothing is the twin.
    if isinstance(table.get("rate"), list):
        table["rate"] = table["rate"][-1:]
    if "budget" in table:
        table["budget"] = [{key: ends(value) for key, value in budget.items()} for budget in table["budget"]]
    for key, most in MOST.items():
        if is_number(table.get(key)):
            table[key] = min(table[key], most)
    return table


def attacked(study, folder):
    """The data and models that are attacked as they are, on few samples."""
    for data in study.get("data", []):
        if "name" in data and not at_hand(data["name"]):
            print(f"data {data['id']}: {GENERATORS[data['name']]} (synthetic) in the place of {data['name']}, which is not at hand")
            data["name"] = GENERATORS[data["name"]]
        data["limit"] = min(data.get("limit", ATTACKED), ATTACKED)
    for model in study.get("model", []):
        model["path"] = str((folder / model["path"]).resolve())
        model.pop("expect", None)


def recipe(entry, folder):
    """The recipe's text, smaller; None where its data are not at hand and no generator is like them."""
    content = tomli.loads((folder / entry["train"]).read_text())
    data = content["data"]
    if not at_hand(data["name"]):
        generator = GENERATORS.get(data["name"])
        if generator is None:
            print(f"recipe {entry['id']}: not run, {data['name']} is not at hand")
            return None
        print(f"recipe {entry['id']}: {generator} (synthetic) in the place of {data['name']}, which is not at hand")
        content["data"] = data = {"name": generator, "val": "none"}
    for key in ("limit", "test_limit"):
        data[key] = min(data.get(key, SAMPLES), SAMPLES)
    content["epochs"] = min(content["epochs"], EPOCHS)
    return tomli_w.dumps(content)


def main():
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    study = tomli.loads(source.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    study["name"] += "-small"
    study["seeds"] = study["seeds"][:SEEDS]
    recipes = {entry["id"]: (entry, recipe(entry, source.parent)) for entry in study.get("recipe", [])}
    recipes = {name: made for name, made in recipes.items() if made[1] is not None}
    for entry, text in recipes.values():
        (folder / entry["train"]).write_text(text)
    if recipes:
        study["recipe"] = [entry for entry, _ in recipes.values()]
    attacked(study, source.parent)
    for threat in ("attack", "poisoning", "backdoor", "membership"):
        tables = [smaller(table) for table in study.get(threat, [])]
        for table in tables:
            if "recipes" in table:
                table["recipes"] = [name for name in table["recipes"] if name in recipes]
        if tables:
            study[threat] = [table for table in tables if table.get("recipes") != []]
    # One seed still shows a random start.
    if "attack" in study:
        study["seeds"] = study["seeds"][:1]
    (folder / "study.toml").write_text(tomli_w.dumps(study))


if __name__ == "__main__":
    main()

"""Runs a notebook from its first cell to its last on a results folder, and fails where a cell does.

    execute.py NOTEBOOK RESULTS [--keep]

The notebook's file stays as it is, unless `--keep` is given: then the outputs are kept in it.
"""

import argparse
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--keep", action="store_true", help="keep the outputs in the notebook")
    arguments = parser.parse_args()
    os.environ["PERCUSS_RESULTS"] = str(arguments.results.resolve())
    content = nbformat.read(arguments.notebook, as_version=4)
    folder = {"metadata": {"path": str(arguments.notebook.parent)}}
    NotebookClient(content, timeout=600, kernel_name="python3", resources=folder).execute()
    code = [cell for cell in content.cells if cell.cell_type == "code"]
    figures = sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    if arguments.keep:
        for cell in code:
            # When a cell ran is of no use to a reader, and differs each time.
            cell.metadata.pop("execution", None)
        nbformat.write(content, arguments.notebook)
    print(f"{arguments.notebook}: {len(code)} cells ran, {figures} figures")


if __name__ == "__main__":
    main()

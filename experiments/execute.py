"""Runs a notebook from its first cell to its last on a results folder, and fails where a cell does: `execute.py NOTEBOOK RESULTS`."""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main():
    notebook, results = Path(sys.argv[1]), Path(sys.argv[2]).resolve()
    os.environ["PERCUSS_RESULTS"] = str(results)
    os.environ.setdefault("MPLBACKEND", "agg")
    content = nbformat.read(notebook, as_version=4)
    NotebookClient(content, timeout=600, resources={"metadata": {"path": str(notebook.parent)}}).execute()
    print(f"{notebook}: {sum(cell.cell_type == 'code' for cell in content.cells)} cells ran")


if __name__ == "__main__":
    main()

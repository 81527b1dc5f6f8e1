"""EDF and BDF files as pyedflib 0.1.42 writes them (tests/cases/recordings), and what it reads of them (the table of tests/edf_files.rs)."""

import os
import sys

import numpy as np
import pyedflib

FOLDER = os.path.join(os.path.dirname(__file__), "..", "cases", "recordings")
# File, type, signals (label, unit, rate, physical and digital range), annotations (onset, duration, text).
FILES = [
    ("plain.edf", pyedflib.FILETYPE_EDF, [("ECG II", "uV", 200, -5000, 5000, -32768, 32767), ("Resp", "L", 25, -2, 2, -2048, 2047)], []),
    (
        "plus.edf",
        pyedflib.FILETYPE_EDFPLUS,
        [("ECG II", "mV", 256, -5, 5, -32768, 32767), ("ECG V1", "mV", 128, -3, 7.5, -2000, 2000)],
        [(0.5, -1, "N"), (1.25, 0.2, "extra é")],
    ),
    ("inverted.edf", pyedflib.FILETYPE_EDFPLUS, [("II", "mV", 100, 5, -5, -32768, 32767)], [(1, -1, "N")]),
    ("plain.bdf", pyedflib.FILETYPE_BDF, [("II", "uV", 256, -262144, 262143, -8388608, 8388607)], []),
    (
        "plus.bdf",
        pyedflib.FILETYPE_BDFPLUS,
        [("II", "uV", 256, -262144, 262143, -8388608, 8388607), ("V5", "uV", 64, -1000, 1000, -8388608, 8388607)],
        [(0.5, -1, "N"), (1.5, 1, "V")],
    ),
]


def write(name, kind, signals, notes):
    rng = np.random.default_rng(0)
    with pyedflib.EdfWriter(os.path.join(FOLDER, name), len(signals), file_type=kind) as file:
        data = []
        for at, (label, unit, rate, low, high, least, most) in enumerate(signals):
            header = {"label": label, "dimension": unit, "sample_frequency": rate, "physical_min": low, "physical_max": high}
            file.setSignalHeader(at, header | {"digital_min": least, "digital_max": most, "transducer": "", "prefilter": ""})
            wave = 0.7 * np.sin(2 * np.pi * (1.3 + at) * np.arange(2 * rate) / rate) + 0.1 * rng.normal(size=2 * rate)
            data.append(wave * 0.6 * min(abs(low), abs(high)))
        file.writeSamples(data)
        for onset, duration, text in notes:
            file.writeAnnotation(onset, duration, text)


def row(name):
    with pyedflib.EdfReader(os.path.join(FOLDER, name)) as file:
        signals = []
        for at in range(file.signals_in_file):
            values = file.readSignal(at)
            per = 1000 if file.getPhysicalDimension(at) == "uV" else 1
            shown = [values[k] / per for k in (0, 1, len(values) // 2, -1)]
            signals.append((file.getLabel(at), file.getSampleFrequency(at), len(values), shown, values.sum() / per, (values**2).sum() / per**2))
        print(name, signals, list(zip(*file.readAnnotations())))


if __name__ == "__main__":
    os.makedirs(FOLDER, exist_ok=True)
    for one in FILES:
        if "--write" in sys.argv:
            write(*one)
        row(one[0])

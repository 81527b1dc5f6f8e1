"""What onnxruntime and scikit-learn say of f18.onnx on f18.npz: the values in tests/label_studies.rs.

f18.onnx has 18 outputs of findings and no sigmoid; g0.png to g5.png are images of 28 x 28 grey levels, made for this purpose."""

from pathlib import Path

import numpy as np
import onnxruntime
from sklearn.metrics import roc_auc_score

here = Path(__file__).parent
data = np.load(here / "f18.npz")
session = onnxruntime.InferenceSession(here / "f18.onnx")
z = session.run(None, {session.get_inputs()[0].name: data["x"]})[0]
right = (z > 0) == (data["y"] == 1)


def areas(columns):
    both = [k for k in columns if 0 < data["y"][:, k].sum() < len(z)]
    return np.mean([roc_auc_score(data["y"][:, k], z[:, k]) for k in both])


print("all", right.mean(), areas(range(18)))
for columns in [[4, 0, 7]]:
    print(columns, right[:, columns].mean(), areas(columns))
print("finding 4, every other sample", right[::2, 4].mean())

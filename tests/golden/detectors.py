"""What detectors and the warping trigger give, by numpy's SVD and PyTorch's grid sampling: see README.md."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import formula
import store

HERE = Path(__file__).parent


def spectral(features, labels):
    """Algorithm 1 of Tran et al. 2018, without the removal."""
    scores = np.zeros(len(labels))
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        centred = features[own] - features[own].mean(axis=0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        scores[own] = (centred @ axes[0]) ** 2
    return scores


def reduced(features, k):
    centred = features - features.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    return centred @ axes[:k].T


def two_means(points):
    far = lambda point: points[np.argmax(((points - point) ** 2).sum(axis=1))]
    first = far(points.mean(axis=0))
    starts = [(first, far(first))]
    starts += [(points[np.argmin(column)], points[np.argmax(column)]) for column in points.T]
    return min((lloyd(points, np.stack(start)) for start in starts), key=lambda found: found[0])[1]


def lloyd(points, centres):
    while True:
        distances = ((points[:, None] - centres) ** 2).sum(axis=2)
        sides = np.argmin(distances, axis=1)
        moved = np.stack([points[sides == side].mean(axis=0) for side in (0, 1)])
        if np.array_equal(moved, centres):
            return distances.min(axis=1).sum(), sides
        centres = moved


def silhouette(points, sides):
    distances = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))
    values = []
    for i, side in enumerate(sides):
        own = (sides == side) & (np.arange(len(sides)) != i)
        if not own.any():
            values.append(0.0)
            continue
        a, b = distances[i][own].mean(), distances[i][sides != side].mean()
        values.append((b - a) / max(a, b))
    return float(np.mean(values))


def clustering(features, labels, k):
    splits, suspicions = [], np.zeros(len(labels))
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        points = reduced(features[own], k)
        sides = two_means(points)
        small = sides == (1 if sides.mean() <= 0.5 else 0)
        value, share = silhouette(points, sides), float(small.mean())
        splits.append([value, share])
        suspicions[own] = np.where(small, 1, -1) * value * (1 - 2 * share)
    return splits, suspicions


def entropies(logits):
    logits = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return -(p * np.log2(p)).sum(axis=1)


def anomaly(sizes):
    middle = np.median(sizes)
    return (middle - sizes) / (1.4826 * np.median(np.abs(sizes - middle)))


def warped(image, control, strength):
    """PyTorch's bicubic interpolation and grid sampling, as WaNet's authors use them; the image is square."""
    side, grid = image.shape[0], control.shape[-1]
    field = torch.from_numpy(control[::-1].copy()).reshape(1, 2, grid, grid)  # x first
    field = F.interpolate(field, size=side, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    line = torch.linspace(-1, 1, side, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    places = (torch.stack([x, y], dim=2)[None] + strength * field / side).clamp(-1, 1)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None]
    return F.grid_sample(planes, places, align_corners=True)[0].permute(1, 2, 0).numpy()


def main():
    features = formula.signed("detectors.features", (60, 6)).astype(np.float64)
    labels = np.arange(60) % 3
    planted = (labels == 0) & (np.arange(60) % 5 == 0)
    features[planted] += np.array([2.0, -1.0, 0.5, 0.0, 1.0, 0.0])
    wide = formula.signed("detectors.wide", (24, 70)).astype(np.float64)
    wide[:5] += formula.signed("detectors.wide.shift", (70,)).astype(np.float64)
    tall = formula.signed("detectors.tall", (150, 60)).astype(np.float64)
    tall[:20] += 2 * formula.signed("detectors.tall.shift", (60,)).astype(np.float64)
    features, wide, tall = (x.astype(np.float32).astype(np.float64) for x in (features, wide, tall))
    logits = formula.signed("detectors.logits", (20, 5), 8.0)
    sizes = formula.unit("detectors.sizes", (7,)).astype(np.float64)
    image = formula.unit("detectors.image", (8, 8, 2)).astype(np.float64)
    control = formula.signed("detectors.control", (2, 4, 4)).astype(np.float64)
    splits, suspicions = clustering(features, labels, 3)
    store.save(HERE / "detectors.safetensors", {
        "features": features, "labels": labels.astype(np.int64), "wide": wide, "tall": tall, "logits": logits,
        "sizes": sizes, "image": image, "control": control,
    }, {
        "made_by": f"numpy {np.__version__}, torch {torch.__version__}",
        "spectral": spectral(features, labels).tolist(),
        "spectral_wide": spectral(wide, np.zeros(24)).tolist(),
        "spectral_tall": spectral(tall, np.zeros(150)).tolist(),
        "clustering_splits": splits,
        "clustering_suspicions": suspicions.tolist(),
        "entropies": entropies(logits.astype(np.float64)).tolist(),
        "anomaly": anomaly(sizes).tolist(),
        "warped_half": warped(image, control, 0.5).ravel().tolist(),
        "warped_three": warped(image, control, 3.0).ravel().tolist(),
    })


if __name__ == "__main__":
    main()

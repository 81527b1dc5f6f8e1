"""ROC curves, areas and their intervals by brute force over pairs and thresholds, Clopper-Pearson intervals by SciPy: see README.md."""

import json
from pathlib import Path

import numpy as np
import scipy
from scipy import stats

HERE = Path(__file__).parent
RATES = [0.0, 0.001, 0.01, 0.1, 0.15, 1 / 3, 0.5, 0.99, 1.0]
Z = stats.norm.ppf(0.975)


def pairs(scores, positive):
    """1 where a positive beats a negative, a half where they tie: [positives, negatives]."""
    a, b = scores[positive][:, None], scores[~positive][None]
    return (a > b) + 0.5 * (a == b)


def clopper_pearson(k, n):
    interval = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
    return [float(interval.low), float(interval.high)]


def delong(scores, positive):
    """DeLong et al. 1988: the variances of the placements of positives among negatives, and the other way round."""
    won = pairs(scores, positive)
    return won.mean(axis=1).var(ddof=1) / won.shape[0] + won.mean(axis=0).var(ddof=1) / won.shape[1]


def obuchowski(scores, positive, groups):
    """Obuchowski 1997: sums of placements over clusters."""
    won = pairs(scores, positive)
    area = won.mean()
    placements = np.empty(len(scores))
    placements[positive], placements[~positive] = won.mean(axis=1), won.mean(axis=0)
    names = sorted(set(groups))
    of = lambda name, kind: (np.array(groups) == name) & (positive == kind)
    excess = {kind: np.array([placements[of(g, kind)].sum() - of(g, kind).sum() * area for g in names]) for kind in (True, False)}
    clusters = {kind: sum(of(g, kind).any() for g in names) for kind in (True, False)}
    total = {True: positive.sum(), False: (~positive).sum()}
    own = {k: clusters[k] / ((clusters[k] - 1) * total[k]) * (excess[k] ** 2).sum() for k in (True, False)}
    both = len(names) / (len(names) - 1) * (excess[True] * excess[False]).sum()
    return own[True] / total[True] + own[False] / total[False] + 2 * both / (total[True] * total[False])


def interval(scores, positive, groups):
    """Wilson's score interval, of the roots of a quadratic, over an effective number of trials."""
    area = pairs(scores, positive).mean()
    m, n = positive.sum(), (~positive).sum()
    tied = stats.tiecorrect(stats.rankdata(scores))
    most = 3 * m * n / (m + n) / max(tied, 3 / (m + n))
    if groups:
        sizes = np.array([groups.count(name) for name in set(groups)])
        most /= 1 + ((sizes**2).sum() / len(groups) - 1) * 0.05
    variance = obuchowski(scores, positive, groups) if groups else delong(scores, positive)
    trials = min(area * (1 - area) / variance, most) if variance > 1e-20 else most
    low, high = np.sort(np.roots([1 + Z**2 / trials, -2 * area - Z**2 / trials, area**2]).real)
    return [0.0 if area == 0.0 else low, 1.0 if area == 1.0 else high, "wilson-delong"]


def points(scores, positive):
    """True and false positives of every threshold, from none to all."""
    rows = [[int((scores[positive] >= t).sum()), int((scores[~positive] >= t).sum())] for t in sorted(set(scores), reverse=True)]
    return [[0, 0], *rows]


def case(name, scores, positive, groups=None):
    scores, positive = np.array(scores, dtype=float) + 0.0, np.array(positive, dtype=bool)
    curve = points(scores, positive)
    n = [int(positive.sum()), int((~positive).sum())]
    tpr = [max(tp for tp, fp in curve if fp / n[1] <= rate) / n[0] for rate in RATES]
    text = [repr(float(s)) for s in scores]
    low, high, method = interval(scores, positive, groups)
    accuracy = max(0.5 * (tp / n[0] + 1 - fp / n[1]) for tp, fp in curve)
    return {
        "name": name, "scores": text, "positive": positive.tolist(), "groups": groups, "points": curve,
        "area": float(pairs(scores, positive).mean()),
        "low": float(low), "high": float(high), "method": method, "tpr": tpr, "balanced_accuracy": accuracy,
    }


def main():
    rng = np.random.default_rng(3)
    marks = rng.random(60) < 0.4
    scores = rng.normal(marks * 0.8, 1.0)
    coarse = np.round(rng.normal(marks * 0.6, 1.0))
    groups = [f"g{i}" for i in rng.integers(14, size=60)]
    shared = rng.normal(0.0, 1.0, 14)
    clustered = np.array([shared[int(g[1:])] for g in groups]) + 0.5 * marks + rng.normal(0.0, 0.3, 60)
    separated = np.where(marks, 5.0, -5.0) + rng.normal(0.0, 1.0, 60)
    infinite = np.where(rng.random(60) < 0.2, np.inf, coarse)
    infinite[::7] = -np.inf
    listed = [
        case("continuous", scores, marks),
        case("ties", coarse, marks),
        case("clusters", clustered, marks, groups),
        case("clusters with ties", np.round(clustered), marks, groups),
        case("a group a sample", scores, marks, [f"s{i}" for i in range(60)]),
        case("separated", separated, marks),
        case("separated the wrong way", -separated, marks),
        case("separated clusters", separated, marks, groups),
        case("infinite", infinite, marks),
        case("signed zeros", [0.0, -0.0, 0.0, -0.0, 1.0, -1.0], [1, 0, 0, 1, 1, 0]),
        case("two samples a kind", [0.3, 0.1, 0.2, 0.0], [1, 1, 0, 0]),
        case("all tie", [1.0] * 9, [1, 0, 0, 1, 1, 0, 0, 0, 1]),
        case("a point at every rate", np.arange(200)[::-1] * 0.5, [i % 2 for i in range(200)]),
    ]
    counts = [(0, 1), (1, 1), (0, 7), (3, 7), (7, 7), (1, 1000), (10, 1000), (999, 1000), (1000, 1000)]
    counts += [(2345, 4708), (17, 10**6), (500_000, 10**6)]
    made_by = f"numpy {np.__version__}, scipy {scipy.__version__}"
    exact = [[k, n, *clopper_pearson(k, n)] for k, n in counts]
    text = json.dumps({"made_by": made_by, "rates": RATES, "cases": listed, "clopper_pearson": exact})
    (HERE / "roc.json").write_text(text + "\n")
    print(f"roc.json: {len(text) + 1} bytes")


if __name__ == "__main__":
    main()

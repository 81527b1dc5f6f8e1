"""What membership attacks should score, from the papers' definitions: see README.md.

Probabilities are taken with 80 digits, so that every statistic is its textbook formula and nothing has to be rearranged against rounding.
"""

from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import scipy
from scipy import optimize, stats

import store

HERE = Path(__file__).parent
mpmath.mp.dps = 80
SMALLEST = float(np.finfo(np.float64).tiny)


# The data: what models said, random but with the effects that attacks live on.


def many_classes(rng, n=48, shadows=16, queries=3, classes=4, others=40):
    """Softmax models of four classes asked three times a sample; a member's label is given a larger logit."""
    labels, other_labels = rng.integers(classes, size=n), rng.integers(classes, size=others)
    ease, other_ease = rng.normal(2.0, 2.0, n), rng.normal(2.0, 2.0, others)
    taste = rng.normal(0.0, 1.0, (n + others, classes))

    def said(labels, ease, taste, member):
        logits = taste[:, None] + rng.normal(0.0, 0.6, (len(labels), 1, classes)) + rng.normal(0.0, 0.3, (len(labels), queries, classes))
        logits[np.arange(len(labels)), :, labels] += (ease + np.where(member, rng.gamma(2.0, 0.8, len(labels)), 0.0))[:, None]
        return logits.astype(np.float32)

    member = rng.random((shadows, n)) < 0.5
    member[:2, :] = [[True], [False]]  # so that nobody is on one side only
    member[2:4, :] = [[False], [True]]
    balanced = np.stack([rng.permutation(shadows) < shadows // 2 for _ in range(n)], axis=1)
    of_candidates = lambda marks: said(labels, ease, taste[:n], marks)
    target = of_candidates(rng.random(n) < 0.5)
    # Answers so sure that one minus the probability is nothing even in f64, and some as sure and wrong.
    target[3, :, labels[3]] += 60
    target[7, :, labels[7]] -= 70
    candidates = np.stack([of_candidates(marks) for marks in member])
    candidates[5, 3, :, labels[3]] += 45
    nobody = np.zeros(others, bool)
    population = [said(other_labels, other_ease, taste[n:], nobody) for _ in range(shadows + 1)]
    return {
        "labels": labels, "target": target, "shadows": candidates, "member": member, "balanced": balanced,
        "population_labels": other_labels, "population_target": population[0], "population_shadows": np.stack(population[1:]),
    }


def sigmoid(rng, n=40, shadows=12, others=30):
    """Sigmoid models of one finding, as two classes: logits 0 and z."""
    labels, other_labels = rng.integers(2, size=n), rng.integers(2, size=others)
    lean, other_lean = rng.normal(0.8, 1.5, n), rng.normal(0.8, 1.5, others)

    def said(labels, lean, member):
        z = (2 * labels - 1) * (lean + np.where(member, rng.gamma(2.0, 0.5, len(labels)), 0.0)) + rng.normal(0.0, 0.4, len(labels))
        return np.stack([np.zeros(len(labels)), z], axis=1)[:, None].astype(np.float32)

    member = np.stack([rng.permutation(shadows) < shadows // 2 for _ in range(n)], axis=1)
    nobody = np.zeros(others, bool)
    population = [said(other_labels, other_lean, nobody) for _ in range(shadows + 1)]
    return {
        "labels": labels, "target": said(labels, lean, rng.random(n) < 0.5), "member": member, "balanced": member,
        "shadows": np.stack([said(labels, lean, marks) for marks in member]),
        "population_labels": other_labels, "population_target": population[0], "population_shadows": np.stack(population[1:]),
    }


# Statistics of one answer.


def softmax(logits, temperature=1):
    powers = [mpmath.exp(mpmath.mpf(float(z)) / temperature) for z in logits]
    return [power / sum(powers) for power in powers]


def log_odds(p):
    return mpmath.log(p / (1 - p))


def confidence(logits, label):
    return softmax(logits)[label]


def log_probability(logits, label):
    return mpmath.log(softmax(logits)[label])


def scaled(logits, label):
    """Carlini et al. 2022, logit scaling: phi(p) = log(p / (1 - p))."""
    return log_odds(softmax(logits)[label])


def negative_entropy(logits, label):
    return sum(p * mpmath.log(p) for p in softmax(logits))


def negative_modified_entropy(logits, label):
    """Minus the modified entropy of Song & Mittal 2021: Mentr = -(1 - p_y) log p_y - sum over i != y of p_i log(1 - p_i)."""
    p = softmax(logits)
    others = sum(q * mpmath.log(1 - q) for k, q in enumerate(p) if k != label)
    return (1 - p[label]) * mpmath.log(p[label]) + others


def right(logits, label):
    return float(np.argmax(logits) == label)


def each(statistic, answers, labels, query=None):
    """The statistic of every sample; [n, queries], or [n] of one query."""
    chosen = answers if query is None else answers[:, query : query + 1]
    values = np.array([[float(statistic(z, y)) for z in row] for row, y in zip(chosen, labels)])
    return values if query is None else values[:, 0]


# Thresholds.


def best_threshold(scores, member):
    """Of all distinct scores (and of calling nobody a member), the one whose rule `score >= t` has the best balanced accuracy, the
    strictest of several, moved half way down to the next score."""
    values = sorted(set(scores), reverse=True)
    advantage = lambda t: Fraction(int((scores[member] >= t).sum()), int(member.sum())) - Fraction(
        int((scores[~member] >= t).sum()), int((~member).sum())
    )
    best = max(values, key=advantage)  # the first of several
    if advantage(best) <= 0:
        return np.nextafter(values[0], np.inf)
    place = values.index(best)
    return best if place + 1 == len(values) else values[place + 1] + 0.5 * (best - values[place + 1])


def less_class_threshold(data, member, statistic):
    """Song & Mittal 2021: a threshold of each class, learnt from shadow models."""
    known = [each(statistic, answers, data["labels"], 0) for answers in data["shadows"]]
    scores = each(statistic, data["target"], data["labels"], 0)
    for label in np.unique(data["labels"]):
        own = data["labels"] == label
        values, marks = np.concatenate([k[own] for k in known]), np.concatenate([m[own] for m in member])
        scores[own] -= best_threshold(values, marks)
    return scores


# LiRA.


def lira(data, member, mode="online", variance="per-example", centre="mean", test="one-sided"):
    """Carlini et al. 2022, algorithm 1; queries are independent, so that log likelihoods add up."""
    phi = np.stack([each(scaled, answers, data["labels"]) for answers in data["shadows"]])  # [shadows, n, queries]
    observed = each(scaled, data["target"], data["labels"])
    sides = {}
    for name, marks in (("in", member), ("out", ~member)):
        values = [phi[marks[:, i], i] for i in range(len(observed))]  # [own shadows, queries] each
        sides[name] = values
    middle = {"mean": np.mean, "median": np.median}[centre]
    mean = {name: np.array([middle(v, axis=0) for v in values]) for name, values in sides.items()}
    if variance == "per-example":
        sd = {name: np.array([np.std(v, axis=0) for v in values]) for name, values in sides.items()}
    elif variance == "fixed":
        # One variance within candidates and queries: the mean square within groups of a one-way analysis of variance.
        sd = {}
        for name, values in sides.items():
            within = sum(((v - v.mean(axis=0)) ** 2).sum() for v in values)
            sd[name] = np.sqrt(within / sum((len(v) - 1) * v.shape[1] for v in values))
    else:
        sd = {name: np.std(np.concatenate([v.ravel() for v in values])) for name, values in sides.items()}
        if mode == "online":
            sd["out"] = sd["in"]  # the released code's mix-up
    if mode == "online":
        terms = stats.norm.logpdf(observed, mean["in"], sd["in"]) - stats.norm.logpdf(observed, mean["out"], sd["out"])
    elif test == "one-sided":
        terms = -stats.norm.logsf(observed, mean["out"], sd["out"])  # minus log Pr[Z > phi], Z out; monotone in 1 - Pr[Z > phi]
    else:
        terms = -stats.norm.logpdf(observed, mean["out"], sd["out"])
    return terms.sum(axis=1)


# RMIA.


def label_probability(logits, label, kind, temperature, margin, order):
    if kind == "softmax":
        return softmax(logits, temperature)[label]
    series = lambda x: sum(x**k / mpmath.factorial(k) for k in range(order + 1))
    z = [mpmath.mpf(float(value)) / temperature for value in logits]
    own = series(z[label] - margin)
    return own / (own + sum(series(value) for k, value in enumerate(z) if k != label))


def rmia(data, member, mode="online", gamma=2.0, a=0.3, confidence="taylor", temperature=2.0, margin=0.6, order=4, queries_z=None):
    """Zarifzadeh et al. 2024: the share of z with (Pr(x|t) / Pr(x)) / (Pr(z|t) / Pr(z)) > gamma, query by query;
    a pair counts where most of its queries say so. Where z were asked once, that answer stands beside each query of x."""
    margin, temperature = mpmath.mpf(repr(margin)), mpmath.mpf(repr(temperature))
    p = lambda z, y: max(label_probability(z, y, confidence, temperature, margin, order), SMALLEST)
    x_target = each(p, data["target"], data["labels"])
    x_shadows = np.stack([each(p, answers, data["labels"]) for answers in data["shadows"]])
    z_target = each(p, data["population_target"][:, :queries_z], data["population_labels"])
    z_out = np.mean([each(p, answers[:, :queries_z], data["population_labels"]) for answers in data["population_shadows"]], axis=0)
    out = np.array([x_shadows[~member[:, i], i].mean(axis=0) for i in range(len(x_target))])
    if mode == "online":
        within = np.array([x_shadows[member[:, i], i].mean(axis=0) for i in range(len(x_target))])
        p_x, p_z = (within + out) / 2, z_out  # no shadow model has learnt from z
    else:
        p_x, p_z = ((1 + a) * out + (1 - a)) / 2, ((1 + a) * z_out + (1 - a)) / 2
    ratios = (x_target / p_x)[:, None, :] / (z_target / p_z)[None]  # [n, m, queries]
    assert np.abs(ratios / gamma - 1).min() > 1e-9, "a comparison that rounding decides"
    votes = (ratios > gamma).sum(axis=2)
    return (2 * votes > x_target.shape[1]).mean(axis=1)


# Shokri et al.


def shadow(data, member, ridge=1.0):
    """Shokri et al. 2017, section V, with a ridge logistic regression a class on standardised log-odds in place of the networks."""
    two = data["target"].shape[2] == 2

    def features(logits, label):
        odds = [float(log_odds(p)) for p in softmax(logits)]
        return [odds[label]] + ([] if two else sorted((o for k, o in enumerate(odds) if k != label), reverse=True))

    rows = lambda answers, own: np.array([features(z[0], y) for z, y in zip(answers[own], data["labels"][own])])
    scores = np.zeros(len(data["labels"]))
    for label in np.unique(data["labels"]):
        own = data["labels"] == label
        x = np.concatenate([rows(answers, own) for answers in data["shadows"]])
        y = np.concatenate([marks[own] for marks in member]).astype(float)
        mean, sd = x.mean(axis=0), x.std(axis=0)
        weights = ridge_logistic((x - mean) / sd, y, ridge)
        scores[own] = (rows(data["target"], own) - mean) / sd @ weights[:-1] + weights[-1]
    return scores


def ridge_logistic(x, y, ridge):
    x = np.column_stack([x, np.ones(len(x))])
    penalty = np.full(x.shape[1], ridge)
    penalty[-1] = 0.0
    value = lambda w: (np.logaddexp(0, x @ w) - y * (x @ w)).sum() + 0.5 * (penalty * w * w).sum()
    slope = lambda w: x.T @ (scipy.special.expit(x @ w) - y) + penalty * w
    found = optimize.minimize(value, np.zeros(x.shape[1]), jac=slope, method="BFGS", options={"gtol": 1e-6}).x
    # The minimum of a smooth convex function is where its slope vanishes.
    curvature = lambda w: (x.T * (scipy.special.expit(x @ w) * scipy.special.expit(-x @ w))) @ x + np.diag(penalty)
    return optimize.root(slope, found, jac=curvature, method="hybr", options={"xtol": 1e-14}).x


STATISTICS = {
    "gap": right, "loss": log_probability, "confidence": confidence, "entropy": negative_entropy,
    "modified-entropy": negative_modified_entropy,
}
# Whose settings: the paper's are the defaults; the authors' current code; the code's order 4, which ends at the third power.
RMIA_SETTINGS = [
    {}, {"confidence": "softmax", "temperature": 1.0, "gamma": 1.0}, {"order": 3}, {"gamma": 1.0, "margin": 0.0, "temperature": 1.0},
]
LIRA_SETTINGS = [
    {"mode": mode, "variance": variance} for mode in ("online", "offline") for variance in ("per-example", "fixed", "fixed-as-released")
] + [
    {"mode": "online", "centre": "median"}, {"mode": "offline", "test": "density"},
    {"mode": "offline", "centre": "median", "variance": "fixed"},
]


def cases(data):
    member = data["member"]
    for name, statistic in STATISTICS.items():
        yield name, {}, {}, each(statistic, data["target"], data["labels"], 0)
        if name not in ("gap", "loss"):
            yield name, {"threshold": "class"}, {}, less_class_threshold(data, member, statistic)
    for settings in LIRA_SETTINGS:
        yield "lira", settings, {}, lira(data, member, **settings)
    for settings in RMIA_SETTINGS:
        for mode in ("online", "offline"):
            for queries_z in {1, data["target"].shape[1]}:
                chosen = {"mode": mode, **settings}
                yield "rmia", chosen, {"population_queries": queries_z}, rmia(data, member, **chosen, queries_z=queries_z)
    yield "rmia", {"mode": "offline", "a": 0.0}, {"population_queries": 1}, rmia(data, member, mode="offline", a=0.0, queries_z=1)
    for ridge in (1.0, 0.01):
        yield "shadow", {"ridge": ridge}, {}, shadow(data, member, ridge)


def released(data):
    """The numbers of LiRA's released code: as it is written, with every candidate in half of the shadow models. It takes means over the
    queries, and larger is likelier a member after its sign is turned."""
    keep = data["balanced"]
    scores = np.stack([each(scaled, answers, data["labels"]) for answers in data["shadows"]])
    observed = each(scaled, data["target"], data["labels"])
    inside = np.array([scores[keep[:, i], i] for i in range(keep.shape[1])])
    outside = np.array([scores[~keep[:, i], i] for i in range(keep.shape[1])])
    centre_in, centre_out = np.median(inside, axis=1), np.median(outside, axis=1)
    for fixed in (False, True):
        sd_in = np.std(inside) if fixed else np.std(inside, axis=1)
        sd_out = np.std(inside) if fixed else np.std(outside, axis=1)
        online = stats.norm.logpdf(observed, centre_in, sd_in + 1e-30) - stats.norm.logpdf(observed, centre_out, sd_out + 1e-30)
        alone = np.std(outside) if fixed else np.std(outside, axis=1)
        offline = -stats.norm.logpdf(observed, centre_out, alone + 1e-30)
        variance = "fixed-as-released" if fixed else "per-example"
        for mode, terms in (("online", online), ("offline", offline)):
            settings = {"mode": mode, "variance": variance, "centre": "median", "test": "density"}
            yield "lira", settings, {"member": "balanced", "times": terms.shape[1]}, terms.mean(axis=1)


def transferred(data):
    """The threshold of best balanced accuracy over shadow models, each attacked with the help of the others."""
    member = data["member"]
    attacks = {
        "loss": ({}, lambda data, member: each(log_probability, data["target"], data["labels"], 0)),
        "lira": ({"mode": "offline", "variance": "fixed"}, lambda data, member: lira(data, member, "offline", "fixed")),
        "rmia": ({"mode": "offline"}, lambda data, member: rmia(data, member, "offline", queries_z=1)),
    }
    for name, (settings, attack) in attacks.items():
        scores = []
        for s in range(len(member)):
            rest = np.arange(len(member)) != s
            view = {
                **data, "target": data["shadows"][s], "shadows": data["shadows"][rest], "population_target": data["population_shadows"][s],
                "population_shadows": data["population_shadows"][rest],
            }
            scores.append(attack(view, member[rest]))
        yield {"attack": name, "parameters": settings, "threshold": float(best_threshold(np.concatenate(scores), np.concatenate(member)))}


def main():
    tensors, listed, thresholds = {}, [], []
    for name, data in (("many", many_classes(np.random.default_rng(1))), ("sigmoid", sigmoid(np.random.default_rng(2)))):
        for attack, parameters, rest, scores in [*cases(data), *released(data)]:
            listed.append({"set": name, "attack": attack, "parameters": parameters, **rest, "scores": [float(score) for score in scores]})
        thresholds += [{"set": name, **found} for found in transferred(data)]
        for key, value in data.items():
            kind = np.uint8 if value.dtype in (bool, np.int64) else np.float32
            tensors[f"{name}.{key}"] = value.astype(kind)
    made_by = f"numpy {np.__version__}, scipy {scipy.__version__}, mpmath {mpmath.__version__}"
    metadata = {"cases": listed, "thresholds": thresholds, "made_by": made_by}
    store.save(HERE / "privacy.safetensors", tensors, metadata)


if __name__ == "__main__":
    main()

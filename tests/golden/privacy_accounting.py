"""What Opacus's RDP accountant says: see README.md. The search for noise is Opacus's own, ended at a thousandth of the wanted epsilon."""

import json
import warnings
from importlib.metadata import version
from pathlib import Path

from opacus.accountants import RDPAccountant
from opacus.accountants.utils import get_noise_multiplier

HERE = Path(__file__).parent
RATES = [1e-7, 1e-5, 1e-3, 0.01, 0.064, 0.3, 0.5, 0.9, 0.999, 1.0]
NOISE = [0.3, 0.6, 1.0, 1.7, 4.0, 15.0, 100.0]
STEPS = [1, 30, 1000, 100_000]
DELTAS = [1e-2, 1e-5, 1e-9]


def epsilon(rate, noise, steps, delta):
    accountant = RDPAccountant()
    accountant.history = [(noise, rate, steps)]
    try:
        return float(accountant.get_epsilon(delta))
    except (ValueError, OverflowError) as error:
        print("Opacus fails:", rate, noise, steps, delta, error)
        return None


def noise(wanted, delta, rate, steps):
    return float(get_noise_multiplier(
        target_epsilon=wanted, target_delta=delta, sample_rate=rate, steps=steps, accountant="rdp", epsilon_tolerance=1e-3 * wanted,
    ))


def mixed(history, delta):
    accountant = RDPAccountant()
    accountant.history = [tuple(one) for one in history]
    return float(accountant.get_epsilon(delta))


def main():
    warnings.simplefilter("ignore")
    spent = [[q, s, n, d, epsilon(q, s, n, d)] for q in RATES for s in NOISE for n in STEPS for d in DELTAS]
    needed = [
        [wanted, delta, rate, steps, noise(wanted, delta, rate, steps)]
        for wanted in (0.5, 1.0, 3.0, 8.0, 50.0) for delta in (1e-3, 1e-5)
        for rate, steps in ((1e-4, 10_000), (0.01, 100), (0.01, 5000), (0.064, 375), (0.3, 60), (0.9, 20), (1.0, 1), (1.0, 50))
    ]
    histories = [[[1.0, 0.01, 500], [0.7, 0.05, 40]], [[4.0, 1.0, 10], [1.3, 0.2, 30], [2.0, 1e-4, 5000]]]
    several = [[history, delta, mixed(history, delta)] for history in histories for delta in (1e-3, 1e-6)]
    text = json.dumps({"made_by": f"opacus {version('opacus')}", "spent": spent, "noise_multiplier": needed, "several": several})
    (HERE / "privacy_accounting.json").write_text(text + "\n")
    print(f"privacy_accounting.json: {len(text) + 1} bytes, {len(spent)} budgets, {sum(row[4] is None for row in spent)} without an answer")


if __name__ == "__main__":
    main()

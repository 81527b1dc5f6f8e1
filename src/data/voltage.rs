//! Units of biosignals: which of them are voltages, and what a millivolt is in them.

/// How many of `unit` a millivolt is; `None` where it is no voltage.
pub fn per_millivolt(unit: &str) -> Option<f64> {
    Some(match unit.trim() {
        "mV" | "mv" | "MV" | "millivolt" | "millivolts" => 1.0,
        // The micro sign, the Greek letter, and what writers without either make of it.
        "uV" | "uv" | "UV" | "\u{b5}V" | "\u{b5}v" | "\u{3bc}V" | "\u{3bc}v" | "microvolt" | "microvolts" => {
            1e3
        }
        "nV" | "nv" | "NV" => 1e6,
        "V" | "v" | "volt" | "volts" => 1e-3,
        _ => return None,
    })
}

/// The unit that values are brought to: mV where `unit` is a voltage, `unit` itself otherwise, and what its values are divided by.
pub fn common(unit: &str) -> (String, f64) {
    match per_millivolt(unit) {
        Some(per) => ("mV".to_string(), per),
        None => (unit.trim().to_string(), 1.0),
    }
}

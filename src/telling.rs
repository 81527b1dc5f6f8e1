//! What is said beside the answer, on standard error: it may be closed or full, and that must not cost a result.

use std::io::Write;

/// Writes a line to standard error; where nobody takes it, it is lost.
pub(crate) fn tell(line: &str) {
    // One write, so that lines of several processes do not mix.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

//! How things are said: beside the answer, on standard error, which may be closed or full without costing a result; and in counts that agree.

use std::io::Write;

/// Writes a line to standard error; where nobody takes it, it is lost.
pub(crate) fn tell(line: &str) {
    // One write, so that lines of several processes do not mix.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// A noun as it stands beside a count: `sample` of 1, `samples` of 2.
pub(crate) fn noun(count: usize, one: &str) -> String {
    if count == 1 { one.to_string() } else { format!("{one}s") }
}

/// A count with its noun: `1 sample`, `2 samples`.
pub(crate) fn counted(count: usize, one: &str) -> String {
    format!("{count} {}", noun(count, one))
}

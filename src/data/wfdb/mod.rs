//! WFDB records: headers (`.hea`), signals in all uncompressed formats, several segments, annotations.
//!
//! The formats are those of the WFDB Applications Guide: header(5), signal(5), annot(5).

pub mod annotations;
pub mod formats;
pub mod header;
pub mod record;

pub use header::{Header, SignalSpec};
pub use record::Record;

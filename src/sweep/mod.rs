//! From a study file to records: grid, plan, lanes, judge, rows.

pub mod grid;
pub mod identity;
pub mod interrupt;
pub mod load;
pub mod options;
pub mod plan;
pub mod study;

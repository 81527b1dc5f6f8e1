//! From a study file to records: grid, plan, lanes, judge, rows.

pub mod engine;
mod judge;
mod lanes;
pub mod subject;

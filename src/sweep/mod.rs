//! From a study file to records: grid, plan, lanes, judge, rows.

mod cell;
pub mod engine;
mod evade;
pub mod grid;
pub mod identity;
pub mod interrupt;
mod job;
mod judge;
mod lanes;
mod leap;
pub mod load;
mod moving;
pub mod options;
pub mod plan;
mod progress;
mod reach;
pub mod resolve;
mod rows;
pub mod run;
mod search;
mod sharing;
mod stage;
pub mod study;
pub mod subject;
pub mod trained;
mod verdict;
mod worker;

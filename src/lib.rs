//! percuss puts medical AI models through thousands of attack configurations in one run.
//!
//! ARCHITECTURE.md draws the map; each module's first line says what lives in it.

pub mod attacks;
pub mod cli;
pub mod data;
pub mod defenses;
pub mod device;
mod digest;
mod document;
mod error;
mod files;
pub mod graph;
pub mod memory;
pub mod models;
mod normal;
pub mod resampling;
pub mod results;
mod spelling;
pub mod statistics;
pub mod sweep;
mod telling;
pub mod training;

pub use error::{Error, Result};

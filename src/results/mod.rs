//! What a sweep leaves behind: typed tables in Parquet, the statistics over them, and how they are shown.
//!
//! [`Store`] writes a results folder and [`Results`] reads it; [`records`] documents every column.
//! This module is a leaf: it knows nothing of attacks, models or studies but their names.

pub(crate) mod aims;
mod axis;
mod breakdown;
mod clearing;
pub mod company;
pub mod curves;
mod earlier;
pub mod flags;
pub mod groups;
mod hold;
mod joint;
mod outcomes;
mod overview;
mod panels;
pub mod passing_on;
mod places;
pub mod plot;
pub mod records;
mod schema;
mod seal;
pub mod seeds;
mod settle;
mod shard;
mod sources;
mod store;
pub mod summary;
pub mod table;
mod table_file;
mod text;
pub mod trained_table;

mod reader;

pub use breakdown::range_start;
pub use hold::StudyText;
pub use overview::Overview;
pub use reader::Results;
pub use records::{CellRow, CurveRow, MetricRow, RunRow, SampleRow, SeedRow};
pub use schema::{Column, DESCRIPTION, Row};
pub(crate) use seal::is_sealed;
pub use shard::Shard;
pub use sources::others_told;
pub use store::Store;
pub use table_file::{read_rows, write_rows};
pub use text::Text;

//! The device that a command computes on, opened with what this user's earlier runs left in the cache.

use std::path::PathBuf;

use etcetera::BaseStrategy;
use percuss_kernels::Device;
use percuss_kernels::gpu::Tuning;

use crate::Result;

/// The device that `selector` names (see [`Device::select`]); compiled kernels and their timings are kept in the user's cache
/// folder. Without `tune` no kernels are timed: what is likely the fastest is taken.
///
/// # Errors
/// There is no such device, or it does not open.
pub fn open(selector: &str, threads: usize, tune: bool) -> Result<Device> {
    let tuning = Tuning { cache: folder(), tune: (!tune).then_some(false), ..Tuning::default() };
    Ok(Device::select_with(selector, threads, tuning)?)
}

/// Where devices keep what later runs can use again; nowhere for a user without a home.
fn folder() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.cache_dir().join("percuss").join("kernels"))
}

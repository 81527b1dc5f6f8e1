//! The device layer of percuss: buffers, programs of launches, and the ops with their CPU and WGSL kernels.

mod error;

pub use error::{Error, Result};

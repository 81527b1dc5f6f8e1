//! The device layer of percuss: programs of launches, the ops with their CPU and WGSL kernels, and the two executors.

pub mod cpu;
mod device;
mod error;
pub mod gpu;
pub mod ops;
mod program;

pub use device::{Device, DeviceInfo, DeviceKind, Program, SharedArena};
pub use error::{Error, Result};
pub use program::{ALIGNMENT, Arena, Launch, Precision, ProgramSpec, Span};

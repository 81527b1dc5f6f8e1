//! What a device can fail with.

/// A device failure; the caller can act on [`Error::OutOfMemory`] (halve the lanes) and [`Error::Lost`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No adapter matches what was asked for.
    #[error("no device {wanted:?}; there are: {available}")]
    NoDevice {
        /// The selector.
        wanted: String,
        /// What there is.
        available: String,
    },
    /// The device has no room for a buffer.
    #[error("device {device} is out of memory: {bytes} bytes more were asked for")]
    OutOfMemory {
        /// The adapter's name.
        device: String,
        /// Size of the failed request.
        bytes: u64,
    },
    /// The device went away: driver reset, unplugged.
    #[error("device {device} was lost: {reason}")]
    Lost {
        /// The adapter's name.
        device: String,
        /// The driver's words.
        reason: String,
    },
    /// A program whose shapes or spans do not fit together.
    #[error("{op}: {what}: found {found}, expected {expected}")]
    Shape {
        /// The op.
        op: &'static str,
        /// Which operand.
        what: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// The device cannot compute in the precision that a program asks for.
    #[error("device {device} does not compute in {precision}: a GPU with 16-bit floats in shaders does")]
    Precision {
        /// The adapter's name, or cpu.
        device: String,
        /// The precision.
        precision: &'static str,
    },
    /// A shader was refused, or a driver call failed.
    #[error("device {device}: {reason}")]
    Driver {
        /// The adapter's name.
        device: String,
        /// The driver's or compiler's words.
        reason: String,
    },
}

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

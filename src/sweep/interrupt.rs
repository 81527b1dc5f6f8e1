//! Ctrl-C: the first asks for a clean stop, the second ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use crate::{Error, Result};

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();

/// Listens for Ctrl-C (and SIGTERM, SIGHUP) from now on; the flag is set at the first.
///
/// # Errors
/// [`Error::Failed`] if the system refuses a handler.
pub fn install() -> Result<&'static AtomicBool> {
    let installed = INSTALLED.get_or_init(|| {
        ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::SeqCst) {
                // 130 as a shell reports it; what is on disk is whole at any moment.
                std::process::exit(130);
            }
        })
        .map_err(|error| error.to_string())
    });
    installed.clone().map_err(|error| Error::Failed(format!("Ctrl-C cannot be caught: {error}")))?;
    Ok(&STOP)
}

/// The same flag, to be kept by whoever needs a share of it; never set unless [`install`] was called.
pub fn shared() -> Arc<AtomicBool> {
    STOP.clone()
}

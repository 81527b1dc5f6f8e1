//! What went wrong, in a form that a user can act on.

use std::path::{Path, PathBuf};

/// Every failure that percuss reports; [`Error::exit_code`] maps it to the process exit code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Input from outside (a file, a study key, an argument) that is not what it should be.
    #[error("{file}: {place}: found {found}, expected {expected}")]
    Input {
        /// The file, or the argument, that holds it.
        file: String,
        /// The key, tensor, line or byte within it.
        place: String,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// The operating system refused a file operation (missing file, full disk, permissions).
    #[error("{path}: {source}{mend}", path = path.display(), mend = mend(source.kind()))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The device failed: lost, out of memory, or no such adapter.
    #[error(transparent)]
    Device(#[from] percuss_kernels::Error),
    /// Anything that ends a run and is not the user's input: a failed download, a failed write.
    #[error("{0}")]
    Failed(String),
    /// Ctrl-C: what was finished is kept.
    #[error("interrupted; the same command again continues")]
    Interrupted,
}

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Bad input at `place` of `file`.
    pub fn input(
        file: impl ToString,
        place: impl ToString,
        found: impl ToString,
        expected: impl ToString,
    ) -> Self {
        Self::Input {
            file: file.to_string(),
            place: place.to_string(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    /// A closure for `map_err` that names `path`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// 2 for bad input, 130 when interrupted, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input { .. } => 2,
            // A device that the user named and that is not there is bad usage, as is a path that is not there or something else.
            Self::Device(
                percuss_kernels::Error::NoDevice { .. } | percuss_kernels::Error::Precision { .. },
            ) => 2,
            Self::Io { source, .. } if misnamed(source.kind()) => 2,
            Self::Interrupted => 130,
            _ => 1,
        }
    }
}

/// What a user can do about a refusal of the system's, after its own words.
fn mend(kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind as Kind;
    match kind {
        Kind::NotFound => "; look at the spelling, and at the folder that the path counts from",
        Kind::PermissionDenied => "; permit reading or writing there, or name another place",
        Kind::ReadOnlyFilesystem => "; name a place that can be written",
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
            "; free room or name another place, then give the same command again: what was finished is kept"
        }
        Kind::NotADirectory => "; a part of the path is a file where a folder should be",
        Kind::IsADirectory => "; name a file, not a folder",
        Kind::AlreadyExists => "; remove it or name another place",
        Kind::OutOfMemory => "; close other programs, or take fewer samples (`limit`) or fewer --threads",
        _ => "",
    }
}

/// Whether the user named something that is not there, or that is something else.
fn misnamed(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{AlreadyExists, IsADirectory, NotADirectory, NotFound};
    matches!(kind, NotFound | IsADirectory | NotADirectory | AlreadyExists)
}

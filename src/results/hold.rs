//! Whose a results folder is: the study that it belongs to, and the process that works on one shard of it.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::passing_on;
use super::shard::Shard;
use super::table_file::sync_folder;
use crate::{Error, Result};

/// The study that a folder belongs to.
pub(super) const STUDY_FILE: &str = "study.resolved.toml";
/// What the first line of [`STUDY_FILE`] begins with.
const STUDY_MARK: &str = "# percuss study, sha256 ";

/// The resolved study that a folder belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyText {
    /// Its name.
    pub name: String,
    /// Its complete text, as TOML.
    pub text: String,
}

impl StudyText {
    /// A study as a folder that is passed on may tell it: places on a machine and comments are left out.
    pub fn to_pass_on(name: &str, text: &str) -> Self {
        Self { name: name.to_string(), text: passing_on::study(text) }
    }

    /// SHA-256 of the text, in hexadecimal.
    pub fn sha256(&self) -> String {
        Sha256::digest(self.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A process's hold on one shard of a folder, until it is dropped or the process dies.
pub(super) struct Hold {
    dir: PathBuf,
    study: StudyText,
    shard: Shard,
    lock: File,
}

impl Hold {
    /// Creates `dir` where it is not there, makes it the study's own and takes the shard.
    pub(super) fn take(dir: &Path, study: &StudyText, shard: Shard) -> Result<Self> {
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
        claim(dir, study)?;
        let lock = lock(dir, shard)?;
        Ok(Self { dir: dir.to_path_buf(), study: study.clone(), shard, lock })
    }

    /// Takes the folder anew where somebody removed it meanwhile: the lock that is held there is then on no file.
    pub(super) fn renew(&mut self) -> Result<()> {
        let there =
            self.dir.join(STUDY_FILE).is_file() && is_at(&self.lock, &lock_file(&self.dir, self.shard));
        if !there {
            *self = Self::take(&self.dir, &self.study, self.shard)?;
        }
        Ok(())
    }
}

/// Whether `path` still names the open file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let of = |about: fs::Metadata| (about.dev(), about.ino());
    matches!((file.metadata().map(of), fs::metadata(path).map(of)), (Ok(held), Ok(named)) if held == named)
}

/// Whether `path` still names the open file: elsewhere an open file cannot be removed.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// Makes `dir` the study's own, or checks that it is.
fn claim(dir: &Path, study: &StudyText) -> Result<()> {
    let path = dir.join(STUDY_FILE);
    let text = format!("{STUDY_MARK}{}\n{}", study.sha256(), study.text);
    publish_first(&path, text.as_bytes())?;
    let text = crate::files::read_text(&path)?;
    let there = text.split_once('\n').and_then(|(mark, body)| Some((mark.strip_prefix(STUDY_MARK)?, body)));
    let named = |name: &str, hash: &str| format!("study `{name}` ({})", hash.get(..12).unwrap_or(hash));
    let expected = format!("{}; another study needs another --out", named(&study.name, &study.sha256()));
    match there {
        Some((hash, _)) if hash == study.sha256() => Ok(()),
        Some((_, body)) if same_study(body, &study.text) => Ok(()),
        Some((hash, body)) => {
            let name = body.parse::<toml::Table>().ok();
            let name = name.as_ref().and_then(|t| t.get("name")?.as_str()).unwrap_or("unnamed");
            Err(Error::input(path.display(), "name", named(name, hash), expected))
        }
        None => Err(Error::input(path.display(), "line 1", "no study hash", expected)),
    }
}

/// Writes a file whole unless it is there; of several processes the first one's stays.
pub(super) fn publish_first(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".first-").suffix(".tmp");
    // A temporary file is private by default; this one becomes as readable as the umask lets any file be.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(dir).map_err(Error::io(path))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(Error::io(path))?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_folder(dir),
        // Another process was first.
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::io(path)(e.error)),
    }
}

/// Whether two texts say the same: comments, layout and places on a machine do not count.
fn same_study(a: &str, b: &str) -> bool {
    let table = |text: &str| passing_on::study(text).parse::<toml::Table>();
    matches!((table(a), table(b)), (Ok(a), Ok(b)) if a == b)
}

/// Takes the shard for this process.
fn lock(dir: &Path, shard: Shard) -> Result<File> {
    try_lock(dir, shard)?.ok_or_else(|| {
        Error::input(
            lock_file(dir, shard).display(),
            format!("shard {shard}"),
            "a lock that another percuss process holds",
            "one process a shard",
        )
    })
}

fn lock_file(dir: &Path, shard: Shard) -> PathBuf {
    dir.join(format!(".lock-{}", shard.stem()))
}

/// Takes the shard for this process unless another one holds it.
pub(super) fn try_lock(dir: &Path, shard: Shard) -> Result<Option<File>> {
    let path = lock_file(dir, shard);
    // Not truncated and never removed: the lock is on the file, not in it.
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(Error::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(Error::io(&path)(e)),
    }
}

//! Fetching a file from its origin: resumed where it broke off, checked, and only then given its name.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::beats;
use super::registry::{self, Entry, Origin, Remote};
use super::subset::hex;
use crate::{Error, Result};

/// What a file's contents must hash to, in lower-case hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Checksum<'a> {
    /// SHA-256.
    Sha256(&'a str),
    /// MD5: it only guards against damage, and is used where an origin publishes nothing else.
    Md5(&'a str),
}

/// One file to fetch.
#[derive(Clone, Copy, Debug)]
pub struct Download<'a> {
    /// Its address.
    pub url: &'a str,
    /// Where it is to lie; what has arrived so far lies beside it, with `.partial` appended.
    pub to: &'a Path,
    /// Its size in bytes, if known.
    pub size: Option<u64>,
    /// Its checksum, if known.
    pub checksum: Option<Checksum<'a>>,
}

/// Told of progress: the file's name, bytes so far, bytes in all if known.
pub type Progress<'a> = dyn FnMut(&str, u64, Option<u64>) + 'a;

/// Fetches files over HTTPS, through every redirect; honours the usual proxy variables.
pub struct Fetcher {
    agent: ureq::Agent,
}

impl Default for Fetcher {
    fn default() -> Self {
        Self::with(ureq::Agent::config_builder().https_only(true))
    }
}

impl Fetcher {
    /// A fetcher that asks no proxy and takes plain HTTP, too: for a server on this machine.
    pub fn direct() -> Self {
        Self::with(ureq::Agent::config_builder().proxy(None))
    }

    /// A fetcher over HTTPS alone that asks no proxy and trusts one certificate (PEM): for a server on this machine.
    ///
    /// # Errors
    /// A text that is no certificate.
    pub fn trusting(certificate: &[u8]) -> Result<Self> {
        let certificate = ureq::tls::Certificate::from_pem(certificate)
            .map_err(|error| Error::Failed(format!("certificate: {error}")))?;
        let tls =
            ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::new_with_certs(&[certificate]));
        Ok(Self::with(ureq::Agent::config_builder().https_only(true).proxy(None).tls_config(tls.build())))
    }

    fn with(config: ureq::config::ConfigBuilder<ureq::typestate::AgentScope>) -> Self {
        let config = config
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .user_agent(concat!("percuss/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().new_agent() }
    }

    /// Fetches one file, going on from its `.partial` if there is one.
    ///
    /// # Errors
    /// A server that refuses or cuts the connection and a full disk (the partial file stays, the same call goes on from
    /// it); a wrong size or checksum (the partial file is removed).
    pub fn fetch(&self, download: &Download, progress: &mut Progress) -> Result<()> {
        let partial = partial_path(download.to);
        if let Some(folder) = download.to.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
        let have = std::fs::metadata(&partial).map_or(0, |m| m.len());
        if have == 0 || download.size != Some(have) {
            self.receive(download, &partial, have, progress)?;
        }
        if let Err(error) = check_file(&partial, download) {
            std::fs::remove_file(&partial).map_err(Error::io(&partial))?;
            return Err(error);
        }
        std::fs::rename(&partial, download.to).map_err(Error::io(download.to))
    }

    /// Fetches a small text, such as a list of checksums.
    ///
    /// # Errors
    /// Whatever the server answers but 200.
    pub fn text(&self, url: &str) -> Result<String> {
        let mut response = self.agent.get(url).call().map_err(|error| failed(url, &error))?;
        match response.status().as_u16() {
            200 => response.body_mut().read_to_string().map_err(|error| failed(url, &error)),
            status => Err(refused(url, status)),
        }
    }

    fn receive(&self, download: &Download, partial: &Path, have: u64, progress: &mut Progress) -> Result<()> {
        let url = download.url;
        let mut request = self.agent.get(url);
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let response = request.call().map_err(|error| failed(url, &error))?;
        let status = response.status().as_u16();
        let resumed = status == 206 && starts_at(&response, have);
        if status == 416 {
            // The partial file is as long as the original, or longer: what it holds decides.
            return Ok(());
        }
        if status != 200 && !resumed {
            return Err(refused(url, status));
        }
        let first = if resumed { have } else { 0 };
        let length = response.body().content_length().map(|n| n.saturating_add(first));
        let mut file = open_partial(partial, resumed)?;
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
        let got = copy(&mut body, &mut file, first, |done| {
            progress(&file_name(download.to), done, download.size.or(length));
        })
        .map_err(|error| explain(error, url, partial))?;
        match length {
            Some(length) if got < length => Err(cut(url, partial, got, length)),
            _ => Ok(()),
        }
    }
}

/// Where a copy broke.
enum Broken {
    Reading(std::io::Error),
    Writing(std::io::Error),
}

fn copy(
    from: &mut impl Read,
    to: &mut impl Write,
    mut done: u64,
    mut progress: impl FnMut(u64),
) -> Result<u64, Broken> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                to.write_all(&buffer[..n]).map_err(Broken::Writing)?;
                done += n as u64;
                progress(done);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Broken::Reading(error)),
        }
    }
    to.flush().map_err(Broken::Writing)?;
    Ok(done)
}

fn open_partial(path: &Path, resumed: bool) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true);
    if resumed {
        options.append(true)
    } else {
        options.write(true).truncate(true)
    };
    options.open(path).map_err(Error::io(path))
}

/// Whether an answer to a Range request begins where the partial file ends.
fn starts_at(response: &ureq::http::Response<ureq::Body>, have: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|v| v.to_str().ok());
    range.and_then(|r| r.strip_prefix("bytes ")).and_then(|r| r.split('-').next()).map(str::parse)
        == Some(Ok(have))
}

/// The path that holds what has arrived so far.
pub fn partial_path(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn check_file(path: &Path, download: &Download) -> Result<()> {
    match difference(path, download)? {
        None => Ok(()),
        Some((what, found, expected)) => Err(Error::Failed(format!(
            "{}: {what}: found {found} (removed), expected {expected}",
            download.url
        ))),
    }
}

/// In what the file at `path` is not what the download says: size or checksum, what was found and what was expected.
fn difference(path: &Path, download: &Download) -> Result<Option<(&'static str, String, String)>> {
    let len = std::fs::metadata(path).map_err(Error::io(path))?.len();
    if let Some(size) = download.size.filter(|&size| size != len) {
        return Ok(Some(("size", format!("{len} bytes"), size.to_string())));
    }
    let (what, found, expected) = match download.checksum {
        None => return Ok(None),
        Some(Checksum::Sha256(sum)) => ("SHA-256", digest::<Sha256>(path)?, sum),
        Some(Checksum::Md5(sum)) => ("MD5", digest::<md5::Md5>(path)?, sum),
    };
    Ok((!found.eq_ignore_ascii_case(expected)).then(|| (what, found, expected.to_string())))
}

fn digest<D: Digest>(path: &Path) -> Result<String> {
    let mut file = crate::files::open(path)?;
    let mut hash = D::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer).map_err(Error::io(path))?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..n]);
    }
}

fn failed(url: &str, error: &ureq::Error) -> Error {
    Error::Failed(format!("{url}: {error}"))
}

fn refused(url: &str, status: u16) -> Error {
    let hint = match status {
        404 | 410 => "it is not at its origin any more",
        401 | 403 => "the origin does not give it out without an agreement",
        500..=599 => "the origin has trouble; try again later",
        _ => "an answer that was not expected",
    };
    Error::Failed(format!("{url}: the server answered {status}: {hint}"))
}

fn cut(url: &str, partial: &Path, got: u64, of: u64) -> Error {
    Error::Failed(format!(
        "{url}: the connection broke off after {got} of {of} bytes; they stay in {}, the same command goes on",
        partial.display()
    ))
}

fn explain(broken: Broken, url: &str, partial: &Path) -> Error {
    let partial = partial.display();
    match broken {
        Broken::Writing(error) if error.kind() == ErrorKind::StorageFull => Error::Failed(format!(
            "{partial}: no space left; what has arrived stays, and the same command goes on when there is room"
        )),
        Broken::Writing(error) => Error::Failed(format!("{partial}: {error}")),
        Broken::Reading(error) => Error::Failed(format!(
            "{url}: the connection broke off ({error}); what has arrived stays in {partial}, the same command goes on"
        )),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Fetches what the entry needs into `dir`, and returns the path of its file or folder.
///
/// `base` replaces the origin's address (a mirror); files that are already there are checked and kept. `mitbih_beats` is cut
/// from `mitdb`, which is fetched first.
///
/// # Errors
/// As [`Fetcher::fetch`]; an entry that is not to be fetched says why.
pub fn fetch_entry(
    fetcher: &Fetcher,
    entry: &Entry,
    base: Option<&str>,
    dir: &Path,
    progress: &mut Progress,
) -> Result<PathBuf> {
    let to = dir.join(entry.file);
    match &entry.origin {
        Origin::Files { base: origin, files, sums } => {
            // A folder of many files, or one file that is the entry.
            let folder = if files.len() > 1 { to.clone() } else { dir.to_path_buf() };
            fetch_files(fetcher, base.unwrap_or(origin), files, *sums, &folder, progress)?;
        }
        Origin::CutFrom(source) => {
            let records = fetch_entry(fetcher, registry::entry(source)?, base, dir, progress)?;
            cut_beats(&records, &to)?;
        }
        Origin::Embedded(_) => return Err(needless(entry, "is part of the program")),
        Origin::Generated => return Err(needless(entry, "is generated by the program")),
        Origin::ByHand(how) => return Err(Error::input(entry.name, "origin", "several steps", how)),
    }
    Ok(to)
}

/// Cuts the beats of the records in a folder; what lies in their place and is not the same stays there.
fn cut_beats(records: &Path, to: &Path) -> Result<()> {
    let beats = beats::cut_folder(records, Some(beats::MAX_NORMAL))?;
    if !to.exists() {
        return beats::write(&beats, to);
    }
    let anew = to.with_extension("new.npz");
    beats::write(&beats, &anew)?;
    let same = digest::<Sha256>(&anew).and_then(|sum| Ok(sum == digest::<Sha256>(to)?));
    std::fs::remove_file(&anew).map_err(Error::io(&anew))?;
    match same? {
        true => Ok(()),
        false => Err(Error::Failed(format!(
            "{}: other content than the beats of {}; remove it, and the same command cuts them",
            to.display(),
            records.display()
        ))),
    }
}

fn needless(entry: &Entry, why: &str) -> Error {
    Error::input(entry.name, "origin", format!("a data set that {why}"), "one that has to be fetched")
}

/// Fetches `files` from below `base` into `folder`, each checked against its own sum or the origin's list of them, which is kept there;
/// those that are already there are checked, too.
///
/// # Errors
/// As [`Fetcher::fetch`], a file that has no checksum at all, and one that is there and not the origin's.
pub fn fetch_files(
    fetcher: &Fetcher,
    base: &str,
    files: &[Remote],
    sums: Option<&str>,
    folder: &Path,
    progress: &mut Progress,
) -> Result<()> {
    let list = match sums.filter(|_| files.iter().any(|file| file.checksum.is_none())) {
        Some(name) => listed_sums(fetcher, base, name, folder)?,
        None => String::new(),
    };
    for file in files {
        let url = format!("{base}{}", file.name);
        let checksum = match file.checksum {
            Some(known) => known,
            None => Checksum::Sha256(listed_sum(&list, file.name).ok_or_else(|| {
                Error::Failed(format!("{url}: the origin's list of checksums does not name it"))
            })?),
        };
        let to = folder.join(file.name);
        let download = Download { url: &url, to: &to, size: file.size, checksum: Some(checksum) };
        if !to.exists() {
            fetcher.fetch(&download, progress)?;
        } else if let Some((what, found, expected)) = difference(&to, &download)? {
            return Err(Error::Failed(format!(
                "{}: {what}: found {found}, expected {expected}, as its origin says; remove it, and the same command fetches it",
                to.display()
            )));
        }
    }
    Ok(())
}

/// The origin's list of checksums: as it lies in `folder`, else fetched and put there.
fn listed_sums(fetcher: &Fetcher, base: &str, name: &str, folder: &Path) -> Result<String> {
    let kept = folder.join(name);
    if kept.is_file() {
        return crate::files::read_text(&kept);
    }
    let list = fetcher.text(&format!("{base}{name}"))?;
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    crate::models::write_whole(&kept, list.as_bytes())?;
    Ok(list)
}

/// The sum of `name` in a list of lines `SUM  NAME`, as `sha256sum` writes them.
fn listed_sum<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    list.lines().find_map(|line| {
        let (sum, file) = line.split_once(char::is_whitespace)?;
        let file = file.trim_start().trim_start_matches('*').trim_start_matches("./");
        (file == name && sum.len() == 64).then_some(sum)
    })
}

//! Fetching against a server in the test: whole, resumed, ignored ranges, damage, cuts, a full disk.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use percuss::cli::data::{DataAction, DataCommand};
use percuss::data::fetch::{Checksum, Download, Fetcher, fetch_entry, fetch_files, partial_path};
use percuss::data::registry::{self, Remote};
use percuss::data::{Labels, Request, beats, open};
use sha2::{Digest, Sha256};

/// How the server answers.
#[derive(Clone, Copy, Default)]
struct Manner {
    /// Answers 200 with everything, whatever range is asked for.
    ignores_range: bool,
    /// Closes the connection after this many bytes of the body.
    cut_after: Option<usize>,
    /// This status and nothing else.
    status: Option<u16>,
}

/// A file's name and the first byte that was asked for.
type Asked = (String, Option<u64>);

/// A server of some files; remembers what each request was and which range it asked for.
struct Server {
    base: String,
    requests: Arc<Mutex<Vec<Asked>>>,
    manner: Arc<Mutex<Manner>>,
}

impl Server {
    fn start(files: Vec<(String, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/", listener.local_addr().unwrap());
        let (requests, manner) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Manner::default())));
        let (log, how) = (requests.clone(), manner.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let Some(Ok(first)) = lines.next() else { continue };
                let name = first.split(' ').nth(1).unwrap().trim_start_matches('/').to_string();
                let mut range = None;
                for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
                    if let Some(from) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                        range = from.trim_end_matches('-').parse::<u64>().ok();
                    }
                }
                log.lock().unwrap().push((name.clone(), range));
                let manner = *how.lock().unwrap();
                let body = files.iter().find(|(n, _)| *n == name).map(|(_, body)| body.as_slice());
                // A client that hangs up early is part of what is tested.
                let _ = answer(&mut stream, body, range, manner);
            }
        });
        Self { base, requests, manner }
    }

    fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn last_range(&self) -> Option<u64> {
        self.requests.lock().unwrap().last().unwrap().1
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn answer(
    to: &mut impl Write,
    body: Option<&[u8]>,
    range: Option<u64>,
    manner: Manner,
) -> std::io::Result<()> {
    let status = manner.status.or(body.is_none().then_some(404));
    let body = body.unwrap_or_default();
    if let Some(status) = status {
        return write!(to, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let from = range.filter(|_| !manner.ignores_range).unwrap_or(0) as usize;
    if from > 0 && from >= body.len() {
        return write!(to, "HTTP/1.1 416 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let part = &body[from..];
    let head = match from {
        0 => "HTTP/1.1 200 OK\r\n".to_string(),
        _ => format!("HTTP/1.1 206 X\r\nContent-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len()),
    };
    write!(to, "{head}Content-Length: {}\r\nConnection: close\r\n\r\n", part.len())?;
    to.write_all(&part[..manner.cut_after.unwrap_or(part.len()).min(part.len())])?;
    to.flush()
}

fn body() -> Vec<u8> {
    (0..200_000u32).map(|k| (k.wrapping_mul(2_654_435_761u32.rotate_left(k % 7)) >> 13) as u8).collect()
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

struct Case {
    server: Server,
    _dir: tempfile::TempDir,
    to: PathBuf,
    sum: String,
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("sub").join("a.bin");
        std::fs::create_dir(to.parent().unwrap()).unwrap();
        Self { server: Server::start(vec![("a.bin".into(), body())]), _dir: dir, to, sum: sum(&body()) }
    }

    fn fetch(&self) -> percuss::Result<()> {
        self.fetch_as("a.bin", Some(200_000), Checksum::Sha256(&self.sum))
    }

    fn fetch_as(&self, name: &str, size: Option<u64>, checksum: Checksum) -> percuss::Result<()> {
        let url = format!("{}{name}", self.server.base);
        let download = Download { url: &url, to: &self.to, size, checksum: Some(checksum) };
        Fetcher::direct().fetch(&download, &mut |_, _, _| {})
    }

    fn partial(&self) -> PathBuf {
        partial_path(&self.to)
    }

    fn assert_whole(&self) {
        assert_eq!(std::fs::read(&self.to).unwrap(), body());
        assert!(!self.partial().exists());
    }
}

#[test]
fn fresh_file_arrives_whole_and_tells_its_progress() {
    let case = Case::new();
    let url = format!("{}a.bin", case.server.base);
    let download =
        Download { url: &url, to: &case.to, size: None, checksum: Some(Checksum::Sha256(&case.sum)) };
    let mut seen = Vec::new();
    Fetcher::direct()
        .fetch(&download, &mut |name, done, total| seen.push((name.to_string(), done, total)))
        .unwrap();
    case.assert_whole();
    assert!(seen.windows(2).all(|pair| pair[0].1 < pair[1].1));
    assert_eq!(seen.last().unwrap(), &("a.bin".to_string(), 200_000, Some(200_000)));
    assert_eq!(case.server.last_range(), None);
}

#[test]
fn partial_file_is_gone_on_with() {
    let case = Case::new();
    std::fs::write(case.partial(), &body()[..70_001]).unwrap();
    case.fetch().unwrap();
    case.assert_whole();
    assert_eq!(case.server.last_range(), Some(70_001));
}

#[test]
fn server_that_ignores_the_range_gives_a_whole_file_too() {
    let case = Case::new();
    case.server.set(Manner { ignores_range: true, ..Default::default() });
    std::fs::write(case.partial(), &body()[..70_001]).unwrap();
    case.fetch().unwrap();
    case.assert_whole();
}

#[test]
fn complete_partial_file_is_only_checked() {
    let case = Case::new();
    std::fs::write(case.partial(), body()).unwrap();
    case.fetch().unwrap();
    case.assert_whole();
    assert_eq!(case.server.count(), 0);
    // Where the size is not known, the server says that nothing is left (416).
    std::fs::rename(&case.to, case.partial()).unwrap();
    case.fetch_as("a.bin", None, Checksum::Sha256(&case.sum)).unwrap();
    case.assert_whole();
}

#[test]
fn cut_connection_keeps_what_came_and_the_next_call_goes_on() {
    let case = Case::new();
    case.server.set(Manner { cut_after: Some(90_000), ..Default::default() });
    let error = case.fetch().unwrap_err();
    assert!(error.to_string().contains("broke off"), "{error}");
    assert_eq!(error.exit_code(), 1);
    assert!(!case.to.exists());
    assert_eq!(std::fs::read(case.partial()).unwrap(), body()[..90_000]);
    case.server.set(Manner::default());
    case.fetch().unwrap();
    assert_eq!(case.server.last_range(), Some(90_000));
    case.assert_whole();
}

#[test]
fn wrong_checksum_or_size_removes_the_partial_file() {
    let case = Case::new();
    let other = sum(b"something else");
    let error = case.fetch_as("a.bin", Some(200_000), Checksum::Sha256(&other)).unwrap_err().to_string();
    assert!(error.contains(&case.sum) && error.contains(&other), "{error}");
    assert!(!case.to.exists() && !case.partial().exists());
    let error = case.fetch_as("a.bin", Some(199_999), Checksum::Sha256(&case.sum)).unwrap_err().to_string();
    assert!(error.contains("200000 bytes") && error.contains("199999"), "{error}");
    assert!(!case.to.exists() && !case.partial().exists());
    // A damaged beginning shows when the rest has come; the next call then starts afresh.
    std::fs::write(case.partial(), vec![7; 1000]).unwrap();
    assert!(case.fetch().is_err());
    case.fetch().unwrap();
    case.assert_whole();
}

#[test]
fn md5_is_checked_where_an_origin_has_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("abc");
    let server = Server::start(vec![("abc".into(), b"abc".to_vec())]);
    let url = format!("{}abc", server.base);
    // RFC 1321, A.5.
    let right = Checksum::Md5("900150983cd24fb0d6963f7d28e17f72");
    let wrong = Checksum::Md5("d41d8cd98f00b204e9800998ecf8427e");
    let fetch = |checksum| {
        let download = Download { url: &url, to: &to, size: None, checksum: Some(checksum) };
        Fetcher::direct().fetch(&download, &mut |_, _, _| {})
    };
    assert!(fetch(wrong).is_err() && !to.exists());
    fetch(right).unwrap();
    assert!(to.exists());
}

#[test]
fn refusals_say_what_the_server_answered() {
    let case = Case::new();
    let missing = case.fetch_as("b.bin", None, Checksum::Sha256(&case.sum)).unwrap_err().to_string();
    assert!(missing.contains("b.bin") && missing.contains("404"), "{missing}");
    case.server.set(Manner { status: Some(503), ..Default::default() });
    std::fs::write(case.partial(), &body()[..10]).unwrap();
    assert!(case.fetch().unwrap_err().to_string().contains("503"));
    assert_eq!(std::fs::read(case.partial()).unwrap(), body()[..10], "what had come stays");
    drop(case.server);
    let nowhere = Download { url: "http://127.0.0.1:1/x", to: &case.to, size: None, checksum: None };
    assert!(Fetcher::direct().fetch(&nowhere, &mut |_, _, _| {}).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk_is_named_as_such() {
    let case = Case::new();
    // Every write to this device fails as on a full disk.
    std::os::unix::fs::symlink("/dev/full", case.partial()).unwrap();
    let error = case.fetch().unwrap_err();
    assert!(error.to_string().contains("no space left"), "{error}");
    assert_eq!(error.exit_code(), 1);
    assert!(!case.to.exists());
}

#[test]
fn folder_of_files_is_checked_against_the_origins_list() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (b"first".to_vec(), b"second".to_vec());
    let list = format!("{}  a.dat\n{}  ./b.dat\n", sum(&a), sum(b"not this"));
    let files = vec![("a.dat".into(), a), ("b.dat".into(), b), ("SUMS".into(), list.into_bytes())];
    let server = Server::start(files);
    let file = |name| Remote { name, size: None, checksum: None };
    let fetch = |names: &[Remote]| {
        fetch_files(&Fetcher::direct(), &server.base, names, Some("SUMS"), dir.path(), &mut |_, _, _| {})
    };
    fetch(&[file("a.dat")]).unwrap();
    assert!(fetch(&[file("a.dat"), file("b.dat")]).unwrap_err().to_string().contains("SHA-256"));
    assert!(fetch(&[file("c.dat")]).unwrap_err().to_string().contains("does not name it"));
    assert!(dir.path().join("a.dat").exists() && !dir.path().join("b.dat").exists());
    // What lies there is looked at again, by the list that was kept.
    let asked = server.count();
    fetch(&[file("a.dat")]).unwrap();
    std::fs::write(dir.path().join("a.dat"), "First").unwrap();
    let error = fetch(&[file("a.dat")]).unwrap_err();
    assert!(error.to_string().contains("a.dat: SHA-256"), "{error}");
    assert_eq!((error.exit_code(), server.count()), (1, asked));
}

#[test]
fn users_follow_https_alone() {
    let server = Server::start(vec![("a.dat".into(), b"first".to_vec())]);
    let to = tempfile::tempdir().unwrap();
    let to = to.path().join("a.dat");
    let download = Download { url: &format!("{}a.dat", server.base), to: &to, size: None, checksum: None };
    let error = Fetcher::default().fetch(&download, &mut |_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("https"), "{error}");
    assert!(Fetcher::default().text(&format!("{}a.dat", server.base)).is_err());
    assert_eq!((server.count(), to.exists()), (0, false));
}

#[test]
fn entry_is_fetched_from_its_origin_and_refuses_what_is_not_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(vec![("pneumoniamnist.npz".into(), vec![0; 4_170_669])]);
    let entry = registry::entry("pneumoniamnist").unwrap();
    let error = fetch_entry(&Fetcher::direct(), entry, Some(&server.base), dir.path(), &mut |_, _, _| {});
    assert!(error.unwrap_err().to_string().contains("SHA-256"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    for (name, word) in
        [("support2", "part of the program"), ("ecg-synthetic", "generated"), ("eicu-demo", "join")]
    {
        let entry = registry::entry(name).unwrap();
        let error = fetch_entry(&Fetcher::direct(), entry, None, dir.path(), &mut |_, _, _| {}).unwrap_err();
        assert!(error.to_string().contains(word) && error.exit_code() == 2, "{error}");
    }
}

/// A record of 2,000 samples with five beats 400 samples apart, in WFDB's own form.
fn small_record(name: &str, seed: u32) -> [(String, Vec<u8>); 3] {
    let samples: Vec<i16> = (0..2000u32).map(|k| 900 + (k * (seed % 97 + 3) % 211) as i16).collect();
    let sum = samples.iter().fold(0i16, |sum, &v| sum.wrapping_add(v));
    let header = format!("{name} 1 360 2000\n{name}.dat 16 200 11 1024 {} {sum} 0 MLII\n", samples[0]);
    let data = samples.iter().flat_map(|v| v.to_le_bytes()).collect();
    let code = |code: u16, step: u16| (code << 10 | step).to_le_bytes();
    let words =
        [code(1, 150), code(1, 400), code(5, 400), code(8, 400), code(28, 10), code(6, 390), code(0, 0)];
    [
        (format!("{name}.hea"), header.into_bytes()),
        (format!("{name}.dat"), data),
        (format!("{name}.atr"), words.concat()),
    ]
}

#[test]
fn beats_are_cut_from_the_records_that_are_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let names = beats::DS1.iter().chain(&beats::DS2);
    let mut files: Vec<(String, Vec<u8>)> =
        names.flat_map(|name| small_record(&name.to_string(), u32::from(*name))).collect();
    let list: String = files.iter().map(|(name, body)| format!("{} {name}\n", sum(body))).collect();
    files.push(("SHA256SUMS.txt".into(), list.into_bytes()));
    let server = Server::start(files);
    let entry = registry::entry("mitbih_beats").unwrap();
    let path =
        fetch_entry(&Fetcher::direct(), entry, Some(&server.base), dir.path(), &mut |_, _, _| {}).unwrap();
    assert_eq!(server.count(), 1 + 44 * 3);
    let mut request = Request::named("mitbih_beats", "all");
    request.data_dir = Some(dir.path().to_path_buf());
    let all = open(&request, None).unwrap();
    // The first beat of each record has none before it; the rhythm change is no beat.
    assert_eq!((path, all.len()), (dir.path().join("mitbih_beats.npz"), 44 * 4));
    assert_eq!(all.labels, Labels::Class([0, 2, 1, 3].repeat(44)));
    // What is there is not fetched again.
    fetch_entry(&Fetcher::direct(), entry, Some(&server.base), dir.path(), &mut |_, _, _| {}).unwrap();
    assert_eq!(server.count(), 1 + 44 * 3);
    // What a user put there stays.
    std::fs::write(dir.path().join("mitbih_beats.npz"), "x").unwrap();
    let error = fetch_entry(&Fetcher::direct(), entry, Some(&server.base), dir.path(), &mut |_, _, _| {})
        .unwrap_err();
    assert!(error.to_string().contains("mitbih_beats.npz: other content"), "{error}");
    assert_eq!(std::fs::read(dir.path().join("mitbih_beats.npz")).unwrap(), b"x");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "the records and the file");
}

fn command(action: DataAction, dir: &Path) -> percuss::Result<String> {
    let mut out = Vec::new();
    percuss::cli::data::run(DataCommand { data_dir: Some(dir.to_path_buf()), action }, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn command_lists_every_set_and_finds_files() {
    let dir = tempfile::tempdir().unwrap();
    let text = command(DataAction::List { json: false }, dir.path()).unwrap();
    for entry in registry::ENTRIES {
        assert!(text.contains(entry.name), "{}", entry.name);
    }
    let rows: serde_json::Value =
        serde_json::from_str(&command(DataAction::List { json: true }, dir.path()).unwrap()).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), registry::ENTRIES.len());
    assert_eq!(rows[0]["origin"], "https://zenodo.org/records/10519652/files/pneumoniamnist.npz");
    let npz = dir.path().join("breastmnist.npz");
    std::fs::write(&npz, b"x").unwrap();
    let path = command(DataAction::Path { name: "breastmnist".into() }, dir.path()).unwrap();
    assert_eq!(path.trim_end(), npz.display().to_string());
    assert!(
        command(DataAction::Path { name: "brestmnist".into() }, dir.path())
            .unwrap_err()
            .to_string()
            .contains("nearest")
    );
    let error = command(DataAction::Fetch { name: "breastmnist".into() }, dir.path()).unwrap_err();
    assert!(
        error.to_string().contains("breastmnist.npz: ") && error.to_string().contains("remove it"),
        "{error}"
    );
    assert!(npz.exists(), "what a user put there is not removed");
}

//! Redirects of `percuss data fetch`, against servers in the test: followed to their end over HTTPS alone, and not for ever.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use percuss::data::fetch::{Download, Fetcher, partial_path};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const CERTIFICATE: &[u8] = include_bytes!("cases/tls/certificate.pem");
const KEY: &[u8] = include_bytes!("cases/tls/key.pem");
const BODY: &str = "the file";

/// A server whose answer to `/N` is a redirect to `next(N)`, or the file where there is none; it counts what it is asked.
struct Server {
    base: String,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn start(tls: bool, next: impl Fn(&str) -> Option<String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls { "https" } else { "http" };
        let base = format!("{scheme}://{}/", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let chain = CertificateDer::pem_slice_iter(CERTIFICATE).collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that hangs up is part of what is tested.
                let _ = match tls {
                    true => {
                        let connection = ServerConnection::new(config.clone()).unwrap();
                        answer(StreamOwned::new(connection, stream), &next, &count)
                    }
                    false => answer(stream, &next, &count),
                };
            }
        });
        Self { base, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(
    mut stream: impl Read + Write,
    next: &impl Fn(&str) -> Option<String>,
    count: &AtomicUsize,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(&mut stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let Some(path) = first.split(' ').nth(1) else { return Ok(()) };
    let path = path.trim_start_matches('/').to_string();
    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
    count.fetch_add(1, Ordering::SeqCst);
    match next(&path) {
        Some(to) => {
            let head = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close";
            write!(stream, "{head}\r\nLocation: {to}\r\n\r\n")?;
        }
        None => write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{BODY}",
            BODY.len()
        )?,
    }
    stream.flush()
}

fn fetched(fetcher: &Fetcher, url: &str, to: &Path) -> Result<String, String> {
    let download = Download { url, to, size: None, checksum: None };
    let result = fetcher.fetch(&download, &mut |_, _, _| {});
    assert_eq!((to.exists(), partial_path(to).exists()), (result.is_ok(), false));
    result.map(|()| std::fs::read_to_string(to).unwrap()).map_err(|error| error.to_string())
}

#[test]
fn a_file_is_found_behind_several_redirects() {
    let dir = tempfile::tempdir().unwrap();
    let far = Server::start(true, |path| (path != "3").then(|| format!("/{}", path.len() + 2)));
    let base = far.base.clone();
    let near = Server::start(true, move |path| Some(format!("{base}{path}")));
    let fetcher = Fetcher::trusting(CERTIFICATE).unwrap();
    assert_eq!(fetched(&fetcher, &format!("{}a", near.base), &dir.path().join("a")).unwrap(), BODY);
    assert_eq!((near.asked(), far.asked()), (1, 2));
}

#[test]
fn a_redirect_to_plain_http_is_refused_at_every_hop() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Server::start(false, |_| None);
    let fetcher = Fetcher::trusting(CERTIFICATE).unwrap();
    for hops in 1..4 {
        let end = plain.base.clone();
        let server = Server::start(true, move |path| {
            let hop: usize = path.parse().unwrap();
            Some(if hop == hops { end.clone() } else { format!("/{}", hop + 1) })
        });
        let error = fetched(&fetcher, &format!("{}1", server.base), &dir.path().join("a")).unwrap_err();
        assert!(error.contains("https only"), "{error}");
        assert_eq!((server.asked(), plain.asked()), (hops, 0), "{hops} hops");
        assert!(fetcher.text(&format!("{}1", server.base)).is_err());
    }
    assert_eq!(plain.asked(), 0);
}

#[test]
fn a_loop_of_redirects_ends() {
    let dir = tempfile::tempdir().unwrap();
    for tls in [false, true] {
        let server = Server::start(tls, |path| Some(if path == "a" { "/b" } else { "/a" }.into()));
        let fetcher = if tls { Fetcher::trusting(CERTIFICATE).unwrap() } else { Fetcher::direct() };
        let error = fetched(&fetcher, &format!("{}a", server.base), &dir.path().join("a")).unwrap_err();
        assert!(error.contains("redirect"), "{error}");
        assert!((2..30).contains(&server.asked()), "{}", server.asked());
    }
}

#[test]
fn a_certificate_that_nobody_trusts_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(true, |_| None);
    assert!(fetched(&Fetcher::default(), &format!("{}a", server.base), &dir.path().join("a")).is_err());
    assert_eq!(server.asked(), 0);
}

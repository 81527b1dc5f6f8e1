//! Requests for data files, and what bad ones are told.

use std::path::Path;

use percuss::data::{Dataset, Request, Source};

pub fn at(path: &Path, split: &str) -> Request {
    Request::new(Source::Path(path.to_path_buf()), split)
}

/// The message that bad input gets.
pub fn message(result: percuss::Result<Dataset>) -> String {
    let error = result.expect_err("an error");
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

//! A folder of a test's own.

use std::path::PathBuf;

/// An empty folder that is gone at the end of the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("percuss-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> PathBuf {
        self.0.clone()
    }

    pub fn files(&self) -> Vec<PathBuf> {
        std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// The one file whose path contains `part`.
    pub fn file(&self, part: &str) -> PathBuf {
        let files = self.files();
        let named: Vec<&PathBuf> =
            files.iter().filter(|path| path.to_string_lossy().contains(part)).collect();
        assert_eq!(named.len(), 1, "{part} among {files:?}");
        named[0].clone()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

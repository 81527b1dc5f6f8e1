//! Which part of a sweep one process works on.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// Shard `index` of `count`, counted from 1; written `I/N` on the command line and `I-of-N` in file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// The whole sweep in one process.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// Shard `index` of `count`.
    ///
    /// # Errors
    /// [`Error::Input`] unless 1 <= `index` <= `count`.
    pub fn new(index: u32, count: u32) -> Result<Self> {
        if index == 0 || index > count {
            return Err(Error::input("--shard", "I/N", format!("{index}/{count}"), "1 <= I <= N"));
        }
        Ok(Self { index, count })
    }

    /// From 1 to [`count`](Self::count).
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many shards there are.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether the item at `position` of the plan belongs to this shard (round robin).
    pub fn owns(self, position: usize) -> bool {
        position as u64 % u64::from(self.count) == u64::from(self.index) - 1
    }

    /// `I-of-N`, as in file names.
    pub(super) fn stem(self) -> String {
        format!("{}-of-{}", self.index, self.count)
    }

    /// The shard whose [`stem`](Self::stem) is `text`.
    pub(super) fn from_stem(text: &str) -> Option<Self> {
        let (index, count) = text.split_once("-of-")?;
        Self::new(index.parse().ok()?, count.parse().ok()?).ok().filter(|shard| shard.stem() == text)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::input("--shard", "I/N", format!("{text:?}"), "two numbers such as 1/4");
        let (index, count) = text.split_once('/').ok_or_else(bad)?;
        Self::new(index.trim().parse().map_err(|_| bad())?, count.trim().parse().map_err(|_| bad())?)
    }
}

//! A model whose tensors are spread over several safetensors files: `model.safetensors.index.json` says which file holds which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::weights::Weights;
use crate::{Error, Result};

/// The index's usual name.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// The part of an index that says something: the total size in its metadata does not.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Reads all files that the index at `path` names, one after the other.
///
/// # Errors
/// A file that is not there or not beside the index; a tensor that its file lacks, that another file holds, too, or that the index does
/// not know: each named with both files.
pub(super) fn read(path: &Path) -> Result<Weights> {
    let text = crate::files::read_text(path)?;
    let file = path.display().to_string();
    let index: Index = serde_json::from_str(&text).map_err(|e| {
        let expected = "an index with a weight_map, tensors to files";
        Error::input(&file, format!("line {}", e.line()), e, expected)
    })?;
    let mut whole = Weights::default();
    let shards: BTreeSet<&String> = index.weight_map.values().collect();
    for shard in shards {
        let part = Weights::read(&beside(path, shard, &index)?)?;
        for (name, tensor) in part.tensors {
            let place = format!("weight_map, tensor {name}");
            match index.weight_map.get(&name) {
                Some(known) if known == shard => {}
                Some(other) => {
                    let expected = format!("it in {other} alone, as the index says");
                    return Err(Error::input(&file, place, format!("it in {shard}"), expected));
                }
                None => {
                    let found = format!("a tensor of {shard} that the index does not name");
                    return Err(Error::input(&file, place, found, "every tensor of every file"));
                }
            }
            whole.tensors.insert(name, tensor);
        }
        whole.metadata.extend(part.metadata);
    }
    let skipped = |name: &str| super::weights::is_skipped(name);
    match index.weight_map.iter().find(|(name, _)| !skipped(name) && !whole.tensors.contains_key(*name)) {
        Some((name, shard)) => {
            let place = format!("weight_map, tensor {name}");
            Err(Error::input(
                &file,
                place,
                format!("no such tensor in {shard}"),
                "it there, as the index says",
            ))
        }
        None => Ok(whole),
    }
}

/// The path of a shard, which lies in the index's own folder.
fn beside(index: &Path, shard: &str, Index { weight_map }: &Index) -> Result<PathBuf> {
    let place = || {
        let name = weight_map.iter().find(|(_, file)| *file == shard).map_or("", |(name, _)| name.as_str());
        format!("weight_map, tensor {name}")
    };
    if Path::new(shard).file_name().is_none_or(|name| name != shard) {
        let found = format!("{shard:?}");
        return Err(Error::input(index.display(), place(), found, "the name of a file beside the index"));
    }
    let path = index.with_file_name(shard);
    if !path.is_file() {
        let expected = format!("{} beside the index", path.display());
        return Err(Error::input(index.display(), place(), format!("no file {shard}"), expected));
    }
    Ok(path)
}

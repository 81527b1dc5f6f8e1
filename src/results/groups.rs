//! Groups (patients, records) as rows name them: numbers in a random order, drawn once a results folder and set of samples.
//!
//! Neither a name nor a hash of one leaves: whoever has a list of all names undoes a hash by trying them. What a folder keeps is the
//! order of numbers, which its rows say, too, so that shards and later runs go on with the same ones, on whatever machine.

use std::collections::HashMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::hold::publish_first;
use super::text::Text;
use crate::{Error, Result};

/// The number of each sample's group in the results folder `dir`, from 1; `groups` are their own names, one a sample, and `samples` says
/// which samples these are (a digest). Equal names get equal numbers. The order is drawn where the folder has none yet.
///
/// # Errors
/// [`Error::Io`] naming the file; [`Error::Failed`] where the system has no random numbers; [`Error::Input`] for a file of another length.
pub fn group_names(dir: &Path, samples: &str, groups: &[String]) -> Result<Vec<Text>> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut places = Vec::with_capacity(groups.len());
    for group in groups {
        let next = known.len();
        places.push(*known.entry(group).or_insert(next));
    }
    let path = dir.join(format!(".groups-{}", key(samples, &places)));
    if !path.exists() {
        std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let drawn: Vec<String> = shuffled(known.len())?.iter().map(usize::to_string).collect();
        publish_first(&path, (drawn.join("\n") + "\n").as_bytes())?;
    }
    let text = crate::files::read_text(&path)?;
    let numbers: Vec<Text> = text.lines().map(Text::from).collect();
    let mut sorted: Vec<usize> = text.lines().filter_map(|line| line.parse().ok()).collect();
    sorted.sort_unstable();
    // Two groups of one number would be taken for one.
    if !sorted.iter().copied().eq(1..=known.len()) || sorted.len() != numbers.len() {
        let found = format!("{} numbers", numbers.len());
        let expected = format!(
            "each from 1 to {} once, one a group; without the file other numbers are drawn",
            known.len()
        );
        return Err(Error::input(path.display(), "lines", found, expected));
    }
    Ok(places.into_iter().map(|place| numbers[place].clone()).collect())
}

/// What tells one set of samples, parted so, from another; no name goes into it.
fn key(samples: &str, places: &[usize]) -> String {
    let mut hash = Sha256::new();
    hash.update(samples.as_bytes());
    places.iter().for_each(|place| hash.update((*place as u64).to_le_bytes()));
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The numbers from 1 to `n` in a random order (Fisher and Yates), by the system's own random numbers.
fn shuffled(n: usize) -> Result<Vec<usize>> {
    let mut bytes = vec![0; 8 * n];
    getrandom::fill(&mut bytes).map_err(|e| Error::Failed(format!("random numbers for groups: {e}")))?;
    let mut order: Vec<usize> = (1..=n).collect();
    for (last, bytes) in bytes.chunks_exact(8).enumerate().skip(1).rev() {
        let mut word = [0; 8];
        word.copy_from_slice(bytes);
        order.swap(last, (u64::from_le_bytes(word) % (last as u64 + 1)) as usize);
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn names(groups: usize) -> Vec<String> {
        (0..3 * groups).map(|i| format!("record {}", (i * i) % groups)).collect()
    }

    #[test]
    fn a_folder_keeps_its_numbers_and_another_has_others() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let groups = names(101);
        let first = group_names(one.path(), "samples", &groups).unwrap();
        assert_eq!(group_names(one.path(), "samples", &groups).unwrap(), first);
        // 51 squares modulo 101: two draws agree once in 51! times.
        assert_ne!(group_names(other.path(), "samples", &groups).unwrap(), first);
        assert_ne!(group_names(one.path(), "other samples", &groups).unwrap(), first);
        for i in 0..groups.len() {
            for j in 0..i {
                assert_eq!(first[i] == first[j], groups[i] == groups[j]);
            }
        }
        let mut sorted: Vec<usize> = first.iter().map(|name| name.parse().unwrap()).collect();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted, (1..=51).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_with_a_number_twice_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let groups = names(7);
        let first = group_names(dir.path(), "s", &groups).unwrap();
        let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace('1', "2")).unwrap();
        let error = group_names(dir.path(), "s", &groups).unwrap_err().to_string();
        assert!(error.contains("each from 1 to 4 once"), "{error}");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(group_names(dir.path(), "s", &groups).unwrap().len(), first.len());
    }

    #[test]
    fn processes_at_once_agree() {
        let dir = tempfile::tempdir().unwrap();
        let groups = names(53);
        let all: Vec<Vec<Text>> = std::thread::scope(|scope| {
            let each: Vec<_> =
                (0..6).map(|_| scope.spawn(|| group_names(dir.path(), "s", &groups).unwrap())).collect();
            each.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.iter().all(|names| *names == all[0]));
    }

    #[test]
    fn no_name_is_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        group_names(dir.path(), "s", &["Smith".into(), "Jones".into(), "Smith".into()]).unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(text == "1\n2\n" || text == "2\n1\n", "{text}");
        }
    }
}

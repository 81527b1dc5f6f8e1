//! Groups (patients, records) as rows name them: numbers in a random order, drawn once a results folder and set of samples.
//!
//! Neither a name nor a hash of one leaves: whoever has a list of all names undoes a hash by trying them. What a folder keeps is the
//! order of numbers, which its rows say, too, so that shards and later runs go on with the same ones, on whatever machine. Where a copy of
//! the folder lost that file, the numbers are taken back from the rows.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::hold::publish_first;
use super::joint::lock_cells;
use super::places::Places;
use super::records::{CellRow, SampleRow};
use super::sources::{Homes, Source, discover, look_again, names};
use super::text::Text;
use crate::{Error, Result};

/// The samples of a data set: their digest, and their numbers in the source.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// The digest that a cell's row names.
    pub sha256: &'a str,
    /// One number a sample.
    pub index: &'a [u64],
}

/// The number of each sample's group in the results folder `dir`, from 1; `groups` are their own names, one a sample. Equal names get equal
/// numbers. The order is drawn where the folder has none yet.
///
/// # Errors
/// [`Error::Io`] naming the file; [`Error::Failed`] where the system has no random numbers; [`Error::Input`] for a file of another length,
/// and for a folder whose rows have numbers that cannot be taken back.
pub fn group_names(dir: &Path, samples: Samples, groups: &[String]) -> Result<Vec<Text>> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut places = Vec::with_capacity(groups.len());
    for group in groups {
        let next = known.len();
        places.push(*known.entry(group).or_insert(next));
    }
    let key = key(samples.sha256, &places);
    let path = dir.join(format!("groups-{key}.txt"));
    if !path.exists() {
        std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
        // As an earlier percuss named it; copies of a folder left it out.
        let earlier = dir.join(format!(".groups-{key}"));
        let text = match earlier.exists() {
            true => crate::files::read_text(&earlier)?,
            false => drawn(known.len(), &standing(dir, samples, &places)?)?,
        };
        publish_first(&path, text.as_bytes())?;
    }
    let text = crate::files::read_text(&path)?;
    let numbers: Vec<Text> = text.lines().map(Text::from).collect();
    let mut sorted: Vec<usize> = text.lines().filter_map(|line| line.parse().ok()).collect();
    sorted.sort_unstable();
    // Two groups of one number would be taken for one.
    if !sorted.iter().copied().eq(1..=known.len()) || sorted.len() != numbers.len() {
        let found = format!("{} numbers", numbers.len());
        let expected = format!(
            "each from 1 to {} once, one a group; without the file they are taken from the rows that are there",
            known.len()
        );
        return Err(Error::input(path.display(), "lines", found, expected));
    }
    Ok(places.into_iter().map(|place| numbers[place].clone()).collect())
}

/// The numbers of `n` groups, a line each: those that rows have already, the others drawn.
fn drawn(n: usize, standing: &HashMap<usize, usize>) -> Result<String> {
    let taken: HashSet<usize> = standing.values().copied().collect();
    let mut free = shuffled(n)?.into_iter().filter(|number| !taken.contains(number));
    let numbers = (0..n).filter_map(|place| standing.get(&place).copied().or_else(|| free.next()));
    Ok(numbers.map(|number| format!("{number}\n")).collect())
}

/// The numbers that the folder's rows give these groups (`places`, one a sample), as far as they do.
fn standing(dir: &Path, samples: Samples, places: &[usize]) -> Result<HashMap<usize, usize>> {
    if discover(dir)?.is_empty() {
        return Ok(HashMap::new());
    }
    let _held = lock_cells(dir)?;
    look_again(|| {
        let homes = Homes::of(discover(dir)?.into_iter().filter(Source::is_complete).collect())?;
        let (cells, rows) = (homes.places::<CellRow>()?, homes.places::<SampleRow>()?);
        let place_of: HashMap<u64, usize> =
            samples.index.iter().copied().zip(places.iter().copied()).collect();
        let all = places.iter().max().map_or(0, |last| last + 1);
        let (mut standing, mut candidates) = (HashMap::new(), false);
        for batch in cells.row_batches::<CellRow>(homes.cells.iter().map(Text::as_str)) {
            for cell in batch? {
                // The rows of a membership cell are about its candidates, not about the samples that it names.
                let about_candidates = cell.threat.as_str() == "membership";
                candidates |= about_candidates && cell.n_groups.is_some();
                if about_candidates
                    || cell.sample_set_sha256.as_str() != samples.sha256
                    || standing.len() == all
                {
                    continue;
                }
                join(dir, &mut standing, numbers_in(&rows, &cell.cell_id, &place_of)?)?;
            }
        }
        if standing.is_empty() && candidates && !names(dir)?.iter().any(|name| is_order(name)) {
            let found = "none, though rows of membership cells have groups";
            let expected = "the files of the folder that this one is a copy of (groups-*.txt, of an earlier percuss .groups-*): copy them here, \
                            too, or name another folder (--out); other numbers would name the same patients twice";
            return Err(Error::input(dir.display(), "groups-*.txt", found, expected));
        }
        Ok(standing)
    })
}

/// Whether a file of this name keeps an order of numbers.
fn is_order(name: &str) -> bool {
    name.starts_with("groups-") || name.starts_with(".groups-")
}

/// The numbers that a cell's rows give groups; none where its samples are parted into groups in another way.
fn numbers_in(rows: &Places, cell: &Text, place_of: &HashMap<u64, usize>) -> Result<HashMap<usize, usize>> {
    let (mut numbers, mut whose) = (HashMap::new(), HashMap::new());
    for row in rows.rows::<SampleRow>([cell.as_str()].into_iter())? {
        let number = row.group.and_then(|group| group.parse::<usize>().ok());
        let Some((number, &place)) = number.zip(place_of.get(&row.sample)) else { continue };
        if *numbers.entry(place).or_insert(number) != number || *whose.entry(number).or_insert(place) != place
        {
            return Ok(HashMap::new());
        }
    }
    Ok(numbers)
}

/// Adds numbers of another cell, which must be the same ones.
fn join(dir: &Path, standing: &mut HashMap<usize, usize>, numbers: HashMap<usize, usize>) -> Result<()> {
    for (place, number) in numbers {
        let there = *standing.entry(place).or_insert(number);
        if there != number {
            let found = format!("{there} and {number} for one group");
            let expected = "one number a group: two orders were mixed here; run the study again in another folder (--out)";
            return Err(Error::input(dir.display(), "column group of samples-*.parquet", found, expected));
        }
    }
    Ok(())
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
    use std::ops::Range;

    use super::*;
    use crate::results::{Shard, Store, StudyText};

    fn named(dir: &Path, sha256: &str, groups: &[String]) -> Result<Vec<Text>> {
        let index: Vec<u64> = (0..groups.len() as u64).map(|i| 3 * i + 1).collect();
        group_names(dir, Samples { sha256, index: &index }, groups)
    }

    fn names_of(groups: usize) -> Vec<String> {
        (0..3 * groups).map(|i| format!("record {}", (i * i) % groups)).collect()
    }

    #[test]
    fn a_folder_keeps_its_numbers_and_another_has_others() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let groups = names_of(101);
        let first = named(one.path(), "samples", &groups).unwrap();
        assert_eq!(named(one.path(), "samples", &groups).unwrap(), first);
        // 51 squares modulo 101: two draws agree once in 51! times.
        assert_ne!(named(other.path(), "samples", &groups).unwrap(), first);
        assert_ne!(named(one.path(), "other samples", &groups).unwrap(), first);
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
        let groups = names_of(7);
        let first = named(dir.path(), "s", &groups).unwrap();
        let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace('1', "2")).unwrap();
        let error = named(dir.path(), "s", &groups).unwrap_err().to_string();
        assert!(error.contains("each from 1 to 4 once"), "{error}");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(named(dir.path(), "s", &groups).unwrap().len(), first.len());
    }

    #[test]
    fn processes_at_once_agree() {
        let dir = tempfile::tempdir().unwrap();
        let groups = names_of(53);
        let all: Vec<Vec<Text>> = std::thread::scope(|scope| {
            let each: Vec<_> =
                (0..6).map(|_| scope.spawn(|| named(dir.path(), "s", &groups).unwrap())).collect();
            each.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.iter().all(|names| *names == all[0]));
    }

    #[test]
    fn no_name_is_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        named(dir.path(), "s", &["Smith".into(), "Jones".into(), "Smith".into()]).unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(text == "1\n2\n" || text == "2\n1\n", "{text}");
        }
    }

    /// A finished cell about these samples, whose groups have these numbers.
    fn cell(dir: &Path, shard: u32, threat: &str, sha256: &str, samples: Range<usize>, numbers: &[Text]) {
        let study = StudyText { name: "s".into(), text: "name = 's'".into() };
        let mut store = Store::open(dir, &study, Shard::new(shard, 4).unwrap()).unwrap();
        let id = Text::from(format!("cell {shard}"));
        let row = CellRow {
            cell_id: id.clone(),
            threat: threat.into(),
            sample_set_sha256: sha256.into(),
            n_groups: Some(4),
            ..Default::default()
        };
        let sample = |i: usize| SampleRow {
            cell_id: id.clone(),
            sample: 3 * i as u64 + 1,
            group: Some(numbers[i].clone()),
            ..Default::default()
        };
        store.push(row, Vec::new(), samples.map(sample).collect()).unwrap();
        store
            .finish(&(1..=4).map(|shard| format!("cell {shard}").as_str().into()).collect::<Vec<_>>())
            .unwrap();
    }

    fn forget(dir: &Path) {
        for name in super::names(dir).unwrap().iter().filter(|name| is_order(name)) {
            std::fs::remove_file(dir.join(name)).unwrap();
        }
    }

    #[test]
    fn numbers_of_a_copy_without_the_file_are_those_of_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let groups = names_of(101);
        let first = named(dir.path(), "s", &groups).unwrap();
        // A third of the samples, then the others of another finding.
        cell(dir.path(), 1, "evasion", "s", 0..101, &first);
        forget(dir.path());
        let again = named(dir.path(), "s", &groups).unwrap();
        assert_eq!(again, first);
        // Another set of samples, or other groups of them, have numbers of their own.
        let halves: Vec<String> = (0..303).map(|i| format!("{}", i % 2)).collect();
        assert_eq!(named(dir.path(), "s", &halves).unwrap().len(), 303);
        assert_ne!(named(dir.path(), "t", &groups).unwrap(), first);
    }

    #[test]
    fn numbers_that_rows_give_to_a_part_stay_and_the_others_are_free_ones() {
        let dir = tempfile::tempdir().unwrap();
        let groups: Vec<String> = (0..40).map(|i| i.to_string()).collect();
        let first = named(dir.path(), "s", &groups).unwrap();
        cell(dir.path(), 1, "evasion", "s", 0..15, &first);
        forget(dir.path());
        let again = named(dir.path(), "s", &groups).unwrap();
        assert_eq!(again[..15], first[..15]);
        let distinct: HashSet<&Text> = again.iter().collect();
        assert_eq!(distinct.len(), 40);
    }

    #[test]
    fn numbers_that_cannot_be_taken_back_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let groups = names_of(7);
        let first = named(dir.path(), "s", &groups).unwrap();
        cell(dir.path(), 1, "membership", "s", 0..21, &first);
        forget(dir.path());
        let error = named(dir.path(), "s", &groups).unwrap_err();
        assert!(error.to_string().contains("groups-*.txt: found none") && error.exit_code() == 2, "{error}");
        let mixed = tempfile::tempdir().unwrap();
        cell(mixed.path(), 1, "evasion", "s", 0..1, &["1".into()]);
        cell(mixed.path(), 2, "evasion", "s", 0..1, &["2".into()]);
        let error = named(mixed.path(), "s", &groups).unwrap_err().to_string();
        assert!(error.contains(" for one group, expected one number a group"), "{error}");
    }

    #[test]
    fn a_file_of_an_earlier_version_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let groups = names_of(31);
        let first = named(dir.path(), "s", &groups).unwrap();
        let file = super::names(dir.path()).unwrap().pop().unwrap();
        let earlier = format!(".{}", file.trim_end_matches(".txt"));
        std::fs::rename(dir.path().join(&file), dir.path().join(earlier)).unwrap();
        assert_eq!(named(dir.path(), "s", &groups).unwrap(), first);
        assert!(dir.path().join(file).exists());
    }
}

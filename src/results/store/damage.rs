//! A bit that changes on a disk: no number of it is shown, and a sweep runs again what is lost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::mixtures::{CELLS, Draw, begin};
use super::tests::plan;
use super::*;
use crate::results::Results;

/// Every row that a reader of the folder is shown, as text.
fn shown(dir: &Path) -> Result<String> {
    let results = Results::open(dir)?;
    let samples: Vec<_> = plan(CELLS).iter().map(|cell| results.samples(cell)).collect::<Result<_>>()?;
    let (mut cells, mut metrics) = (results.cells()?.to_vec(), results.metrics()?);
    cells.sort_by(|a, b| a.cell_id.cmp(&b.cell_id));
    metrics.sort_by(|a, b| a.cell_id.cmp(&b.cell_id));
    Ok(format!("{cells:?} {metrics:?} {samples:?} {:?}", results.runs()?))
}

/// The Parquet files of a folder and of those in it, in order.
fn tables(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let below = |path: &PathBuf| if path.is_dir() { tables(path) } else { vec![path.clone()] };
    let mut files: Vec<PathBuf> = paths.iter().flat_map(below).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "parquet"));
    files
}

/// A folder with a finished shard, one in parts, and the record of a run.
fn folder(dir: &Path) {
    begin(dir, Shard::new(1, 2).unwrap()).finish();
    let mut second = begin(dir, Shard::new(2, 2).unwrap());
    for _ in 0..3 {
        second.push(CELLS / 6);
        second.store.flush().unwrap();
    }
    second.store.record_run(&RunRow { command: "percuss sweep".into(), ..Default::default() }).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}

/// Flips that are tried, three of each file.
const ROUNDS: usize = 3 * 13;

#[test]
fn a_flipped_bit_is_never_shown_and_its_cells_run_again() {
    let whole = tempfile::tempdir().unwrap();
    folder(whole.path());
    let right = shown(whole.path()).unwrap();
    let files = tables(whole.path());
    assert_eq!(files.len(), 3 + 9 + 1);
    let (mut draw, mut refused) = (Draw(14), 0);
    for round in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        copy(whole.path(), dir.path());
        let file = dir.path().join(files[round % files.len()].strip_prefix(whole.path()).unwrap());
        let mut bytes = fs::read(&file).unwrap();
        let at = draw.below(bytes.len());
        bytes[at] ^= 1 << draw.below(8);
        fs::write(&file, bytes).unwrap();
        let about = format!("round {round}, byte {at} of {}", file.display());
        match shown(dir.path()) {
            Ok(text) => assert!(text == right, "{about}"),
            Err(error) => {
                assert!(
                    matches!(error, Error::Input { .. }) && error.to_string().contains("parquet: "),
                    "{about}: {error}"
                );
                refused += 1;
            }
        }
        // Either shard's next run takes out what is damaged, and all of them together do all cells.
        let shard = [Shard::WHOLE, Shard::new(1, 2).unwrap(), Shard::new(2, 2).unwrap()][draw.below(3)];
        begin(dir.path(), shard).finish();
        begin(dir.path(), Shard::WHOLE).finish();
        let rows = |text: &str| text.rsplit_once(" [").map(|(rows, _)| rows.to_string());
        let mended = shown(dir.path()).unwrap();
        assert_eq!(rows(&mended), rows(&right), "{about}");
        assert_eq!(Results::open(dir.path()).unwrap().cell_ids().len(), CELLS, "{about}");
    }
    assert!(refused > ROUNDS * 9 / 10, "{refused} of {ROUNDS} were refused");
}

#[test]
fn what_another_process_works_on_is_left_to_it() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path());
    let busy = begin(dir.path(), Shard::new(2, 2).unwrap());
    let file = dir.path().join("parts/shard-2-of-2/000001.metrics.parquet");
    let mut bytes = fs::read(&file).unwrap();
    bytes[60] ^= 4;
    fs::write(&file, bytes).unwrap();
    // The other shard opens, and is told when it reads what is damaged.
    let other = begin(dir.path(), Shard::new(1, 2).unwrap());
    assert!(file.exists());
    let error = other.store.missing(&plan(CELLS)).unwrap_err();
    assert!(
        matches!(&error, Error::Input { .. }) && error.to_string().contains("000001.metrics.parquet"),
        "{error}"
    );
    drop((busy, other));
    begin(dir.path(), Shard::WHOLE).finish();
    assert!(!file.exists());
    assert_eq!(Results::open(dir.path()).unwrap().cell_ids().len(), CELLS);
}

#[test]
fn cells_that_were_put_aside_and_damaged_there_are_put_aside_anew() {
    let dir = tempfile::tempdir().unwrap();
    begin(dir.path(), Shard::WHOLE).finish();
    let kept = plan(CELLS / 2);
    Store::open(dir.path(), &super::tests::study(), Shard::WHOLE).unwrap().finish(&kept).unwrap();
    let file = dir.path().join("retired/000000.samples.parquet");
    let mut bytes = fs::read(&file).unwrap();
    bytes[60] ^= 4;
    fs::write(&file, bytes).unwrap();
    begin(dir.path(), Shard::WHOLE).finish();
    let mut store = Store::open(dir.path(), &super::tests::study(), Shard::WHOLE).unwrap();
    assert_eq!(store.finish(&kept).unwrap(), CELLS / 2);
    assert!(dir.path().join("retired/000001.samples.parquet").exists());
}

//! The published data sets, where the folder that `PERCUSS_DATA` names has them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use percuss::data::table::Table;
use percuss::data::wfdb::Record;
use percuss::data::{Dataset, Labels, Request, Source, beats, open, registry, wfdb_annotations, wfdb_folder};

/// The folder; a test that was asked for and has no data must fail, not pass.
fn folder() -> PathBuf {
    let folder = std::env::var_os("PERCUSS_DATA").expect("PERCUSS_DATA names the folder of real data");
    PathBuf::from(folder)
}

fn read(name: &str, split: &str) -> Dataset {
    let mut request = Request::named(name, split);
    request.data_dir = Some(folder());
    open(&request, None).unwrap_or_else(|error| panic!("{error}"))
}

fn counts(set: &Dataset) -> Vec<usize> {
    let Labels::Class(labels) = &set.labels else { panic!("classes") };
    (0..set.classes.len()).map(|class| labels.iter().filter(|&&l| l as usize == class).count()).collect()
}

#[test]
#[ignore = "needs PERCUSS_DATA"]
fn pneumoniamnist_has_its_published_counts() {
    for (split, expected) in [("train", [1214, 3494]), ("val", [135, 389]), ("test", [234, 390])] {
        let set = read("pneumoniamnist", split);
        assert_eq!(counts(&set), expected, "{split}");
        assert_eq!((set.shape.clone(), set.unit.as_str(), set.synthetic), (vec![28, 28, 1], "pixel", false));
    }
    let test = read("pneumoniamnist", "test");
    assert_eq!(test.index[0], 4708 + 524);
    assert_eq!(test.sha256, "e1792d3f03751cb101e99f19a63b3c1941436c988665f47853417b05be250cd8");
}

#[test]
#[ignore = "needs PERCUSS_DATA"]
fn breastmnist_has_its_published_counts() {
    let sizes = ["train", "val", "test"].map(|split| read("breastmnist", split).len());
    assert_eq!(sizes, [546, 78, 156]);
}

#[test]
#[ignore = "needs PERCUSS_DATA"]
fn mitbih_beats_split_by_record() {
    let (train, val, test) =
        (read("mitbih_beats", "train"), read("mitbih_beats", "val"), read("mitbih_beats", "test"));
    assert_eq!(train.len() + val.len() + test.len(), 23_805);
    let records = |set: &Dataset| set.group.clone().unwrap().into_iter().collect::<HashSet<_>>();
    assert_eq!((records(&train).len(), records(&val).len(), records(&test).len()), (17, 5, 22));
    assert!(records(&val).is_disjoint(&records(&train)) && records(&test).is_disjoint(&records(&train)));
    assert!(counts(&val).iter().all(|&count| count > 0), "{:?}", counts(&val));
    println!("train {:?}, val {:?}, test {:?}", counts(&train), counts(&val), counts(&test));
    assert_eq!(test.shape, [1, 256, 1]);
    // R peaks lie at sample 100: over normal beats of a record, the mean is steepest around there.
    assert!(test.values.iter().all(|v| (-5.12..=5.115).contains(v)));
}

/// Codes of beats, by record and window, of what the raw files hold.
#[test]
#[ignore = "needs PERCUSS_DATA"]
fn raw_records_give_the_same_beats_bit_for_bit() {
    let published = beats::read(&folder().join("mitbih_beats.npz")).unwrap();
    for name in ["100", "119", "200", "208"] {
        let header = folder().join("mitdb").join(format!("{name}.hea"));
        let record = Record::read(&header).unwrap();
        assert_eq!(record.signals[0].len(), 650_000);
        let annotations = wfdb_annotations::read(&header.with_extension("atr")).unwrap();
        let number: u16 = name.parse().unwrap();
        let cut = beats::cut(&record, number, &annotations, None).unwrap();
        let ours: HashMap<&[i16], &beats::Beat> = cut.iter().map(|b| (b.signal.as_slice(), b)).collect();
        let theirs: Vec<&beats::Beat> = published.iter().filter(|b| b.record == number).collect();
        for beat in &theirs {
            assert_eq!(ours.get(beat.signal.as_slice()), Some(beat), "record {name}");
        }
        // All beats but the normal ones are there, and 300 of those.
        let count = |all: &[&beats::Beat], class: u8| all.iter().filter(|b| b.class == class).count();
        let all: Vec<&beats::Beat> = cut.iter().collect();
        for class in 1..5 {
            assert_eq!(count(&theirs, class), count(&all, class), "record {name}, class {class}");
        }
        let limited = beats::cut(&record, number, &annotations, Some(beats::MAX_NORMAL)).unwrap();
        assert_eq!(limited.len(), theirs.len());
    }
}

#[test]
#[ignore = "needs PERCUSS_DATA"]
fn truncated_records_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for ending in ["hea", "dat", "atr"] {
        let from = folder().join("mitdb").join(format!("100.{ending}"));
        std::fs::write(dir.path().join(format!("100.{ending}")), std::fs::read(from).unwrap()).unwrap();
    }
    let all = wfdb_folder::open(dir.path(), "all").unwrap();
    let test = open(&Request::new(Source::Path(dir.path().to_path_buf()), "test"), None).unwrap();
    assert_eq!(all.len(), test.len());
    for ending in ["dat", "atr"] {
        let path = dir.path().join(format!("100.{ending}"));
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 2]).unwrap();
        let error = wfdb_folder::open(dir.path(), "all").unwrap_err();
        assert!(error.to_string().contains("truncated") && error.exit_code() == 2, "{error}");
        let mut damaged = whole.clone();
        damaged[1000] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        if ending == "dat" {
            assert!(wfdb_folder::open(dir.path(), "all").unwrap_err().to_string().contains("checksum"));
        }
        std::fs::write(&path, &whole).unwrap();
    }
}

#[test]
#[ignore = "needs PERCUSS_DATA"]
fn eicu_demo_is_read_with_its_spec() {
    let all = read("eicu-demo", "all");
    assert_eq!((all.len(), counts(&all)[1]), (2179, 196));
    let groups: HashSet<String> = all.group.clone().unwrap().into_iter().collect();
    assert_eq!(groups.len(), 1765);
    let (train, test) = (read("eicu-demo", "train"), read("eicu-demo", "test"));
    let seen: HashSet<String> = train.group.unwrap().into_iter().collect();
    assert!(test.group.unwrap().iter().all(|patient| !seen.contains(patient)));
    let mut request = Request::named("eicu-demo", "all");
    request.data_dir = Some(folder());
    request.subgroups = vec!["hospitalid".into(), "age_band".into()];
    let hospitals: HashSet<String> =
        open(&request, None).unwrap().subgroups["hospitalid"].iter().cloned().collect();
    assert_eq!(hospitals.len(), 186);
    for leak in ["apachescore", "predictedhospitalmortality", "hospitaldischargestatus=Alive", "uniquepid"] {
        assert!(!all.domain.features.iter().any(|f| f == leak));
    }
}

#[test]
#[ignore = "needs PERCUSS_DATA"]
fn mimic3_demo_tables_are_read() {
    let rows = |name: &str| Table::read(&folder().join("mimic3-demo").join(name)).unwrap().rows();
    // The origin's table has 129 admissions; a copy that circulates lacks one.
    assert_eq!(rows("PATIENTS.csv"), 100);
    assert!((128..=129).contains(&rows("ADMISSIONS.csv")));
    for name in ["DIAGNOSES_ICD", "ICUSTAYS", "PRESCRIPTIONS", "PROCEDURES_ICD", "SERVICES"] {
        assert!(rows(&format!("{name}.csv")) >= 100, "{name}");
    }
}

#[test]
#[ignore = "needs PERCUSS_DATA"]
fn known_checksums_are_those_of_the_published_files() {
    for name in ["pneumoniamnist", "mimic3-demo"] {
        let entry = registry::entry(name).unwrap();
        let registry::Origin::Files { files, .. } = &entry.origin else { panic!() };
        for file in files.iter() {
            let Some(percuss::data::fetch::Checksum::Sha256(sum)) = file.checksum else { continue };
            let at = if files.len() > 1 { folder().join(entry.file) } else { folder() }.join(file.name);
            assert_eq!(percuss::data::npz::file_sha256(&at).unwrap(), sum);
            assert_eq!(std::fs::metadata(&at).unwrap().len(), file.size.unwrap());
        }
    }
}

#[test]
#[ignore = "needs PERCUSS_DATA"]
fn chest_x_ray_samples_are_read_from_a_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let samples = folder().join("cxr-samples");
    let list: String = ["nih_00000001_000.png", "nih_00027426_000.png"]
        .iter()
        .map(|name| format!("{},0\n", samples.join(name).display()))
        .collect();
    let path = dir.path().join("m.csv");
    std::fs::write(&path, format!("path,label\n{list}")).unwrap();
    let set = open(&Request::new(Source::Manifest(path), "all"), None).unwrap();
    assert_eq!((set.len(), set.shape[0], set.shape[1]), (2, 512, 512));
    let mean = set.values.iter().map(|&v| f64::from(v)).sum::<f64>() / set.values.len() as f64;
    assert!((20.0..235.0).contains(&mean), "{mean}");
}

//! The data sets that have a name: what each is, whose it is, where it comes from, where its files lie.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::fetch::Checksum;
use crate::spelling::one_of;
use crate::{Error, Result};

/// One data set.
#[derive(Debug)]
pub struct Entry {
    /// The name that a study file gives.
    pub name: &'static str,
    /// What was measured: X-ray, ultrasound, ECG, health records.
    pub modality: &'static str,
    /// What is to be told from it.
    pub task: &'static str,
    /// Its licence, and what that asks of a user.
    pub licence: &'static str,
    /// The publication to cite.
    pub citation: &'static str,
    /// Names of the classes, in the order of the labels; empty where it is no labelled set.
    pub classes: &'static [&'static str],
    /// Where its bytes come from.
    pub origin: Origin,
    /// Its file or folder, under whatever folder holds the data.
    pub file: &'static str,
    /// The size of what lies there, in bytes, roughly where it is made here; 0 for a generator.
    pub size: u64,
    /// The preprocessing spec (TOML) of a table.
    pub spec: Option<&'static str>,
    /// What a reader of results should know.
    pub note: &'static str,
}

/// Where a data set comes from.
#[derive(Debug)]
pub enum Origin {
    /// Files below one address, each checked.
    Files {
        /// The address that the names are appended to, with its final slash.
        base: &'static str,
        /// The files.
        files: &'static [Remote],
        /// The list of SHA-256 sums that the origin publishes beside them.
        sums: Option<&'static str>,
    },
    /// Cut from the records of another entry.
    CutFrom(&'static str),
    /// Part of the program.
    Embedded(&'static [u8]),
    /// Computed by the program.
    Generated,
    /// Nothing that can be fetched in one step: how a user gets it.
    ByHand(&'static str),
}

/// A file at its origin.
#[derive(Clone, Copy, Debug)]
pub struct Remote {
    /// Its name there and here.
    pub name: &'static str,
    /// Its size in bytes, where known.
    pub size: Option<u64>,
    /// Its checksum, where known.
    pub checksum: Option<Checksum<'static>>,
}

/// Where a data set was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Located {
    /// A file or folder.
    File(PathBuf),
    /// Within the program.
    Embedded(&'static [u8]),
    /// Made when asked for.
    Generated,
}

const fn sha256(name: &'static str, size: u64, sum: &'static str) -> Remote {
    Remote { name, size: Some(size), checksum: Some(Checksum::Sha256(sum)) }
}

const fn listed(name: &'static str) -> Remote {
    Remote { name, size: None, checksum: None }
}

const MEDMNIST: &str = "https://zenodo.org/records/10519652/files/";
const BEATS: &[&str] = &["N", "S", "V", "F", "Q"];

/// The three file names of each record; `concat!` is the only way to join text in a constant.
macro_rules! mitdb_names {
    ($($record:literal)*) => {
        [$([concat!($record, ".hea"), concat!($record, ".dat"), concat!($record, ".atr")]),*]
    };
}

/// The ECG records of MIT-BIH: a header, the signals, the reference annotations.
const MITDB_FILES: &[Remote] = &mitdb_files();

/// Every data set, in the order in which `percuss data list` shows them.
pub const ENTRIES: &[Entry] = &[
    Entry {
        name: "pneumoniamnist",
        modality: "chest X-ray, 28x28 pixels",
        task: "pneumonia in children",
        licence: "CC BY 4.0",
        citation: "Yang et al. 2023, MedMNIST v2, Scientific Data 10:41; Kermany et al. 2018, Cell 172:1122",
        classes: &["normal", "pneumonia"],
        origin: Origin::Files {
            base: MEDMNIST,
            files: &[sha256(
                "pneumoniamnist.npz",
                4_170_669,
                "e1792d3f03751cb101e99f19a63b3c1941436c988665f47853417b05be250cd8",
            )],
            sums: None,
        },
        file: "pneumoniamnist.npz",
        size: 4_170_669,
        spec: None,
        note: "no patient identifiers: samples are taken as independent",
    },
    Entry {
        name: "breastmnist",
        modality: "breast ultrasound, 28x28 pixels",
        task: "malignant against normal or benign",
        licence: "CC BY 4.0",
        citation: "Yang et al. 2023, MedMNIST v2, Scientific Data 10:41; Al-Dhabyani et al. 2020, Data in Brief 28",
        classes: &["malignant", "normal or benign"],
        origin: Origin::Files {
            base: MEDMNIST,
            files: &[Remote {
                name: "breastmnist.npz",
                size: None,
                checksum: Some(Checksum::Md5("750601b1f35ba3300ea97c75c52ff8f6")),
            }],
            sums: None,
        },
        file: "breastmnist.npz",
        size: 559_580,
        spec: None,
        note: "no patient identifiers: samples are taken as independent",
    },
    Entry {
        name: "mitbih_beats",
        modality: "ECG, lead MLII, 256 samples at 360 Hz, mV",
        task: "class of a beat (AAMI EC57)",
        licence: "ODC-By 1.0",
        citation: "Moody & Mark 2001, IEEE Eng Med Biol 20(3):45; split: de Chazal et al. 2004, IEEE TBME 51(7):1196",
        classes: BEATS,
        origin: Origin::CutFrom("mitdb"),
        file: "mitbih_beats.npz",
        size: 5_800_000,
        spec: None,
        note: "grouped by record; records 201 (DS1) and 202 (DS2) are one man's, the only patient on both sides",
    },
    Entry {
        name: "mitdb",
        modality: "ECG, two leads, half-hour records at 360 Hz",
        task: "class of a beat (AAMI EC57), all beats",
        licence: "ODC-By 1.0",
        citation: "Moody & Mark 2001, IEEE Eng Med Biol 20(3):45; Goldberger et al. 2000, Circulation 101(23):e215",
        classes: BEATS,
        origin: Origin::Files {
            base: "https://physionet.org/files/mitdb/1.0.0/",
            files: MITDB_FILES,
            sums: Some("SHA256SUMS.txt"),
        },
        file: "mitdb",
        size: 86_000_000,
        spec: None,
        note: "without the four paced records, as AAMI EC57 asks",
    },
    Entry {
        name: "support2",
        modality: "health records",
        task: "death within 180 days of entering the study",
        licence: "public; cite the study",
        citation: "Knaus et al. 1995, Annals of Internal Medicine 122(3):191",
        classes: &["alive", "dead"],
        origin: Origin::Embedded(include_bytes!("../../experiments/data/support2.csv")),
        file: "support2.csv",
        size: 2_133_220,
        spec: Some(include_str!("../../experiments/data/support2.toml")),
        note: "one row a patient",
    },
    Entry {
        name: "eicu-demo",
        modality: "health records",
        task: "death in hospital, from the first day in intensive care",
        licence: "ODbL 1.0",
        citation: "Pollard et al. 2018, Scientific Data 5:180178; demo 2.0.1 on PhysioNet",
        classes: &["alive", "dead"],
        origin: Origin::ByHand(
            "join the demo's patient, apacheApsVar, apachePredVar and apachePatientResult tables \
             (https://physionet.org/content/eicu-crd-demo/2.0.1/) on patientunitstayid, and put the result at \
             eicu-demo/eicu_demo_aps_mortality.csv in a folder that PERCUSS_DATA names",
        ),
        file: "eicu-demo/eicu_demo_aps_mortality.csv",
        size: 507_512,
        spec: Some(include_str!("../../experiments/data/eicu-demo.toml")),
        note: "grouped by patient; hospitalid is a real partition for federated training",
    },
    Entry {
        name: "mimic3-demo",
        modality: "health records, MIMIC-III's own tables",
        task: "none: 100 patients are too few to learn from; its tables are read one by one",
        licence: "ODbL 1.0",
        citation: "Johnson et al. 2016, Scientific Data 3:160035; demo 1.4 on PhysioNet",
        classes: &[],
        origin: Origin::Files {
            base: "https://physionet.org/files/mimiciii-demo/1.4/",
            files: &[
                listed("ADMISSIONS.csv"),
                sha256(
                    "DIAGNOSES_ICD.csv",
                    48_997,
                    "74dc979906bc2172f0cf025271dcd44c7cd52506b297e4b36e63dd40dce923da",
                ),
                sha256(
                    "ICUSTAYS.csv",
                    13_495,
                    "455cd8fd014bd75d9d26ddf8cb116c77ecccee2fe35fea342801a631d94b387b",
                ),
                sha256(
                    "PATIENTS.csv",
                    8_605,
                    "f65803a46bcb88127574bfd0b70d78d4123783d05bb411e70d4c9629edd7b703",
                ),
                sha256(
                    "PRESCRIPTIONS.csv",
                    1_667_845,
                    "053a015f55044550e4536def11df04432490c4a5ca3e1f380c30ac7e17f33fd3",
                ),
                sha256(
                    "PROCEDURES_ICD.csv",
                    13_512,
                    "0a1474dcb7e1bc083cc7b329257e5e85305f3e54ee5b0bedd325b3772806d655",
                ),
                sha256(
                    "SERVICES.csv",
                    7_464,
                    "b2763945b6c33327b8cf93d31038dba39da2cf9b0c66d7d5535ed697fecd51cd",
                ),
            ],
            sums: Some("SHA256SUMS.txt"),
        },
        file: "mimic3-demo",
        size: 1_786_555,
        spec: None,
        note: "for the loader",
    },
    Entry {
        name: "cxr-samples",
        modality: "chest X-ray, PNG, 512 pixels",
        task: "none: two unlabelled images, for a manifest that lists them",
        licence: "free; credit the NIH Clinical Center",
        citation: "Wang et al. 2017, ChestX-ray8, CVPR",
        classes: &[],
        origin: Origin::ByHand(
            "take nih_00000001_000.png and nih_00027426_000.png from the NIH Clinical Center's ChestX-ray14, scale them \
             to 512 pixels and put them in cxr-samples/ in a folder that PERCUSS_DATA names",
        ),
        file: "cxr-samples",
        size: 361_328,
        spec: None,
        note: "",
    },
    Entry {
        name: "ecg-synthetic",
        modality: "synthetic ECG, 256 samples at 360 Hz, mV",
        task: "class of a beat (N, S, V, F, Q)",
        licence: "as percuss",
        citation: "model: McSharry et al. 2003, IEEE TBME 50(3):289",
        classes: BEATS,
        origin: Origin::Generated,
        file: "",
        size: 0,
        spec: None,
        note: "synthetic; grouped by synthetic patient",
    },
    Entry {
        name: "cxr-phantom",
        modality: "synthetic chest X-ray, 28x28 pixels",
        task: "an opacity in a lung",
        licence: "as percuss",
        citation: "percuss, src/data/phantom.rs",
        classes: &["clear", "opacity"],
        origin: Origin::Generated,
        file: "",
        size: 0,
        spec: None,
        note: "synthetic; one image a synthetic patient",
    },
    Entry {
        name: "iseeu-cohort",
        modality: "synthetic ICU stays, 22 variables over 48 hours",
        task: "death in the ICU",
        licence: "as percuss; drawn around published training statistics (MIT)",
        citation: "percuss, src/data/icu_cohort.rs; Caicedo-Torres & Gutierrez 2019",
        classes: &["survived", "died"],
        origin: Origin::Generated,
        file: "",
        size: 0,
        spec: None,
        note: "synthetic; no patient's data",
    },
];

/// The 44 records without paced beats, three files each.
const fn mitdb_files() -> [Remote; 132] {
    const NAMES: [[&str; 3]; 44] = mitdb_names!(
        100 101 103 105 106 108 109 111 112 113 114 115 116 117 118 119 121 122 123 124 200 201 202 203 205 207 208
        209 210 212 213 214 215 219 220 221 222 223 228 230 231 232 233 234
    );
    let mut files = [listed(""); 132];
    let mut k = 0;
    while k < files.len() {
        files[k] = listed(NAMES[k / 3][k % 3]);
        k += 1;
    }
    files
}

/// The entry called `name`.
///
/// # Errors
/// A name that is not in the registry, with the nearest one that is.
pub fn entry(name: &str) -> Result<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let known: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
        Error::input("data set", "name", format!("`{name}`"), one_of(&known, name))
    })
}

/// Where `percuss data fetch` puts files: `percuss/data` in the user's cache folder.
///
/// # Errors
/// No home folder.
pub fn cache_dir() -> Result<PathBuf> {
    let strategy = etcetera::choose_base_strategy()
        .map_err(|error| Error::Failed(format!("the user's cache folder: {error}")))?;
    Ok(strategy.cache_dir().join("percuss").join("data"))
}

/// Finds a data set: in `data_dir`, in the folder that `PERCUSS_DATA` names, in the program, in the user's cache.
///
/// # Errors
/// An unknown name, or files that are in none of these: nothing is ever fetched from here.
pub fn locate(name: &str, data_dir: Option<&Path>) -> Result<Located> {
    let environment = std::env::var_os("PERCUSS_DATA").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    locate_in(entry(name)?, data_dir, environment.as_deref(), cache_dir().ok().as_deref())
}

/// [`locate`] with the environment given.
fn locate_in(
    entry: &Entry,
    data_dir: Option<&Path>,
    environment: Option<&Path>,
    cache: Option<&Path>,
) -> Result<Located> {
    if matches!(entry.origin, Origin::Generated) {
        return Ok(Located::Generated);
    }
    let within = |dir: Option<&Path>| dir.map(|d| d.join(entry.file)).filter(|path| path.exists());
    if let Some(path) = within(data_dir).or_else(|| within(environment)) {
        return Ok(Located::File(path));
    }
    if let Origin::Embedded(bytes) = entry.origin {
        return Ok(Located::Embedded(bytes));
    }
    if let Some(path) = within(cache) {
        return Ok(Located::File(path));
    }
    let looked = [data_dir, environment, cache]
        .iter()
        .flatten()
        .map(|dir| dir.join(entry.file).display().to_string())
        .collect::<Vec<_>>()
        .join(" or ");
    let remedy = match entry.origin {
        Origin::ByHand(how) => how.to_string(),
        _ => format!("its files; `percuss data fetch {}` gets them", entry.name),
    };
    Err(Error::input(entry.name, "data set", format!("nothing at {looked}"), remedy))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lookup_order_is_data_dir_then_environment_then_embedded_then_cache() {
        let root = tempfile::tempdir().unwrap();
        let dirs: Vec<PathBuf> = ["a", "b", "c"].iter().map(|d| root.path().join(d)).collect();
        let put = |dir: &Path, file: &str| {
            std::fs::create_dir_all(dir).unwrap();
            std::fs::write(dir.join(file), b"x").unwrap();
        };
        let find =
            |name: &str| locate_in(entry(name).unwrap(), Some(&dirs[0]), Some(&dirs[1]), Some(&dirs[2]));
        let error = find("pneumoniamnist").unwrap_err();
        assert!(error.to_string().contains("percuss data fetch pneumoniamnist"), "{error}");
        assert_eq!(error.exit_code(), 2);
        for dir in dirs.iter().rev() {
            put(dir, "pneumoniamnist.npz");
            assert_eq!(find("pneumoniamnist").unwrap(), Located::File(dir.join("pneumoniamnist.npz")));
        }
        put(&dirs[2], "support2.csv");
        assert!(matches!(find("support2").unwrap(), Located::Embedded(_)));
        put(&dirs[1], "support2.csv");
        assert_eq!(find("support2").unwrap(), Located::File(dirs[1].join("support2.csv")));
        assert_eq!(find("ecg-synthetic").unwrap(), Located::Generated);
    }

    #[test]
    fn unknown_name_gets_the_nearest_known_one() {
        let message = entry("pnuemoniamnist").unwrap_err().to_string();
        assert!(message.contains("nearest is \"pneumoniamnist\""), "{message}");
    }

    #[test]
    fn embedded_support2_is_the_published_file() {
        let Origin::Embedded(bytes) = entry("support2").unwrap().origin else { panic!("not embedded") };
        assert_eq!(
            super::super::subset::sha256(bytes),
            "799f04ce4823bc7aa567da992c94bea56dabeab95c3d74d59c805d2e3b7b1a57"
        );
    }

    #[test]
    fn entries_are_complete_and_their_names_distinct() {
        for (k, entry) in ENTRIES.iter().enumerate() {
            assert!(ENTRIES[..k].iter().all(|other| other.name != entry.name));
            for text in [entry.modality, entry.task, entry.licence, entry.citation] {
                assert!(!text.is_empty(), "{}", entry.name);
            }
        }
        assert_eq!((MITDB_FILES[0].name, MITDB_FILES[131].name), ("100.hea", "234.atr"));
    }
}

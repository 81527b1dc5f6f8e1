//! EDF and BDF files of pyedflib (tests/golden/edf_files.py): every signal's values are those that it reads, at every rate and range.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use percuss::data::signals::recording::Recording;

/// Name, rate, length, unit that is read, values at 0, 1, the middle and the end, their sum and the sum of their squares.
type Row<'a> = (&'a str, f64, u64, &'a str, [f64; 4], f64, f64);

/// Name, signals, and annotations with their seconds.
type File<'a> = (&'a str, &'a [Row<'a>], &'a [(f64, &'a str)]);

/// The same signal in both BDF files.
const II: Row = (
    "II",
    256.0,
    512,
    "mV",
    [1.9775432200755627, 1.43451297345835, 94.2095915485377, -59.5928742633387],
    6080.860763631629,
    3185298.9723905646,
);

#[test]
fn files_of_pyedflib_have_its_values() {
    let files: [File; 5] = [
        (
            "plain.edf",
            &[
                (
                    "ECG II",
                    200.0,
                    400,
                    "mV",
                    [0.03761348897535613, 0.04600595101853916, 1.7980468451972225, -1.0306706340123606],
                    89.22377355611485,
                    907.6987578496082,
                ),
                (
                    "Resp",
                    25.0,
                    50,
                    "L",
                    [-0.04249084249084249, 0.528937728937729, 0.7565323565323565, -0.043467643467643466],
                    3.9775335775335776,
                    17.047179785348284,
                ),
            ],
            &[],
        ),
        (
            "plus.edf",
            &[
                (
                    "ECG II",
                    256.0,
                    512,
                    "mV",
                    [0.03761348897535668, 0.027237354085603113, 1.7968261234454872, -1.136568245975433],
                    115.97802700846876,
                    1158.7130244995546,
                ),
                (
                    "ECG V1",
                    128.0,
                    256,
                    "mV",
                    [-0.09675, 0.1185, 1.10025, -0.655875],
                    20.53424999999983,
                    208.08405703125,
                ),
            ],
            &[(0.5, "N"), (1.25, "extra é")],
        ),
        (
            "inverted.edf",
            &[(
                "II",
                100.0,
                200,
                "mV",
                [0.03761348897535668, 0.13160906385900664, 2.1479362172884717, -0.9156176089112688],
                48.013885709925994,
                429.4703435402825,
            )],
            &[(1.0, "N")],
        ),
        ("plain.bdf", &[II], &[]),
        (
            "plus.bdf",
            &[
                II,
                (
                    "V5",
                    64.0,
                    128,
                    "mV",
                    [-0.032637419261778544, 0.08602577960644839, 0.3876785867022626, -0.16837878038756732],
                    3.4613202489209325,
                    11.733009361608357,
                ),
            ],
            &[(0.5, "N"), (1.5, "V")],
        ),
    ];
    for (file, signals, notes) in files {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases/recordings").join(file);
        let recording = Recording::open(&path).unwrap();
        assert_eq!(recording.leads.len(), signals.len(), "{file}");
        for (k, (name, rate, len, unit, shown, sum, squares)) in signals.iter().enumerate() {
            let (lead, case) = (&recording.leads[k], format!("{file}, {name}"));
            assert_eq!(
                (lead.name.as_str(), lead.rate, lead.len, lead.unit.as_str()),
                (*name, *rate, *len, *unit),
                "{case}"
            );
            let values = recording.read(k, 0..lead.len).unwrap();
            // f64 of the same integers: what remains is the order of a multiplication and an addition.
            let near = |own: f64, right: f64, size: f64| {
                assert!((own - right).abs() <= 1e-12 * size, "{case}: {own} for {right}");
            };
            let most = values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
            for (at, right) in [0, 1, values.len() / 2, values.len() - 1].into_iter().zip(shown) {
                near(values[at], *right, most);
            }
            near(values.iter().sum(), *sum, most * values.len() as f64);
            near(values.iter().map(|value| value * value).sum(), *squares, most * most * values.len() as f64);
        }
        let marks = recording.marks("atr").unwrap();
        let read: Vec<(f64, &str)> =
            marks.list.iter().map(|mark| (mark.seconds, mark.symbol.as_str())).collect();
        assert_eq!(read, notes, "{file}");
    }
}

//! Recordings as data sets: which samples, in which unit, at which rate, with which labels; everything that was assumed is said.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/records.rs"]
mod records;

use std::f64::consts::TAU;
use std::path::Path;

use percuss::data::labels::Outputs;
use percuss::data::signals::{Cut, Gaps, Unit};
use percuss::data::{Dataset, Labels, Policy, Request, Source, open};
use records::{Signal, annotations, edf, record};
use tempfile::TempDir;

fn request(path: &Path, split: &str) -> Request {
    Request::new(Source::Path(path.to_path_buf()), split)
}

fn read(request: &Request) -> Dataset {
    open(request, None).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(request: &Request) -> String {
    let error = open(request, None).expect_err("it should be refused");
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

fn classes(data: &Dataset) -> Vec<u32> {
    match &data.labels {
        Labels::Class(labels) => labels.clone(),
        Labels::Findings(_) => panic!("findings"),
    }
}

fn named(name: &str) -> Vec<String> {
    vec![name.to_string()]
}

fn said(data: &Dataset, what: &str) -> bool {
    data.remarks.iter().any(|remark| remark.text.contains(what))
}

/// Millivolts of a lead at a time: bumps at every second, one lead upside down.
fn heart(seconds: f64, lead: usize) -> f64 {
    let from_peak = seconds - seconds.round();
    let sign = if lead == 1 { -0.5 } else { 1.0 };
    sign * (-(from_peak / 0.02).powi(2)).exp() + 0.1 * (TAU * 0.3 * seconds).sin()
}

/// Writes ten seconds of two leads as `name`, in units of `per` millivolts and a beat annotated every second.
fn write(
    folder: &Path,
    name: &str,
    hertz: f64,
    (format, gain, baseline, unit, per): (&str, f64, i32, &str, f64),
    order: [&str; 2],
    ticks: f64,
) {
    let lead = |which: &str| -> Vec<i32> {
        let k = usize::from(which != "MLII");
        (0..(10.0 * hertz) as usize)
            .map(|at| (heart(at as f64 / hertz, k) * per * gain).round() as i32 + baseline)
            .collect()
    };
    let gain = format!("{gain}({baseline})/{unit}");
    let signals = order.map(|name| Signal { name, gain: &gain, values: lead(name) });
    record(folder, name, hertz, format, &signals, "");
    let note = format!("## time resolution: {ticks}");
    let marks: Vec<(u64, u16)> =
        (1..10).map(|k| ((f64::from(k) * ticks) as u64, if k == 4 { 5 } else { 1 })).collect();
    let notes: &[&str] = if ticks == hertz { &[] } else { &[&note] };
    annotations(&folder.join(format!("{name}.atr")), notes, &marks);
}

/// Names x formats x gains x baselines x units x orders of leads x rates x times: always the same beats.
#[test]
fn beats_are_the_same_in_every_form() {
    for name in ["r", "100", "patient_7-a"] {
        for form in [
            ("16", 200.0, 0, "mV", 1.0),
            ("16", 1.0, -7, "uV", 1e3),
            ("24", 1e5, 12, "V", 1e-3),
            ("212", 400.0, 100, "mV", 1.0),
            ("61", 1000.0, 0, "mV", 1.0),
        ] {
            for order in [["MLII", "V5"], ["V5", "MLII"]] {
                for (hertz, ticks) in [
                    (360.0, 360.0),
                    (360.0, 180.0),
                    (360.0, 720.0),
                    (1000.0, 1000.0),
                    (500.0, 250.0),
                    (257.5, 515.0),
                ] {
                    let dir = tempfile::tempdir().unwrap();
                    write(dir.path(), name, hertz, form, order, ticks);
                    let data = read(&request(dir.path(), "test"));
                    let case = format!("{name}, {form:?}, {order:?}, {hertz} Hz, {ticks} ticks");
                    assert_eq!(
                        (data.shape.as_slice(), data.unit.as_str()),
                        (&[1, 256, 1][..], "mV"),
                        "{case}"
                    );
                    assert_eq!(data.samples_per_second, Some(360.0), "{case}");
                    assert_eq!(classes(&data), [0, 0, 2, 0, 0, 0, 0, 0], "{case}");
                    assert_eq!(said(&data, "resampled"), hertz != 360.0, "{case}");
                    assert_eq!(said(&data, "ticks"), hertz != ticks, "{case}");
                    assert_eq!(said(&data, "is converted"), form.3 != "mV", "{case}");
                    for beat in 0..data.len() {
                        for (at, &value) in data.sample(beat).iter().enumerate() {
                            let right = heart(beat as f64 + 2.0 + (at as f64 - 100.0) / 360.0, 0);
                            assert!(
                                (f64::from(value) - right).abs() < 8e-3,
                                "{case}, beat {beat} at {at}: {value} for {right}"
                            );
                        }
                    }
                    let (low, high) = (data.domain.low[0], data.domain.high[0]);
                    assert!(data.values.iter().all(|v| (low..=high).contains(v)), "{case}");
                }
            }
        }
    }
}

fn heart_record() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "r", 360.0, ("16", 1000.0, 0, "mV", 1.0), ["MLII", "V5"], 360.0);
    dir
}

#[test]
fn leads_are_taken_by_name_in_the_order_of_the_study() {
    let dir = heart_record();
    let mut asked = request(dir.path(), "test");
    for leads in [["V5", "MLII"], ["v5", "mlii"], ["1", "0"]] {
        asked.signals.leads = leads.map(named).to_vec();
        let data = read(&asked);
        assert_eq!(data.shape, [1, 256, 2]);
        let peak = &data.sample(0)[200..202];
        assert!(
            (f64::from(peak[0]) - heart(2.0, 1)).abs() < 1e-3
                && (f64::from(peak[1]) - heart(2.0, 0)).abs() < 1e-3
        );
        assert!(!said(&data, "no leads are named"));
    }
    asked.signals.leads = vec![named("aVR")];
    assert!(refusal(&asked).contains("r has no `aVR`, but MLII, V5"));
    // Neither of the usual leads: the study must say which, and the line that it is told works.
    let header = std::fs::read_to_string(dir.path().join("r.hea")).unwrap().replace("MLII", "ECG1");
    std::fs::write(dir.path().join("r.hea"), header).unwrap();
    asked.signals.leads.clear();
    assert!(refusal(&asked).contains("leads = [\"ECG1\", \"V5\"]"));
    asked.signals.leads = vec![named("ECG1"), named("V5")];
    assert_eq!(read(&asked).shape, [1, 256, 2]);
}

#[test]
fn labels_that_only_the_file_defines_wait_for_the_study() {
    let dir = heart_record();
    let marks: Vec<(u64, u16)> = (1..10).map(|k| (k * 360, [1, 5][usize::from(k % 2 == 0)])).collect();
    let notes =
        ["## annotation type definitions", "1 v ventricular", "5 w a wide one", "## end of definitions"];
    annotations(&dir.path().join("r.atr"), &notes, &marks);
    let mut asked = request(dir.path(), "test");
    assert!(
        refusal(&asked).contains("found annotations 5 v, 4 w")
            && refusal(&asked).contains("beats = [\"v\", \"w\"]")
    );
    let own = |name: &str| (name.to_string(), vec![name.to_string()]);
    asked.signals.beats = vec![own("w"), own("v")];
    let data = read(&asked);
    assert_eq!(
        (classes(&data), data.classes.as_slice()),
        (vec![0, 1, 0, 1, 0, 1, 0, 1], &["w".to_string(), "v".to_string()][..])
    );
    assert!(said(&data, "labels of their own: 1 v ventricular, 5 w a wide one"));
    // The model's own order of the same names is what counts.
    asked.classes = vec!["v".into(), "w".into()];
    assert_eq!(classes(&read(&asked)), [1, 0, 1, 0, 1, 0, 1, 0]);
    asked.signals.annotator = "qrs".into();
    assert!(
        refusal(&asked).contains("found no .qrs file, but .atr")
            && refusal(&asked).contains("annotator = \"atr\"")
    );
}

#[test]
fn missing_values_are_dropped_and_counted_or_bridged_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut values: Vec<i32> = (0..3600).map(|at| at % 50).collect();
    values[1000..1010].fill(-32768);
    record(dir.path(), "r", 360.0, "16", &[Signal { name: "II", gain: "100(0)", values }], "");
    annotations(&dir.path().join("r.atr"), &[], &[(360, 1), (720, 1), (1000, 5), (1500, 1)]);
    let mut asked = request(dir.path(), "all");
    let data = read(&asked);
    assert_eq!(classes(&data), [0, 0]);
    assert!(said(&data, "1 of 3 samples have missing values and are left out"));
    asked.signals.gaps = Gaps::Interpolate;
    let data = read(&asked);
    assert_eq!(classes(&data), [0, 2, 0]);
    let line: Vec<f32> = (0..10).map(|k| 0.49 + (0.1 - 0.49) * (k as f32 + 1.0) / 11.0).collect();
    assert!(data.sample(1)[100..110].iter().zip(&line).all(|(a, b)| (a - b).abs() < 1e-6));
    assert!(data.remarks.iter().any(|r| r.flag == Some("interpolated") && r.text.starts_with("10 ")));
}

/// A set of whole records, as PTB-XL lays it out: `records/NAME_lr.hea` and a CSV with statements, folds and patients.
fn ptb_xl(folder: &Path) {
    std::fs::create_dir(folder.join("records100")).unwrap();
    let rows = [
        ("1", "{'NORM': 100.0, 'SR': 0.0}", 1),
        ("2", "{'IMI': 80.0}", 9),
        ("2", "{'IMI': 50.0, 'LVH': 100.0}", 10),
        ("3", "{'NORM': 80.0}", 10),
        ("4", "{'AFIB': 0.0}", 10),
    ];
    let mut csv = "ecg_id,patient_id,sex,scp_codes,strat_fold,filename_lr,filename_hr\n".to_string();
    for (k, (patient, codes, fold)) in rows.iter().enumerate() {
        let name = format!("{k:05}_lr");
        csv += &format!("{k},{patient}.0,{},\"{codes}\",{fold},records100/{name},\n", k % 2);
        let signals =
            ["I", "II"].map(|name| Signal { name, gain: "1000.0(0)/mV", values: vec![k as i32 * 100; 1000] });
        record(&folder.join("records100"), &name, 100.0, "16", &signals, "");
    }
    std::fs::write(folder.join("ptbxl_database.csv"), csv).unwrap();
    std::fs::write(folder.join("scp_statements.csv"), ",description,diagnostic_class\nNORM,normal,NORM\nIMI,inferior,MI\nLVH,left,HYP\nAFIB,fibrillation,\n").unwrap();
}

#[test]
fn ptb_xl_is_read_by_its_list() {
    let dir = tempfile::tempdir().unwrap();
    ptb_xl(dir.path());
    for path in [dir.path().to_path_buf(), dir.path().join("ptbxl_database.csv")] {
        let mut asked = request(&path, "test");
        asked.signals.leads = vec![named("I"), named("II")];
        asked.classes = ["HYP", "MI", "NORM"].map(str::to_string).to_vec();
        asked.outputs = Some(Outputs { count: 3, findings: true });
        let data = read(&asked);
        assert_eq!(data.labels, Labels::Findings(vec![1, 1, 0, 0, 0, 1, 0, 0, 0]));
        assert_eq!((data.shape.as_slice(), data.index.as_slice()), (&[1, 1000, 2][..], &[2, 3, 4][..]));
        assert_eq!(data.group.as_ref().unwrap(), &["2.0", "3.0", "4.0"]);
        assert_eq!((data.sample(1)[0], data.samples_per_second), (0.3, Some(100.0)));
        assert!(said(&data, "1 to 8 are train"));
        // A model of one class a record: those with several or none are left out and counted.
        asked.outputs = Some(Outputs { count: 3, findings: false });
        let single = read(&asked);
        assert_eq!((classes(&single), single.index.as_slice()), (vec![2], &[3][..]));
        assert!(said(&single, "1 sample with none of the classes and 1 with several"));
        asked.classes = vec!["NORM".into(), "NROM".into()];
        asked.outputs = Some(Outputs { count: 2, findings: true });
        assert!(refusal(&asked).contains("NROM"));
        // A limited subset reads no signal of the others.
        asked.classes = vec!["MI".into()];
        asked.outputs = Some(Outputs { count: 1, findings: true });
        asked.limit = Some(1);
        assert_eq!(read(&asked).len(), 1);
    }
}

#[test]
fn lists_of_recordings_have_folds_and_policies_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    ptb_xl(dir.path());
    let csv = |column: &str, cells: [&str; 5]| {
        let row = |(k, cell): (usize, &&str)| format!("records100/{k:05}_lr,{cell},{}\n", [0, 1, 8, 9, 9][k]);
        let rows: String = cells.iter().enumerate().map(row).collect();
        std::fs::write(dir.path().join("list.csv"), format!("path,{column},strat_fold\n{rows}")).unwrap();
    };
    let mut asked = Request::new(Source::Records(dir.path().join("list.csv")), "all");
    asked.signals.leads = vec![named("I")];
    asked.classes = ["normal", "ill"].map(str::to_string).to_vec();
    asked.outputs = Some(Outputs { count: 2, findings: false });
    // Folds from 0: no guess, but the line.
    csv("label", ["0", "1", "1", "0", "1"]);
    asked.split = "test".into();
    assert!(refusal(&asked).contains("splits = { val = [9], test = [10] }"));
    asked.signals.list.splits = toml::from_str("val = 8\ntest = [9]").unwrap();
    assert_eq!(read(&asked).index, [3, 4]);
    asked.split = "train".into();
    assert_eq!(read(&asked).index, [0, 1]);
    asked.split = "all".into();
    csv("label", ["0", "-1", "", "1", "1"]);
    assert!(refusal(&asked).contains("uncertain = \"drop\""));
    asked.labels.uncertain = Some(Policy::Drop);
    assert!(refusal(&asked).contains("missing = \"drop\""));
    asked.labels.missing = Some(Policy::Negative);
    let data = read(&asked);
    assert_eq!((classes(&data), data.index.as_slice()), (vec![0, 0, 1, 1], &[0, 2, 3, 4][..]));
    assert!(
        said(&data, "1 uncertain label leaves its sample out")
            && said(&data, "1 missing label counts as negative")
    );
    // Findings in columns.
    csv("AF,LBBB", ["1,0", "-1,1", "0,", "1,1", "0,0"]);
    asked.signals.list.labels = vec!["AF".into(), "LBBB".into()];
    asked.classes = ["LBBB", "AF"].map(str::to_string).to_vec();
    asked.outputs = Some(Outputs { count: 2, findings: true });
    asked.labels.missing = Some(Policy::Ignore);
    let data = read(&asked);
    assert_eq!(
        (&data.labels, data.index.as_slice()),
        (&Labels::Findings(vec![0, 1, 2, 0, 1, 1, 0, 0]), &[0, 2, 3, 4][..])
    );
    // Answers in dictionaries are no statements.
    csv(
        "dx",
        ["\"{'AF': 0, 'LBBB': 1}\"", "\"{'AF': 1, 'LBBB': 1}\"", "{'AF': 1}", "{'AF': 0}", "{'AF': 1}"],
    );
    asked.signals.list.labels = Vec::new();
    assert!(refusal(&asked).contains("dictionaries of 0 and 1"));
}

#[test]
fn diagnoses_of_headers_and_plain_lists_are_labels() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, codes: &str, length: usize| {
        let values = (0..length).map(|at| at as i32 % 100).collect();
        let comment = format!("#Age: 63\n#Sex: Male\n#Dx: {codes}\n");
        record(dir.path(), name, 500.0, "16", &[Signal { name: "II", gain: "1000/mV", values }], &comment);
    };
    for (name, codes) in [("JS1", "426783006"), ("JS2", "164889003,59118001"), ("JS3", "59118001")] {
        write(name, codes, 5000);
    }
    let mut asked = request(dir.path(), "test");
    asked.classes = vec!["164889003".into(), "426783006".into()];
    asked.outputs = Some(Outputs { count: 2, findings: true });
    let data = read(&asked);
    assert_eq!(data.labels, Labels::Findings(vec![0, 1, 1, 0, 0, 0]));
    assert!(said(&data, "1 other statement of") && said(&data, "recordings are in no splits"));
    asked.split = "train".into();
    assert!(refusal(&asked).contains("split = \"all\""));
    // The same at another rate: 100 Hz, a fifth of the values.
    asked.split = "test".into();
    asked.signals.rate = Some(100.0);
    let slow = read(&asked);
    assert_eq!((slow.shape.as_slice(), slow.samples_per_second), (&[1, 1000, 1][..], Some(100.0)));
    assert!(said(&slow, "resampled from 500 Hz to 100 Hz"));
    // Another length: refused with the line that takes one, which works; short ones are left out or filled.
    asked.signals.rate = None;
    write("JS4", "426783006", 4000);
    assert!(refusal(&asked).contains("length = 4000"));
    asked.signals.length = Some(4000);
    assert_eq!(read(&asked).shape, [1, 4000, 1]);
    asked.signals.length = Some(5000);
    let data = read(&asked);
    assert!(data.len() == 3 && said(&data, "1 record shorter than 5000 values is left out"));
    asked.signals.pad = true;
    let data = read(&asked);
    assert!(data.len() == 4 && said(&data, "1000 values behind the ends of records are 0"));
    assert!(data.sample(3)[4000..].iter().all(|&v| v == 0.0) && data.sample(3)[3999] != 0.0);
    // Windows of every record, with its label.
    asked.signals = Default::default();
    (asked.signals.cut, asked.signals.length, asked.signals.stride) =
        (Some(Cut::Windows), Some(2000), Some(1000));
    asked.outputs = Some(Outputs { count: 2, findings: false });
    let data = read(&asked);
    assert_eq!(classes(&data), [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1]);
    assert!(data.sample(1) == data.sample(0) && data.group.unwrap()[10] == "JS4");
    // A list without a line of names, as that of the PhysioNet challenge of 2017: its first record is one of them.
    let csv = dir.path().join("REFERENCE.csv");
    std::fs::write(&csv, "JS1,N\nJS2,A\nJS3,~\n").unwrap();
    let mut listed = Request::new(Source::Records(csv), "all");
    listed.classes = ["N", "A", "~"].map(str::to_string).to_vec();
    let data = read(&listed);
    assert_eq!(
        (classes(&data), data.group.as_ref().unwrap().join(" ")),
        (vec![0, 1, 2], "JS1 JS2 JS3".to_string())
    );
    assert!(said(&data, "the first line is a record's: the columns are called record, label"));
    // A CSV of record and label, by any column names.
    let csv = dir.path().join("l.csv");
    std::fs::write(
        &csv,
        "file;rhythm;who;part\nJS1;sinus;a;test\nJS2.hea;fibrillation;b;test\nJS3;sinus;a;train\n",
    )
    .unwrap();
    let mut asked = Request::new(Source::Records(csv.clone()), "test");
    assert!(refusal(&asked).contains("none is called label"));
    asked.signals.list.labels = vec!["rhythm".into()];
    asked.signals.list.patient = Some("who".into());
    asked.signals.list.split = Some("part".into());
    assert!(refusal(&asked).contains("classes = ["));
    asked.classes = vec!["sinus".into(), "fibrillation".into()];
    let data = read(&asked);
    assert_eq!((classes(&data), data.group.unwrap()), (vec![0, 1], vec!["a".to_string(), "b".to_string()]));
}

#[test]
fn an_edf_file_is_cut_at_its_annotations() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.edf");
    let values: Vec<i32> = (0..1000).map(|at| (heart(f64::from(at) / 100.0, 0) * 1000.0) as i32).collect();
    let signals =
        [("ECG II", "uV", [-3276.8, 3276.7], [-32768, 32767], 100, values.iter().map(|v| v * 10).collect())];
    edf(&path, 1.0, &signals, None, &[(1.0, "beat"), (2.0, "beat"), (3.0, "odd beat"), (4.0, "beat")]);
    let mut asked = request(&path, "test");
    assert!(refusal(&asked).contains("annotations 3 beat, 1 odd beat"), "{}", refusal(&asked));
    asked.signals.beats =
        vec![("usual".into(), vec!["beat".into()]), ("odd".into(), vec!["odd beat".into()])];
    (asked.signals.rate, asked.signals.length, asked.signals.peak) = (Some(100.0), Some(50), Some(20));
    let data = read(&asked);
    assert_eq!(
        (classes(&data), data.shape.as_slice(), data.unit.as_str()),
        (vec![0, 1, 0], &[1, 50, 1][..], "mV")
    );
    assert!((data.sample(0)[20] - heart(2.0, 0) as f32).abs() < 2e-3);
}

#[test]
fn assumed_gains_and_unread_sums_are_flags() {
    let dir = heart_record();
    let header = std::fs::read_to_string(dir.path().join("r.hea")).unwrap();
    std::fs::write(dir.path().join("r.hea"), header.replace("1000(0)/mV", "0")).unwrap();
    let mut asked = request(dir.path(), "test");
    let data = read(&asked);
    assert!(data.remarks.iter().any(|remark| remark.flag == Some("assumed-gain")));
    let dat = dir.path().join("r.dat");
    let mut bytes = std::fs::read(&dat).unwrap();
    bytes[77] ^= 1;
    std::fs::write(&dat, bytes).unwrap();
    assert!(refusal(&asked).contains("checksums = false"));
    asked.signals.checksums = false;
    assert!(read(&asked).remarks.iter().any(|remark| remark.flag == Some("checksums-unread")));
}

/// A model has the unit that it was trained in: what becomes of a file's is said, and every unit can be asked for.
#[test]
fn voltages_have_the_unit_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.edf");
    let values: Vec<i32> = (0..200).map(|at| at * 37 - 3000).collect();
    let cases = [
        ("uV", None, "mV", 1e-3),
        ("uV", Some(Unit::Written), "uV", 1.0),
        ("uV", Some(Unit::Volt), "V", 1e-6),
        ("mV", Some(Unit::Microvolt), "uV", 1e3),
        ("V", Some(Unit::Millivolt), "mV", 1e3),
        ("V", Some(Unit::Written), "V", 1.0),
        ("bar", Some(Unit::Written), "bar", 1.0),
        ("bar", None, "bar", 1.0),
    ];
    for (written, unit, right, factor) in cases {
        let signals = [("EEG Fp1", written, [-3276.8, 3276.7], [-32768, 32767], 100, values.clone())];
        edf(&path, 1.0, &signals, None, &[(0.5, "a"), (1.0, "b")]);
        let mut asked = request(&path, "test");
        (asked.signals.beats, asked.signals.unit) =
            (vec![("a".into(), named("a")), ("b".into(), named("b"))], unit);
        (asked.signals.length, asked.signals.peak) = (Some(10), Some(0));
        let data = read(&asked);
        assert_eq!(data.unit, right, "{written}, {unit:?}");
        for (own, stored) in data.sample(0).iter().zip(&values[100..]) {
            let value = f64::from(*stored) * 0.1 * factor;
            assert!((f64::from(*own) - value).abs() <= 1e-6 * value.abs(), "{written}: {own}, {value}");
        }
        assert!((f64::from(data.domain.high[0]) - 3276.7 * factor).abs() < 1e-3 * factor);
        assert_eq!(said(&data, "unit = \"file\""), written != right && unit.is_none());
    }
    let signals = [("Pleth", "bar", [-3276.8, 3276.7], [-32768, 32767], 100, values)];
    edf(&path, 1.0, &signals, None, &[(0.5, "a"), (1.0, "b")]);
    let mut asked = request(&path, "test");
    asked.signals.beats = vec![("a".into(), named("a")), ("b".into(), named("b"))];
    asked.signals.unit = Some(Unit::Microvolt);
    assert!(refusal(&asked).contains("Pleth in bar"));
}

/// One class more or less than the model has would be read as outputs that it lacks.
#[test]
fn beats_are_as_many_classes_as_the_model_has() {
    let dir = heart_record();
    let class = |name: &str, symbol: &str| (name.to_string(), named(symbol));
    let mut asked = request(dir.path(), "test");
    asked.outputs = Some(Outputs { count: 1, findings: false });
    for beats in [vec![class("n", "N")], vec![class("n", "N"), class("v", "V"), class("x", "Q")], vec![]] {
        asked.signals.beats = beats;
        assert!(refusal(&asked).contains("expected the model's 2, in the order of its outputs: beats = {"));
    }
    asked.signals.beats = vec![class("n", "N"), class("v", "V")];
    assert_eq!(read(&asked).classes, ["n", "v"]);
    // Names that the model has say which of its outputs they are.
    asked.signals.beats.truncate(1);
    asked.classes = vec!["v".into(), "n".into()];
    assert!(classes(&read(&asked)).iter().all(|&label| label == 1));
}

//! WFDB records and EDF files, written as the formats' definitions say.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::Path;

/// Samples in the bytes of a format. Of format 8 they are differences.
pub fn pack(format: &str, samples: &[i32]) -> Vec<u8> {
    let at = |k: usize| samples.get(k).copied().unwrap_or(0);
    match format {
        "8" => samples.iter().map(|&v| v as i8 as u8).collect(),
        "80" => samples.iter().map(|&v| (v + 128) as u8).collect(),
        "16" => samples.iter().flat_map(|&v| (v as i16).to_le_bytes()).collect(),
        "61" => samples.iter().flat_map(|&v| (v as i16).to_be_bytes()).collect(),
        "160" => samples.iter().flat_map(|&v| ((v + 32768) as u16).to_le_bytes()).collect(),
        "24" => samples.iter().flat_map(|&v| v.to_le_bytes()[..3].to_vec()).collect(),
        "32" => samples.iter().flat_map(|&v| v.to_le_bytes()).collect(),
        "212" => (0..samples.len())
            .step_by(2)
            .flat_map(|k| {
                let (a, b) = (at(k) & 0xfff, at(k + 1) & 0xfff);
                [a as u8, (a >> 8 | b >> 8 << 4) as u8, b as u8]
            })
            .collect(),
        "310" => (0..samples.len())
            .step_by(3)
            .flat_map(|k| {
                let (a, b, c) = (at(k) & 0x3ff, at(k + 1) & 0x3ff, at(k + 2) & 0x3ff);
                let words = [(a << 1 | (c & 31) << 11) as u16, (b << 1 | c >> 5 << 11) as u16];
                words.map(u16::to_le_bytes).concat()
            })
            .collect(),
        "311" => (0..samples.len())
            .step_by(3)
            .flat_map(|k| {
                let (a, b, c) = (at(k) & 0x3ff, at(k + 1) & 0x3ff, at(k + 2) & 0x3ff);
                (a | b << 10 | c << 20).to_le_bytes()
            })
            .collect(),
        other => panic!("format {other}"),
    }
}

/// A signal of a record of one file.
pub struct Signal<'a> {
    pub name: &'a str,
    pub gain: &'a str,
    pub values: Vec<i32>,
}

/// Writes `NAME.hea` and `NAME.dat` with these signals, one sample a frame.
pub fn record(folder: &Path, name: &str, hertz: f64, format: &str, signals: &[Signal], comments: &str) {
    let frames = signals[0].values.len();
    let mut header = format!("{name} {} {hertz} {frames}\n", signals.len());
    for signal in signals {
        let sum = signal.values.iter().fold(0i16, |sum, &v| sum.wrapping_add(v as i16));
        header += &format!(
            "{name}.dat {format} {} 0 0 {} {sum} 0 {}\n",
            signal.gain, signal.values[0], signal.name
        );
    }
    let flat: Vec<i32> =
        (0..frames).flat_map(|at| signals.iter().map(move |signal| signal.values[at])).collect();
    std::fs::write(folder.join(format!("{name}.hea")), header + comments).unwrap();
    std::fs::write(folder.join(format!("{name}.dat")), pack(format, &flat)).unwrap();
}

/// Writes an annotation file: samples and codes, behind some bytes of notes.
pub fn annotations(path: &Path, notes: &[&str], marks: &[(u64, u16)]) {
    let word = |code: u16, step: u64| (code << 10 | step as u16).to_le_bytes().to_vec();
    let mut bytes = Vec::new();
    for text in notes {
        bytes.extend([word(22, 0), word(63, text.len() as u64), text.as_bytes().to_vec()].concat());
        bytes.resize(bytes.len().next_multiple_of(2), 0);
    }
    let mut last = 0;
    for &(sample, code) in marks {
        let step = sample - last;
        // A long step: its upper half first.
        bytes.extend(
            [word(59, 0), ((step >> 16) as u16).to_le_bytes().to_vec(), (step as u16).to_le_bytes().to_vec()]
                .concat(),
        );
        bytes.extend(word(code, 0));
        last = sample;
    }
    bytes.extend([0, 0]);
    std::fs::write(path, bytes).unwrap();
}

/// Writes an annotation file of changes of rhythm: samples and texts such as `(AFIB`.
pub fn rhythms(path: &Path, changes: &[(u64, &str)]) {
    let word = |code: u16, step: u64| (code << 10 | step as u16).to_le_bytes().to_vec();
    let mut bytes = Vec::new();
    let mut last = 0;
    for &(sample, text) in changes {
        let step = sample - last;
        bytes.extend(
            [word(59, 0), ((step >> 16) as u16).to_le_bytes().to_vec(), (step as u16).to_le_bytes().to_vec()]
                .concat(),
        );
        bytes.extend([word(28, 0), word(63, text.len() as u64), text.as_bytes().to_vec()].concat());
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        last = sample;
    }
    bytes.extend([0, 0]);
    std::fs::write(path, bytes).unwrap();
}

/// A signal of an EDF file: label, unit, physical and digital range, samples of a data record, all digital values.
pub type EdfSignal<'a> = (&'a str, &'a str, [f64; 2], [i32; 2], usize, Vec<i32>);

/// Writes an EDF file of records of `seconds`; `onsets` makes it an interrupted EDF+ whose records start then, `notes` annotates the first one.
pub fn edf(path: &Path, seconds: f64, signals: &[EdfSignal], onsets: Option<&[f64]>, notes: &[(f64, &str)]) {
    let lasting: Vec<(f64, Option<f64>, &str)> =
        notes.iter().map(|&(at, text)| (at, Some(0.5), text)).collect();
    edf_lasting(path, seconds, signals, onsets, &lasting);
}

/// [`edf`], each note with the seconds that it lasts, where it says that.
pub fn edf_lasting(
    path: &Path,
    seconds: f64,
    signals: &[EdfSignal],
    onsets: Option<&[f64]>,
    notes: &[(f64, Option<f64>, &str)],
) {
    let records = signals[0].5.len() / signals[0].4;
    let mut columns: Vec<EdfSignal> = signals.to_vec();
    if onsets.is_some() || !notes.is_empty() {
        columns.push(("EDF Annotations", "", [-1.0, 1.0], [-32768, 32767], 60, Vec::new()));
    }
    let field = |text: String, width: usize| format!("{text:<width$}")[..width].to_string();
    let kind = if onsets.is_some() {
        "EDF+D"
    } else if notes.is_empty() {
        ""
    } else {
        "EDF+C"
    };
    let mut header = [("0", 8), ("X X X X", 80), ("Startdate X X X X", 80), ("01.01.85", 8), ("00.00.00", 8)]
        .map(|(text, width)| field(text.into(), width))
        .concat();
    header += &field((256 * (columns.len() + 1)).to_string(), 8);
    header += &field(kind.into(), 44);
    header +=
        &[field(records.to_string(), 8), field(seconds.to_string(), 8), field(columns.len().to_string(), 4)]
            .concat();
    for column in &columns {
        header += &field(column.0.into(), 16);
    }
    header += &" ".repeat(80 * columns.len());
    for column in &columns {
        header += &field(column.1.into(), 8);
    }
    let numbers: [fn(&EdfSignal) -> String; 4] =
        [|c| c.2[0].to_string(), |c| c.2[1].to_string(), |c| c.3[0].to_string(), |c| c.3[1].to_string()];
    for number in numbers {
        for column in &columns {
            header += &field(number(column), 8);
        }
    }
    header += &" ".repeat(80 * columns.len());
    for column in &columns {
        header += &field(column.4.to_string(), 8);
    }
    header += &" ".repeat(32 * columns.len());
    let mut bytes = header.into_bytes();
    for record in 0..records {
        for (label, _, _, _, per, values) in &columns {
            if *label == "EDF Annotations" {
                let onset = onsets.map_or(record as f64 * seconds, |onsets| onsets[record]);
                let mut lists = format!("+{onset}\u{14}\u{14}\0");
                for (at, lasting, text) in notes.iter().filter(|_| record == 0) {
                    let lasting = lasting.map_or(String::new(), |own| format!("\u{15}{own}"));
                    lists += &format!("+{at}{lasting}\u{14}{text}\u{14}\0");
                }
                let mut lists = lists.into_bytes();
                lists.resize(2 * per, 0);
                bytes.extend(lists);
            } else {
                bytes.extend(values[record * per..][..*per].iter().flat_map(|&v| (v as i16).to_le_bytes()));
            }
        }
    }
    std::fs::write(path, bytes).unwrap();
}

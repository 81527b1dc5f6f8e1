//! What a results folder may say of the machine that it was made on, since it is meant to be passed on: files' names, no places, and nothing of
//! a folder, whose name may be a user's or a patient's.

use std::ffi::OsString;

use toml::Value;

/// What stands for a folder.
const FOLDER: &str = "DIR";
/// Options whose value is a folder, whatever it is called.
const OF_FOLDERS: [&str; 2] = ["--out", "--data-dir"];
/// Endings of files that a study or a command names.
const ENDINGS: [&str; 33] = [
    "atr",
    "bdf",
    "bin",
    "bmp",
    "csv",
    "dat",
    "dcm",
    "edf",
    "gz",
    "h5",
    "hea",
    "jpeg",
    "jpg",
    "json",
    "keras",
    "npy",
    "npz",
    "onnx",
    "parquet",
    "pkl",
    "png",
    "pt",
    "pth",
    "qrs",
    "safetensors",
    "svg",
    "tab",
    "tif",
    "tiff",
    "toml",
    "tsv",
    "txt",
    "zip",
];

/// A command line whose paths are cut: files to their names, folders to the word DIR; bytes that are no text are replaced.
pub fn command(arguments: impl Iterator<Item = OsString>) -> String {
    let mut of_folder = false;
    let told = arguments.enumerate().map(|(position, argument)| {
        let argument = argument.to_string_lossy();
        let is_value = std::mem::replace(&mut of_folder, OF_FOLDERS.contains(&&*argument));
        match argument.split_once('=') {
            _ if is_value => FOLDER.to_string(),
            // percuss itself.
            _ if position == 0 => last(&argument).to_string(),
            Some((option, _)) if OF_FOLDERS.contains(&option) => format!("{option}={FOLDER}"),
            Some((option, value)) if option.starts_with("--") => format!("{option}={}", cut_path(value)),
            _ => cut_path(&argument).to_string(),
        }
    });
    told.collect::<Vec<String>>().join(" ")
}

/// Of a path the name of a file, nothing of a folder; any other text as it is.
fn cut_path(text: &str) -> &str {
    let name = last(text);
    match is_place(text) || name != text {
        true if !names_file(name) => FOLDER,
        _ => name,
    }
}

/// Whether a text ends as the name of a file does.
pub fn names_file(text: &str) -> bool {
    text.rsplit_once('.').is_some_and(|(name, ending)| {
        !name.is_empty() && ENDINGS.contains(&ending.to_ascii_lowercase().as_str())
    })
}

/// The last part of a path; any other text as it is, and `I/N` of a shard.
pub fn last(text: &str) -> &str {
    let shard = |(i, n): (&str, &str)| [i, n].iter().all(|part| part.parse::<u64>().is_ok());
    if text.split_once('/').is_some_and(shard) {
        return text;
    }
    text.trim_end_matches(['/', '\\'])
        .rsplit(['/', '\\'])
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or(text)
}

/// A study's TOML without comments, each place on a machine (an absolute path) cut to a file's name, or to DIR; a text that is no TOML as it is.
pub fn study(text: &str) -> String {
    let Ok(mut table) = text.parse::<toml::Table>() else { return text.to_string() };
    table.iter_mut().for_each(|(_, value)| cut(value));
    toml::to_string(&table).unwrap_or_else(|_| text.to_string())
}

fn cut(value: &mut Value) {
    match value {
        Value::String(text) if is_place(text) => *text = cut_path(text).to_string(),
        Value::Array(values) => values.iter_mut().for_each(cut),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| cut(value)),
        _ => {}
    }
}

/// Whether a text is an absolute path, in the manner of any system, or begins at somebody's home.
pub fn is_place(text: &str) -> bool {
    let drive = |text: &str| {
        let mut letters = text.chars();
        letters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
            && letters.next() == Some(':')
            && letters.next().is_some_and(|separator| matches!(separator, '/' | '\\'))
    };
    text.starts_with(['/', '\\']) && text.len() > 1 || text.starts_with("~") || drive(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn commands_and_studies_name_no_place() {
        let arguments = [
            "/opt/st-mary/bin/percuss",
            "sweep",
            "/home/maria/ct/study.toml",
            "--shard",
            "1/7",
            "--out=/mnt/a b/o/",
        ];
        let told = command(arguments.iter().map(OsString::from));
        assert_eq!(told, "percuss sweep study.toml --shard 1/7 --out=DIR");
        let arguments = "percuss sweep mueller/s.toml --data-dir /home/mueller --out mueller --model=/srv/dr.mueller/ --device gpu:1";
        let told = command(arguments.split(' ').map(OsString::from));
        assert_eq!(told, "percuss sweep s.toml --data-dir DIR --out DIR --model=DIR --device gpu:1");
        for (text, right) in
            [(r"C:\Users\maria\x.csv", "x.csv"), ("gpu:1", "gpu:1"), ("2/3", "2/3"), ("a/2", "2"), ("/", "/")]
        {
            assert_eq!(last(text), right);
        }
        let text = "# Maria's\nname = \"a\"\n[[data]]\npath = \"/home/maria/x.npz\"\nsplit = \"test\"\nbudget = [{ mask = '~/m.png' }]\n";
        let cut = study(text);
        for gone in ["aria", "/home", "~"] {
            assert!(!cut.contains(gone), "{cut}");
        }
        let table: toml::Table = cut.parse().unwrap();
        assert_eq!(table["data"][0]["path"].as_str(), Some("x.npz"));
        assert_eq!(table["data"][0]["budget"][0]["mask"].as_str(), Some("m.png"));
        assert_eq!(study(&cut), cut);
        assert_eq!(study("path = 'models/a'\n"), "path = \"models/a\"\n");
        assert_eq!(study("files = { strip = '/home/mueller/' }\n"), "[files]\nstrip = \"DIR\"\n");
        for home in ["~/mueller", r"C:\Users\mueller", "/data/Mueller, Hans", "/home/hans.mueller"] {
            assert_eq!(study(&format!("path = '{home}'\n")), "path = \"DIR\"\n", "{home}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn arguments_that_are_no_text_are_told_all_the_same() {
        use std::os::unix::ffi::OsStringExt;
        let arguments = [b"percuss".to_vec(), b"\xff\xfe/s\xff.toml".to_vec()];
        assert_eq!(command(arguments.into_iter().map(OsString::from_vec)), "percuss s\u{fffd}.toml");
    }
}

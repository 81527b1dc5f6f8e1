//! A small model with six samples, whose labels a test writes in any form.
use percuss::data::{Dataset, Labels};
use percuss::models::Config;
use percuss::sweep::load;
use percuss::sweep::study::Study;

use super::npz::{encoded, npy, write};
use super::write_model;

/// Which samples have what is looked for.
pub const ILL: [bool; 6] = [true, false, true, true, false, false];
/// Classes of a model of three.
pub const THREE: [usize; 6] = [2, 0, 1, 1, 2, 0];

/// A model of one value, and its data: six images of one pixel each, which holds their number.
pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn new(outputs: usize, head: &str, names: &[&str]) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        let names = if names.is_empty() {
            String::new()
        } else {
            format!(", \"class_names\": [{}]", names.join(", "))
        };
        let config = format!(
            r#"{{"architecture": "mlp", "inputs": 1, "hidden": [2], "classes": {outputs}, "head": "{head}",
                "input_scaling": {{"mean": [2.5], "std": [1.7]}}{names}}}"#
        );
        write_model(&place.folder.path().join("model"), &Config::parse(&config, "model").unwrap());
        for value in 0..6u8 {
            let file = std::fs::File::create(place.folder.path().join(format!("{value}.png"))).unwrap();
            let mut encoder = png::Encoder::new(file, 1, 1);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.write_header().unwrap().write_image_data(&[value]).unwrap();
        }
        place
    }

    /// The data as a study reads them for the model.
    pub fn read(&self, data: &str, model: &str) -> Result<Dataset, String> {
        let text = format!(
            "name = \"s\"\n[[data]]\nid = \"d\"\nsplit = \"all\"\n{data}\n[[model]]\nid = \"m\"\npath = \"model\"\ndata = [\"d\"]\n{model}\n\
             [[attack]]\nkind = \"fgsm\"\nbudget = [{{ norm = \"linf\", eps = 0.1 }}]\n"
        );
        let path = self.folder.path().join("s.toml");
        std::fs::write(&path, text).unwrap();
        let read = Study::read(&path).and_then(|study| {
            load::model(&study, 0).and_then(|model| load::data(&study, 0, 0, &model, None))
        });
        read.map_err(|error| error.to_string())
    }

    pub fn array(&self, labels: Vec<u8>) -> &'static str {
        let x: Vec<f64> = (0..6).map(f64::from).collect();
        let arrays = [("x", npy("<f4", false, &[6, 1], &encoded("<f4", &x))), ("y", labels)];
        write(&self.folder.path().join("d.npz"), true, &arrays);
        "path = \"d.npz\""
    }

    /// A list of the images with a column of labels.
    pub fn list(&self, column: &str, labels: &[String]) -> &'static str {
        let rows: Vec<String> =
            labels.iter().enumerate().map(|(k, label)| format!("{k}.png,{label}")).collect();
        self.csv(&format!("path,{column}\n{}\n", rows.join("\n")))
    }

    pub fn csv(&self, text: &str) -> &'static str {
        std::fs::write(self.folder.path().join("m.csv"), text).unwrap();
        "manifest = \"m.csv\""
    }
}

pub fn classes(data: &Dataset) -> Vec<usize> {
    match &data.labels {
        Labels::Class(labels) => labels.iter().map(|&label| label as usize).collect(),
        Labels::Findings(_) => panic!("findings"),
    }
}

pub fn told(data: &Dataset) -> String {
    data.remarks.iter().map(|remark| format!("{remark}\n")).collect()
}

/// Every `classes = [...]` of a message.
pub fn lines(error: &str) -> Vec<(String, Vec<String>)> {
    let ends = error.match_indices("classes = [").map(|(at, _)| &error[at..]);
    let line = |text: &str| -> Option<(String, Vec<String>)> {
        let line = &text[..=text.find(']')?];
        let table: toml::Table = line.parse().ok()?;
        let names = table["classes"].as_array()?.iter().map(|name| name.as_str().unwrap().to_string());
        Some((line.to_string(), names.collect()))
    };
    ends.filter_map(line).collect()
}

pub fn as_texts<T: ToString>(labels: impl IntoIterator<Item = T>) -> Vec<String> {
    labels.into_iter().map(|label| label.to_string()).collect()
}

/// Every `label = { CLASS = COLUMN, ... }` of a message.
pub fn label_lines(error: &str) -> Vec<String> {
    let ends = error.match_indices("`label = {").map(|(at, _)| &error[at + 1..]);
    ends.filter_map(|text| text.split('`').next()).map(str::to_string).collect()
}

//! What a file beside the network may say of it: `NAME.json` or `config.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::models::{Head, InputScaling};
use crate::{Error, Result};

/// The keys of that file; all may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Beside {
    /// Names of the classes or findings.
    #[serde(default)]
    pub(super) class_names: Vec<String>,
    /// What the outputs mean; without it the network's end says so, or a single output.
    pub(super) head: Option<Head>,
    /// Scaling of the input before the network.
    pub(super) input_scaling: Option<InputScaling>,
    /// The output that is attacked, if there are several.
    pub(super) output: Option<String>,
    /// Lengths of axes that the file leaves open, by their names.
    #[serde(default)]
    pub(super) dimensions: BTreeMap<String, usize>,
    /// Inputs that are the same for all samples, by their names, and their values.
    #[serde(default)]
    pub(super) inputs: BTreeMap<String, Given>,
    /// Names of the values of a sample, in their order: a table's columns are fed by them.
    #[serde(default)]
    pub(super) features: Vec<String>,
    /// Where the channels of an input image are, if nothing in the network says so.
    pub(super) channels: Option<Channels>,
    /// What the network was trained on.
    pub(super) training: Option<serde_json::Value>,
    /// Names of the outputs by the configuration of the model that the file was exported from.
    #[serde(skip)]
    pub(super) exported_names: Vec<String>,
    /// How images are standardised by that configuration, or by the preprocessor's beside it.
    #[serde(skip)]
    pub(super) exported_scaling: Option<Prepared>,
    /// The file that these keys are in, or would be.
    #[serde(skip)]
    pub(super) file: String,
}

/// All of them but `inputs`, by which other tools' files mean something else.
const KEYS: [&str; 6] = ["class_names", "head", "input_scaling", "dimensions", "features", "channels"];

/// What a study says of a network that its file leaves open; it goes before what the file beside the network says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supplied {
    /// Lengths of axes that the file leaves open, by their names.
    #[serde(default)]
    pub dimensions: BTreeMap<String, usize>,
    /// Inputs that are the same for all samples, by their names, and their values.
    #[serde(default)]
    pub inputs: BTreeMap<String, Given>,
}

impl Supplied {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.dimensions.is_empty() && self.inputs.is_empty()
    }
}

/// The value of an input that no sample has.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Given {
    /// Of all elements.
    Truth(bool),
    /// Of all elements.
    Number(f64),
    /// Of each element, row-major.
    Numbers(Vec<f64>),
}

/// `id2label` of Hugging Face, `label_names` of timm; none where they are made up (`LABEL_0`).
fn names_of_others(config: &serde_json::Value) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().map(String::from);
    let numbered = config.get("id2label").and_then(serde_json::Value::as_object).and_then(|labels| {
        (0..labels.len())
            .map(|number| labels.get(&number.to_string()).and_then(text))
            .collect::<Option<Vec<String>>>()
    });
    let listed = || config.get("label_names")?.as_array()?.iter().map(text).collect();
    let names = numbered.or_else(listed).unwrap_or_default();
    let made_up = names.iter().enumerate().all(|(number, name)| *name == format!("LABEL_{number}"));
    if made_up { Vec::new() } else { names }
}

/// Mean and deviation that images are standardised by, of values from 0 to 1, a number for each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// Subtracted.
    pub mean: Vec<f64>,
    /// Divided by, positive.
    pub std: Vec<f64>,
}

/// Those of a configuration, timm's `pretrained_cfg` or the object itself.
fn prepared(config: &serde_json::Value, mean: &str, std: &str) -> Option<Prepared> {
    let own = config.get("pretrained_cfg").unwrap_or(config);
    let numbers = |key: &str| {
        let values = own.get(key)?.as_array()?;
        values.iter().map(serde_json::Value::as_f64).collect::<Option<Vec<f64>>>()
    };
    let found = Prepared { mean: numbers(mean)?, std: numbers(std)? };
    let fits = found.mean.len() == found.std.len() && found.std.iter().all(|number| *number > 0.0);
    fits.then_some(found)
}

/// Those of Hugging Face's `preprocessor_config.json`, where it rescales to values from 0 to 1 and normalises.
fn preprocessor(folder: &Path) -> Option<Prepared> {
    let text = crate::files::read_text(&folder.join("preprocessor_config.json")).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    let on = |key: &str| value.get(key).and_then(serde_json::Value::as_bool).unwrap_or(true);
    if on("do_normalize") && on("do_rescale") { prepared(&value, "image_mean", "image_std") } else { None }
}

/// Which axis of an image after the batch axis has the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Channels {
    First,
    Last,
}

/// Refuses a file beside `model` that says something of a network and is called after none: nothing of it would be read.
fn refuse_misnamed(model: &Path, own: &Path) -> Result<()> {
    let folder = model.parent().unwrap_or(Path::new(""));
    let mut appended = model.as_os_str().to_owned();
    appended.push(".json");
    let of_another = folder.join("model.onnx").is_file();
    let others = [Some(appended.into()), (!of_another).then(|| folder.join("model.json"))];
    let speaks = |path: &std::path::PathBuf| {
        let text = path.is_file().then(|| crate::files::read_text(path).ok()).flatten();
        let json = text.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
        json.is_some_and(|json| KEYS.iter().any(|key| json.get(key).is_some()))
    };
    let misnamed = others.into_iter().flatten().find(speaks).filter(|_| !own.is_file());
    misnamed.map_or(Ok(()), |path| {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let expected = format!(
            "{}, the name that {} is read with: mv {} {}",
            name(own),
            name(model),
            path.display(),
            own.display()
        );
        Err(Error::input(
            path.display(),
            "name",
            format!("{}, which would not be read", name(&path)),
            expected,
        ))
    })
}

impl Beside {
    /// The file beside `model`, if there is one that is about it.
    pub(super) fn read(model: &Path) -> Result<Self> {
        let folder = model.parent().unwrap_or(Path::new(""));
        let own = model.with_extension("json");
        let shared = folder.join("config.json");
        refuse_misnamed(model, &own)?;
        let silent = Self { file: own.display().to_string(), ..Self::default() };
        let Some(path) = [own, shared].into_iter().find(|path| path.is_file()) else {
            return Ok(silent);
        };
        let text = crate::files::read_text(&path)?;
        let given: Result<serde_json::Value, _> = serde_json::from_str(&text);
        // A folder's configuration may be that of the model it was exported from, in words of its own.
        if let Ok(value) = &given
            && !path.with_extension("onnx").is_file()
            && ["architectures", "model_type", "architecture"].iter().any(|key| value.get(key).is_some())
        {
            let exported_scaling = prepared(value, "mean", "std").or_else(|| preprocessor(folder));
            return Ok(Self { exported_names: names_of_others(value), exported_scaling, ..silent });
        }
        let read: Self = serde_json::from_str(&text).map_err(|e| {
            let expected =
                "class_names, head, input_scaling, output, dimensions, inputs, features, channels, training";
            Error::input(path.display(), format!("line {}", e.line()), e.to_string(), expected)
        })?;
        Ok(Self { file: path.display().to_string(), ..read })
    }

    /// With what a study says in the place of its own.
    pub(super) fn with(mut self, supplied: &Supplied) -> Self {
        self.dimensions.extend(supplied.dimensions.clone());
        self.inputs.extend(supplied.inputs.clone());
        self
    }
}

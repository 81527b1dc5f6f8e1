//! Classes that are given to a model of findings: the lines that make findings of them.

use crate::data::{Dataset, Source, labels};
use crate::models::Model;
use crate::models::onnx::Ending;

/// What mends classes for a model of findings: the same labels as findings, or outputs that exclude each other, where its graph leaves that open.
pub(super) fn mend(source: &Source, model: &Model, data: &Dataset) -> String {
    let outputs = model.config.classes();
    let mut text = format!(
        "{outputs} findings a sample, as the model's sigmoid head has: `label = [COLUMN, ...]` in `columns` of a manifest, or an array of \
         {outputs} values a sample (`np.eye({outputs})[y]` of classes)"
    );
    let archive = matches!(source, Source::Path(path) if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz")));
    let answers = data.counts().iter().skip(2).all(|&count| count == 0);
    if archive && answers {
        let numbered = data.classes.iter().enumerate().all(|(at, name)| *name == at.to_string());
        let quoted: Vec<String> = data.classes.iter().map(|name| labels::quoted(name)).collect();
        let names =
            if numbered { format!("`classes = [{}]` and ", quoted.join(", ")) } else { String::new() };
        let last = quoted.last().map_or("", String::as_str);
        text += &format!(
            "; or, if 1 is one output's finding, that output in the [[data]] table, the last: {names}`findings = [{last}]`"
        );
    }
    if model.network().and_then(|network| network.ending) != Some(Ending::Sigmoid) {
        text +=
            "; head = \"softmax\" in the [[model]] table makes its outputs classes that exclude each other";
    }
    text
}

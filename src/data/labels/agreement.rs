//! Names of a model beside those of its data.

use super::{same, sides};
use crate::data::Remark;
use crate::{Error, Result};

/// `0 normal, 1 pneumonia`.
pub fn mapping(names: &[String]) -> String {
    let pairs: Vec<String> = names.iter().enumerate().map(|(at, name)| format!("{at} {name}")).collect();
    pairs.join(", ")
}

/// What the names of a model and of its data have to do with each other: the same name must be the same output.
///
/// # Errors
/// A name of the data that is another output's in the model.
pub fn agree(model: &[String], data: &[String], file: &str) -> Result<Vec<Remark>> {
    // The only name of a single output is its second class's.
    let (of_model, of_data) = (beside(model, data.len()), beside(data, model.len()));
    let (model, data) = (&of_model[..], &of_data[..]);
    if model.len() != data.len() {
        return Ok(Vec::new());
    }
    let elsewhere =
        |(at, name): &(usize, &String)| !same(&model[*at], name) && model.iter().any(|own| same(own, name));
    if let Some((at, name)) = data.iter().enumerate().find(elsewhere) {
        let place = format!("class {at}");
        let expected = format!("the names in the order of the model's outputs: {}", mapping(model));
        return Err(Error::input(file, place, format!("`{name}` (classes {})", mapping(data)), expected));
    }
    let numbers = |names: &[String]| names.iter().enumerate().all(|(at, name)| *name == at.to_string());
    let numbered = numbers(model) || numbers(data);
    let other = |(own, name): &(&String, &String)| !same(own, name);
    let differ: Vec<String> = model
        .iter()
        .zip(data)
        .filter(other)
        .map(|(own, name)| format!("`{own}` is `{name}` in the data"))
        .collect();
    Ok(if numbered || differ.is_empty() {
        vec![]
    } else {
        vec![Remark::note(format!("other names: {}", differ.join(", ")))]
    })
}

/// The names themselves; of the one name of a single output beside two, that of either side.
fn beside(names: &[String], others: usize) -> Vec<String> {
    match names {
        [present] if others == 2 => sides(present),
        names => names.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_same_name_is_the_same_output_of_model_and_data() {
        let names = |names: [&str; 2]| names.map(str::to_string);
        let model = names(["normal", "pneumonia"]);
        assert!(agree(&model, &names(["pneumonia", "normal"]), "d").is_err());
        assert_eq!(agree(&model, &names(["Normal", "pneumonia"]), "d").unwrap(), []);
        assert_eq!(agree(&model, &names(["0", "1"]), "d").unwrap(), []);
        let one = |name: &str| vec![name.to_string()];
        assert!(agree(&one("pneumonia"), &names(["pneumonia", "normal"]), "d").is_err());
        assert!(agree(&names(["pneumonia", "normal"]), &one("pneumonia"), "d").is_err());
        assert!(agree(&one("pneumonia"), &names(["normal", "pneumonia"]), "d").is_ok());
        assert!(agree(&model, &one("pneumonia"), "d").is_ok());
        assert_eq!(agree(&model, &names(["normal", "abnormal"]), "d").unwrap().len(), 1);
    }
}

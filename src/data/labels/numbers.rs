//! Labels that are numbers: places of outputs from 0, unless they are known as names.

use super::{Classes, Known, Outputs, Place, mends};
use crate::Result;
use crate::data::Remark;
use crate::data::check::MAX_CLASSES;

/// The flag of data whose numbers may count from 1.
const FROM_1: &str = "labels-from-1";
/// Lines that rename more classes than these are not written out.
const WRITTEN_OUT: usize = 60;

/// The class of every number.
///
/// # Errors
/// A number that is neither a place nor a name; numbers that could be either.
pub(super) fn classes(values: &[f64], known: &Known, place: &Place) -> Result<Classes> {
    let as_number = |name: &String| name.trim().parse::<f64>().ok();
    let by_name = |value: &f64| known.names.iter().position(|name| as_number(name) == Some(*value));
    let numerals = known.names.iter().filter_map(as_number).enumerate();
    // Names that say nothing but their own place are no names; nor is the only one of a single output, which is its second class's.
    let single = known.names.len() == 1 && known.outputs.is_none_or(|outputs| outputs.count == 1);
    let renumbered = !single && numerals.filter(|&(at, number)| at as f64 != number).count() > 0;
    if !renumbered {
        return places(values, known, place);
    }
    let named: Option<Vec<usize>> = values.iter().map(by_name).collect();
    let count = known.names.len();
    let placed = values.iter().all(|value| value.fract() == 0.0 && (0.0..count as f64).contains(value));
    match named {
        // What the study says of these very data holds; names of a model may be meant for something else.
        Some(_) if placed && !known.of_data => {
            let found = format!("{}, which may be names as well as places of outputs", spread(values));
            let names: Vec<&str> = known.names.iter().map(String::as_str).collect();
            let numbers: Vec<String> = (0..count).map(|at| at.to_string()).collect();
            let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
            let expected = format!(
                "a line in the [[data]] table: {} if they are the model's names, {} if they are places from 0",
                mends::line(&names),
                mends::line(&numbers)
            );
            Err(place.error(found, expected))
        }
        Some(named) => {
            let told = |(at, name): (usize, &String)| format!("{name} is output {at}");
            let names: Vec<String> = known.names.iter().enumerate().map(told).collect();
            let text = format!("numbers of {} are names: {}", place.column, names.join(", "));
            let labels = named.iter().map(|&class| class as u32).collect();
            Ok(Classes { labels, names: known.all_names(0), remarks: vec![Remark::note(text)] })
        }
        None if known.of_data => {
            let at = values.iter().position(|value| by_name(value).is_none()).unwrap_or(0);
            let expected = format!("one of the names that `classes` says: {}", known.names.join(", "));
            Err(place.error_at(at, values[at], expected))
        }
        None => places(values, known, place),
    }
}

/// Labels that are places of outputs.
fn places(values: &[f64], known: &Known, place: &Place) -> Result<Classes> {
    let most = match (&known.names[..], known.outputs) {
        (_, Some(outputs)) => outputs.classes(),
        ([], None) => MAX_CLASSES,
        (names, None) => known.all_names(0).len().max(names.len()),
    };
    let fits = |value: &f64| value.fract() == 0.0 && (0.0..most as f64).contains(value);
    if let Some(at) = values.iter().position(|value| !fits(value)) {
        let names = match &known.names[..] {
            [] => String::new(),
            names => format!(" ({})", mends::list(&names.iter().map(String::as_str).collect::<Vec<_>>())),
        };
        let expected = format!("a class by its number, from 0 to {}{names}{}", most - 1, mend(values, most));
        return Err(place.error_at(at, values[at], expected));
    }
    let labels: Vec<u32> = values.iter().map(|&value| value as u32).collect();
    let largest = labels.iter().max().map_or(0, |&most| most as usize);
    let names = known.all_names(largest + 1);
    let remarks = from_one(&labels, largest, known, place)?;
    Ok(Classes { labels, names, remarks })
}

/// Refuses numbers as names of folders where torchvision's `ImageFolder` counts them in another order: as texts, 10 stands before 2.
///
/// # Errors
/// More than ten classes, without a name that says which is which.
pub fn folders_in_order(names: &[String], known: &Known, place: &Place) -> Result<()> {
    let Some(classes) = known.outputs.map(Outputs::classes) else { return Ok(()) };
    let is_place = |name: &String| {
        name.parse::<usize>().is_ok_and(|number| number < classes && number.to_string() == *name)
    };
    if classes <= 10 || !known.names.is_empty() || known.unordered || !names.iter().all(is_place) {
        return Ok(());
    }
    let by_number: Vec<String> = (0..classes).map(|number| number.to_string()).collect();
    let mut by_text = by_number.clone();
    by_text.sort();
    let line = |names: &[String]| match names.len() > WRITTEN_OUT {
        true => "classes = [...] with all names in that order".to_string(),
        false => mends::line(&names.iter().map(String::as_str).collect::<Vec<_>>()),
    };
    let found = format!("numbers of {classes} classes, whose order as texts is another");
    let expected = format!(
        "a line in [[data]]: {} if the model was trained on torchvision's ImageFolder (order of texts); {} if each number is its output",
        line(&by_text),
        line(&by_number)
    );
    Err(place.error(found, expected))
}

/// What is said of numbers of which none is 0: they may count from 1.
fn from_one(labels: &[u32], largest: usize, known: &Known, place: &Place) -> Result<Vec<Remark>> {
    let classes = known.outputs.map_or(largest + 1, Outputs::classes);
    let doubtful = classes > 2 && !labels.contains(&0) && !known.of_data && !known.unordered;
    if !doubtful || labels.is_empty() {
        return Ok(Vec::new());
    }
    let least = labels.iter().min().copied().unwrap_or(0);
    let line = |first: usize, count: usize| {
        let names: Vec<String> = (first..first + count).map(|name| name.to_string()).collect();
        mends::line(&names.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let found = format!("numbers from {least} to {largest}, none of them 0");
    if known.outputs.is_none() && known.names.is_empty() {
        // A model that is trained would get an output that no sample has.
        let expected = format!(
            "a line in the table of these data: {} if they count from 1, {} if they count from 0",
            line(1, largest),
            line(0, largest + 1)
        );
        return Err(place.error(found, expected));
    }
    let text = format!(
        "{}: {found}, taken as outputs counted from 0. If output 0 is 1 here: {} in [[data]]; if not: {}",
        place.column,
        line(1, classes),
        line(0, classes)
    );
    Ok(vec![Remark::warning(FROM_1, text)])
}

/// What mends numbers that are no places.
fn mend(values: &[f64], classes: usize) -> String {
    let mut distinct = values.to_vec();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    if values.iter().all(|value| (0.0..=1.0).contains(value)) {
        return "; probabilities become classes by `y >= 0.5`".into();
    }
    if distinct.iter().any(|value| value.fract() != 0.0) {
        return String::new();
    }
    let counted: Vec<f64> = (1..=classes).map(|number| number as f64).collect();
    let renamed = match distinct.first().zip(distinct.last()) {
        Some((first, last)) if *first >= 1.0 && *last == classes as f64 => counted,
        _ if distinct.len() == classes => distinct,
        _ if classes == 2 && distinct.first().is_some_and(|least| *least >= 0.0) => {
            return "; grades become two classes in the file, by `grade >= 2` or where the model was trained to part them".into();
        }
        _ => return String::new(),
    };
    if renamed.len() > WRITTEN_OUT {
        return format!(", or numbers from 0: subtract {}", renamed[0]);
    }
    let names: Vec<String> = renamed.iter().map(f64::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!(", or, if {} is output 0 and so on, in the [[data]] table {}", names[0], mends::line(&names))
}

fn spread(values: &[f64]) -> String {
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    format!("numbers from {low} to {high}")
}

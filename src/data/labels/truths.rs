//! Labels that answer yes or no. Which class `yes` is, only two classes that call themselves so can say.

use super::mends::{line, quoted};
use super::{Classes, Known, Place, mapping, same};
use crate::Result;
use crate::data::Remark;

/// Words for no and yes, as files write them.
const PAIRS: [[&str; 2]; 8] = [
    ["false", "true"],
    ["no", "yes"],
    ["n", "y"],
    ["f", "t"],
    ["negative", "positive"],
    ["neg", "pos"],
    ["absent", "present"],
    ["-", "+"],
];
/// Names of the class that is there where nothing is found.
const NEGATIVE: [&str; 19] = [
    "normal",
    "norm",
    "negative",
    "neg",
    "no finding",
    "no findings",
    "nofinding",
    "uninfected",
    "unremarkable",
    "healthy",
    "control",
    "controls",
    "absent",
    "no",
    "none",
    "benign",
    "other",
    "false",
    "unaffected",
];
/// What such names begin with.
const NEGATING: [&str; 8] = ["no ", "no_", "no-", "not ", "not_", "non-", "non ", "without "];
/// What the names of a negative finding begin with: `negative for pneumonia`, `normal sinus rhythm`.
const FREE: [&str; 2] = ["normal ", "negative "];

/// The answers of texts that all are words of one pair: yes is true. A single letter may stand for anything, unless the other is there, too.
pub(super) fn answers(texts: &[String]) -> Option<([&'static str; 2], Vec<bool>)> {
    PAIRS.into_iter().find_map(|pair| {
        let answer = |text: &String| pair.iter().position(|word| same(word, text)).map(|at| at == 1);
        let answers = texts.iter().map(answer).collect::<Option<Vec<bool>>>()?;
        let both = answers.contains(&true) && answers.contains(&false);
        (both || pair[0].len() > 1).then_some((pair, answers))
    })
}

/// Whether a word of any pair says yes.
pub fn yes_or_no(text: &str) -> Option<bool> {
    let said = |pair: &[&str; 2]| pair.iter().position(|word| same(word, text)).map(|at| at == 1);
    PAIRS.iter().find_map(said)
}

/// Which of two classes `yes` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yes {
    /// The second: a single output, or the names say it.
    Second,
    /// The second, since nobody says otherwise.
    Assumed,
    /// The names of the classes do not say it, or there are more than two.
    Unclear,
}

impl Yes {
    /// What is known of it.
    pub fn of(known: &Known) -> Self {
        let numbered = known.names.iter().enumerate().all(|(at, name)| name.trim() == at.to_string());
        let single = known.names.len() == 1 || known.outputs.is_some_and(|outputs| outputs.count == 1);
        match (&known.names[..], known.outputs) {
            (_, Some(outputs)) if outputs.classes() > 2 => Self::Unclear,
            // A single output that is high where nothing is found.
            (_, _) if single && nothing_found(&known.all_names(2)) == Some(1) => Self::Unclear,
            (_, _) if single => Self::Second,
            (_, _) if numbered => Self::Assumed,
            ([no, yes], _) if is_negative(no) && !is_negative(yes) => Self::Second,
            _ => Self::Unclear,
        }
    }
}

/// The one class that calls itself the one where nothing is found; `None` where none does, or several do.
pub fn nothing_found(names: &[String]) -> Option<usize> {
    let mut negative = names.iter().enumerate().filter(|(_, name)| is_negative(name)).map(|(at, _)| at);
    let first = negative.next()?;
    negative.next().is_none().then_some(first)
}

/// Whether a name says that nothing is found: `normal`, `No Finding`; `not normal` says that something is.
pub fn is_negative(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let negated = NEGATING.iter().find_map(|word| name.strip_prefix(word));
    NEGATIVE.contains(&name.as_str())
        || FREE.iter().any(|word| name.starts_with(word))
        || negated.is_some_and(|rest| !is_negative(rest) || rest.trim() == "other")
}

/// The class of every answer; `pair` is how the file writes no and yes.
///
/// # Errors
/// More than two classes; two of which neither says that it is the one where nothing is found, with the lines that say which is which.
pub(super) fn classes(answers: &[bool], pair: [&str; 2], known: &Known, place: &Place) -> Result<Classes> {
    let [no, yes] = pair;
    let found = format!("answers, {no} and {yes}");
    let names = known.all_names(2);
    if names.len() > 2 {
        let expected = format!("a class by its name or its number, one of {}", mapping(&names));
        return Err(place.error(found, expected));
    }
    let as_is = Yes::of(known);
    // `true` and `false` are numbers by custom; other words are names.
    let custom = no == "false" || known.unordered;
    if as_is == Yes::Unclear || (as_is == Yes::Assumed && !custom) {
        let named = |at: usize| match known.names.is_empty() {
            false => format!("`{}`", names[at]),
            true => known.unnamed(at),
        };
        let expected = format!(
            "a line in the [[data]] table of the study (of a TRAIN.toml: in [data]) that says what {} is: {} if it is {}, {} if it is {}",
            quoted(yes),
            line(&[yes, no]),
            named(0),
            line(&[no, yes]),
            named(1)
        );
        return Err(place.error(found, expected));
    }
    let text = match &known.names[..] {
        [] => format!("{yes} of {} is {}, {no} is {}", place.column, known.unnamed(1), known.unnamed(0)),
        _ => format!("{yes} of {} is {}, {no} is {}", place.column, names[1], names[0]),
    };
    let remarks = if known.unordered { Vec::new() } else { vec![Remark::note(text)] };
    Ok(Classes { labels: answers.iter().map(|&yes| u32::from(yes)).collect(), names, remarks })
}

#[cfg(test)]
mod tests {
    use super::super::Outputs;
    use super::*;

    #[test]
    fn a_letter_alone_answers_nothing() {
        let texts = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        assert_eq!(answers(&texts(&["Y", "n", "y"])), Some((["n", "y"], vec![true, false, true])));
        assert_eq!(answers(&texts(&["No", "no"])), Some((["no", "yes"], vec![false, false])));
        for words in [&["N", "N"][..], &["F"], &["F", "M"], &["yes", "true"], &["+"]] {
            assert_eq!(answers(&texts(words)), None, "{words:?}");
        }
    }

    #[test]
    fn yes_is_the_second_class_only_where_names_or_outputs_say_so() {
        let two = |names: &[&str]| Known {
            outputs: Some(Outputs { count: 2, findings: false }),
            ..Known::named(names)
        };
        let one = |names: &[&str]| Known {
            outputs: Some(Outputs { count: 1, findings: false }),
            ..Known::named(names)
        };
        for (known, right) in [
            (two(&["normal", "pneumonia"]), Yes::Second),
            (two(&["no PE", "PE"]), Yes::Second),
            (two(&["NORM", "MI"]), Yes::Second),
            (two(&["normal", "not normal"]), Yes::Second),
            (two(&["pneumonia", "normal"]), Yes::Unclear),
            (two(&["melanoma", "nevus"]), Yes::Unclear),
            (two(&["normal", "healthy"]), Yes::Unclear),
            (two(&[]), Yes::Assumed),
            (two(&["0", "1"]), Yes::Assumed),
            (Known::named(&["normal", "pneumonia"]), Yes::Second),
            (one(&["PE"]), Yes::Second),
            (one(&["no PE"]), Yes::Unclear),
            (one(&["normal"]), Yes::Unclear),
            (one(&["not normal"]), Yes::Second),
            (one(&["PE", "Negative for PE"]), Yes::Unclear),
            (one(&[]), Yes::Second),
            (Known::named(&["healthy"]), Yes::Unclear),
            (
                Known { outputs: Some(Outputs { count: 3, findings: false }), ..Known::default() },
                Yes::Unclear,
            ),
        ] {
            assert_eq!(Yes::of(&known), right, "{:?}", known.names);
        }
    }
}

//! Lines to be pasted that say what labels mean. No file knows the order of a model's outputs, so that no line says one as if it were true.

use super::{Known, Outputs, same};

/// More names than this are not listed in an error.
const LISTED: usize = 60;
/// More outputs than this are not written out in a line.
const WRITTEN_OUT: usize = 8;
/// A class that the file shows nothing of, in a line to be pasted.
const UNSEEN: &str = "other";
/// Where lines go.
const WHERE: &str = "in the [[data]] table of the study (of a TRAIN.toml: in [data])";
/// What may say it instead.
fn own(known: &Known) -> String {
    let file = known.configuration.as_deref().unwrap_or("the model's own configuration");
    format!("or \"class_names\" in {file}")
}

/// `classes = ["normal", "pneumonia"]`.
pub(super) fn line(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    format!("classes = [{}]", quoted.join(", "))
}

/// A name as TOML writes it.
pub fn quoted(name: &str) -> String {
    toml::Value::from(name).to_string()
}

/// Names one after the other, the first of them if they are many.
pub fn list(names: &[&str]) -> String {
    match names.len() {
        n if n > LISTED => format!("{}, ... ({n})", names[..LISTED].join(", ")),
        _ => names.join(", "),
    }
}

/// What says the order of these names where nobody does: of two both lines, of more a line with places to be filled in.
pub(super) fn order(found: &[&str], known: &Known) -> String {
    let outputs = known.outputs.map_or(found.len().max(2), Outputs::classes).max(known.names.len());
    let mut names: Vec<&str> = found.to_vec();
    if names.len() == 1 && outputs == 2 {
        names.push(UNSEEN);
    }
    let own = own(known);
    match (&known.names[..], &names[..]) {
        // The positive class of a single output is known: the other name is what stands before it.
        ([positive], &[a, b]) if same(a, positive) != same(b, positive) => {
            let (no, yes) = if same(a, positive) { (b, a) } else { (a, b) };
            format!("a line {WHERE} with both classes, the positive one last: {}", line(&[no, yes]))
        }
        (_, &[a, b]) if outputs == 2 => {
            let (one, other) = (line(&[a, b]), line(&[b, a]));
            format!("a line {WHERE} that says which output is which: {one} or {other}; {own}")
        }
        _ => format!(
            "a line {WHERE} with a name in the place of each OUTPUT, in the model's order, which this file does not know: {}; {own}",
            to_fill(&vec![None; outputs])
        ),
    }
}

/// `classes = [OUTPUT 0, "mel", OUTPUT 2]`: what is not known stays to be filled in, and no TOML until then.
fn to_fill(names: &[Option<&str>]) -> String {
    let shown = |(at, name): (usize, &Option<&str>)| name.map_or_else(|| format!("OUTPUT {at}"), quoted);
    let mut all: Vec<String> = names.iter().enumerate().map(shown).collect();
    if all.len() > WRITTEN_OUT && names.iter().all(Option::is_none) {
        let last = all.pop().unwrap_or_default();
        all.truncate(2);
        all.extend(["...".to_string(), last]);
    }
    format!("classes = [{}]", all.join(", "))
}

/// The line for data that call some of the model's classes otherwise: names that both have stand where the model has them.
pub(super) fn other_names(found: &[&str], known: &Known) -> String {
    let unknown: Vec<&str> =
        found.iter().copied().filter(|name| !known.names.iter().any(|own| same(own, name))).collect();
    let has = |own: &String| found.iter().any(|name| same(own, name));
    let open = known.names.iter().filter(|own| !has(own)).count();
    if unknown.len() > open || known.names.len() > LISTED {
        return "data without it: the model has no output left for that name".into();
    }
    let kept: Vec<Option<&str>> = known.names.iter().map(|own| has(own).then_some(own.as_str())).collect();
    // The names that are unknown, the last first, in the places that are open.
    let filled = |fill: [&str; 2]| -> String {
        let mut fill = fill.to_vec();
        let name = |(kept, own): (&Option<&str>, &String)| {
            kept.map_or_else(|| fill.pop().unwrap_or(own).to_string(), str::to_string)
        };
        let names: Vec<String> = kept.iter().zip(&known.names).map(name).collect();
        line(&names.iter().map(String::as_str).collect::<Vec<_>>())
    };
    match (&unknown[..], open) {
        (&[name], 1) => {
            let own = known.names.iter().find(|own| !has(own)).map_or("", String::as_str);
            format!("a line {WHERE}, if `{name}` is what these data call `{own}`: {}", filled([name; 2]))
        }
        // Of two classes either may be meant.
        (&[name], 2) if known.names.len() == 2 => {
            let [first, second] = [&known.names[0], &known.names[1]];
            let (one, other) = (line(&[name, second.as_str()]), line(&[first.as_str(), name]));
            format!("a line {WHERE}: {one} if `{name}` is `{first}`, {other} if it is `{second}`")
        }
        (&[a, b], 2) => {
            let own: Vec<&String> = known.names.iter().filter(|own| !has(own)).collect();
            let (one, other) = (filled([b, a]), filled([a, b]));
            format!("a line {WHERE}: {one} if `{a}` is `{}`, {other} if `{b}` is", own[0])
        }
        _ => format!(
            "a line {WHERE} that says what these data call each output of the model ({}), a name in the place of each OUTPUT: {}",
            known.names.join(", "),
            to_fill(&kept)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_says_an_order_that_nobody_knows() {
        let seven = Known { outputs: Some(Outputs { count: 3, findings: false }), ..Known::default() };
        let text = order(&["bkl", "mel", "nv"], &seven);
        assert!(text.contains("classes = [OUTPUT 0, OUTPUT 1, OUTPUT 2]"), "{text}");
        assert!("classes = [OUTPUT 0, OUTPUT 1]".parse::<toml::Table>().is_err());
        let names: Vec<String> = (0..14).map(|k| format!("f{k}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(order(&names, &Known::default()).contains("[OUTPUT 0, OUTPUT 1, ..., OUTPUT 13]"));
        let some = order(&["bkl", "mel"], &seven);
        assert!(some.contains("[OUTPUT 0, OUTPUT 1, OUTPUT 2]"), "{some}");
    }

    #[test]
    fn other_names_stand_where_the_model_has_them_and_two_in_either_order() {
        let known = Known::named(&["pneumonia", "normal"]);
        let text = other_names(&["no", "yes"], &known);
        assert!(text.contains("classes = [\"no\", \"yes\"] if `no` is `pneumonia`"), "{text}");
        assert!(text.contains("classes = [\"yes\", \"no\"] if `yes` is"), "{text}");
        let one = other_names(&["abnormal", "normal"], &known);
        assert!(
            one.contains(
                "if `abnormal` is what these data call `pneumonia`: classes = [\"abnormal\", \"normal\"]"
            ),
            "{one}"
        );
        let three = Known::named(&["a", "b", "c", "d"]);
        assert!(
            other_names(&["a", "x", "y", "z"], &three)
                .contains("classes = [\"a\", OUTPUT 1, OUTPUT 2, OUTPUT 3]")
        );
        assert!(other_names(&["a", "x"], &three).contains("classes = [\"a\", OUTPUT 1, OUTPUT 2, OUTPUT 3]"));
        assert!(other_names(&["a", "b", "u", "v", "w"], &three).contains("no output left"));
    }
}

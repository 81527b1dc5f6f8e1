//! Several names in one text, as Python or JSON write them: `['AF', 'LBBB']`, `{"NORM": 100.0, "SR": 0.0}`.

/// A name, and what stands behind its colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Without its quotes.
    pub name: String,
    /// Of a dictionary's entry.
    pub value: Option<String>,
}

/// The entries of a list or dictionary in their order, but for empty ones and Python's and JSON's words for nothing; `None` of any other text.
pub fn statements(text: &str) -> Option<Vec<Statement>> {
    let text = text.trim();
    let inner = |open, close| text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    let inside = inner('{', '}').or_else(|| inner('[', ']'))?;
    let entry = |part: &str| {
        let mut halves = outside_quotes(part, ':').into_iter();
        let written = halves.next()?.trim().to_string();
        if written.is_empty() || ["nan", "none", "null"].contains(&written.to_lowercase().as_str()) {
            return None;
        }
        let name = unquoted(&written);
        let value = halves.next().map(|value| unquoted(value.trim()));
        (!name.is_empty()).then_some(Statement { name, value })
    };
    Some(outside_quotes(inside, ',').into_iter().filter_map(entry).collect())
}

/// The names of a list such as `['AF', 'LBBB']`; `None` of any other text, a dictionary too.
pub fn listed(text: &str) -> Option<Vec<String>> {
    let list = text.trim().starts_with('[');
    statements(text).filter(|_| list).map(|all| all.into_iter().map(|one| one.name).collect())
}

/// The parts of a text between the separators that stand in no quotes.
fn outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0, None);
    for (at, letter) in text.char_indices() {
        match quote {
            Some(own) if letter == own => quote = None,
            Some(_) => {}
            // An apostrophe within a word opens nothing.
            None if matches!(letter, '\'' | '"') && text[start..at].trim().is_empty() => quote = Some(letter),
            None if letter == separator => {
                parts.push(&text[start..at]);
                start = at + letter.len_utf8();
            }
            None => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unquoted(text: &str) -> String {
    let bare = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    bare('\'').or_else(|| bare('"')).unwrap_or(text).trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_dictionaries_are_read_as_they_are_quoted() {
        let names = |text: &str| {
            statements(text).map(|all| all.into_iter().map(|one| one.name).collect::<Vec<String>>())
        };
        let some = |names: &[&str]| Some(names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
        assert_eq!(names("{'NORM': 100.0, 'SR': 0.0}"), some(&["NORM", "SR"]));
        assert_eq!(names("[\"AF\"]"), some(&["AF"]));
        assert_eq!(
            names("['opacity, left', \"Crohn's disease\", 'a: b']"),
            some(&["opacity, left", "Crohn's disease", "a: b"])
        );
        assert_eq!(names(" [loc right, cardiomegaly ] "), some(&["loc right", "cardiomegaly"]));
        assert_eq!(names("[nan, '', None]"), some(&[]));
        assert_eq!(names("[0, 0, 1]"), some(&["0", "0", "1"]));
        assert_eq!(names("{}"), some(&[]));
        assert_eq!(names("NORM"), None);
        assert_eq!(listed("{'NORM': 1}"), None);
        assert_eq!(statements("{'AF': 0}").map(|all| all[0].value.clone()), Some(Some("0".into())));
    }
}

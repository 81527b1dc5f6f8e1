//! What a user who mistyped a name may have meant.

/// The known name nearest to `found`, if there is one worth naming: a slip of the finger, or a word that begins alike.
pub(crate) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let found = found.to_lowercase();
    let slip = |word: &str| strsim::damerau_levenshtein(&found, word) <= (word.len() / 3).max(1);
    let closeness = |word: &str| {
        strsim::jaro_winkler(&found, word) + strsim::normalized_damerau_levenshtein(&found, word)
    };
    // The first of equally near words.
    let best = known.iter().rev().copied().max_by(|a, b| closeness(a).total_cmp(&closeness(b)));
    best.filter(|word| slip(word) || strsim::jaro_winkler(&found, word) > 0.7)
}

/// `; the nearest is "..."`, or nothing.
pub(crate) fn hint(found: &str, known: &[&str]) -> String {
    nearest(found, known).map_or(String::new(), |word| format!("; the nearest is \"{word}\""))
}

/// A list of what there is, with the nearest to `found`.
pub(crate) fn one_of(known: &[&str], found: &str) -> String {
    format!("one of {}{}", known.join(", "), hint(found, known))
}

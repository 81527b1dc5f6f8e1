//! Texts that are nearly numbers, or that stand for something which is neither a number nor a category: dates, `5 mg`, `120/80`, `(3.2)`.

use super::forms::{form, plain, plain_minus};

/// Marks that stand before numbers and are no letters: of currencies, of spreadsheets' texts.
const BEFORE: [&str; 8] = ["$", "€", "£", "~", "≈", "'", "=\"", "\""];
/// Different numbers that a column has at least if a common ending of its texts is a unit.
const DIFFERENT: usize = 3;

/// An example, if every text is a date, a time or both.
pub(super) fn dates<'a>(words: &[&'a str]) -> Option<&'a str> {
    words.first().copied().filter(|_| words.iter().all(|text| is_date(text)))
}

fn is_date(text: &str) -> bool {
    let numbers = |part: &str, mark: char, counts: std::ops::RangeInclusive<usize>| {
        let parts: Vec<&str> = part.split(mark).collect();
        counts.contains(&parts.len())
            && parts.iter().all(|p| (1..=4).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()))
    };
    let day = |part: &str| {
        ['-', '/', '.'].into_iter().any(|mark| numbers(part, mark, 3..=3)) || names_a_month(part)
    };
    let half = |part: &str| {
        ["am", "pm", "AM", "PM"]
            .iter()
            .find_map(|half| part.strip_suffix(half))
            .is_some_and(|clock| numbers(clock.trim_end(), ':', 1..=3))
    };
    let time = |part: &str| {
        let clock = part.trim_end_matches('Z').split(['+', '.']).next().unwrap_or_default();
        numbers(clock, ':', 2..=3) || half(part)
    };
    let both = text.split_once(['T', ' ']).is_some_and(|(date, clock)| day(date) && time(clock.trim()));
    both || day(text) || time(text)
}

/// `5-Jan-2024`, `Jan 5, 2024`, `5 March 24`: a month by its name between a day and a year.
fn names_a_month(text: &str) -> bool {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let parts: Vec<&str> = text.split([' ', '-', '/', '.', ',']).filter(|part| !part.is_empty()).collect();
    let month = |part: &str| {
        let start: String = part.chars().take(3).flat_map(char::to_lowercase).collect();
        part.len() <= 9 && part.chars().all(char::is_alphabetic) && MONTHS.contains(&start.as_str())
    };
    let number = |part: &&str| part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
    parts.len() == 3
        && parts.iter().filter(|part| month(part)).count() == 1
        && parts.iter().filter(|part| number(part)).count() == 2
}

/// What stands about the numbers of a column whose every text is one with something about it.
pub(super) fn marked(words: &[&str]) -> Option<&'static str> {
    let all = |is: &dyn Fn(&str) -> bool| !words.is_empty() && words.iter().all(|word| is(word));
    if all(&|word| {
        word.split_once('/').is_some_and(|(a, b)| plain(a.trim()).is_some() && plain(b.trim()).is_some())
    }) {
        return Some("two numbers in a cell");
    }
    let inner = |word: &str| {
        let word = BEFORE.iter().find_map(|mark| word.strip_prefix(mark))?;
        Some(word.trim_end_matches(['\'', '"']).trim().to_string())
    };
    if all(&|word| inner(word).is_some_and(|number| form(&number).is_some())) {
        return Some("numbers behind a mark");
    }
    // The same ending everywhere is a unit; `3a` and `3b` are categories.
    let ending = |word: &str| {
        word.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '+'))
            .to_string()
    };
    let unit = ending(words.first()?);
    let number = |word: &str| form(word.strip_suffix(unit.as_str())?.trim_end());
    let mut numbers: Vec<&str> = words.iter().filter(|word| number(word).is_some()).copied().collect();
    let complete = numbers.len() == words.len() && !unit.is_empty();
    numbers.sort_unstable();
    numbers.dedup();
    (complete && numbers.len() >= DIFFERENT).then_some("numbers with a unit")
}

/// The number that a text is once a habit of writing is taken off: `(3.2)` and `3.2-` are -3.2, `5.1*` and `5.1 H` are 5.1.
pub(super) fn rewritten(word: &str) -> Option<String> {
    let number = |text: &str| {
        form(text.trim()).filter(|form| form.limit.is_none()).map(|_| plain_minus(text.trim()).into_owned())
    };
    if let Some(inside) = word.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return number(inside).filter(|inside| !inside.starts_with('-')).map(|inside| format!("-{inside}"));
    }
    if let Some(before) = word.strip_suffix(['-', '\u{2212}']) {
        return number(before).filter(|before| !before.starts_with('-')).map(|before| format!("-{before}"));
    }
    let flag = word.trim_end_matches(['*', '#', '!', '†', 'H', 'L', 'h', 'l']);
    let quoted = word.trim_matches(['\'', '"', '=']);
    [flag, quoted].into_iter().filter(|text| text.len() < word.len()).find_map(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_about_numbers_is_found_and_categories_are_not() {
        for (words, found) in [
            (vec!["120/80", "95/60"], Some("two numbers in a cell")),
            (vec!["0 mg", "5 mg", "10 mg"], Some("numbers with a unit")),
            (vec!["4,5mmol/L", "3mmol/L", "10,25mmol/L"], Some("numbers with a unit")),
            (vec!["$5.20", "$3"], Some("numbers behind a mark")),
            (vec!["'9.08'", "'7'"], Some("numbers behind a mark")),
            (vec!["=\"9.08\"", "=\"7\""], Some("numbers behind a mark")),
            (vec!["1a", "2a"], None),
            (vec!["1a", "2b", "3a"], None),
            (vec!["type 1", "type 2", "type 3"], None),
            (vec!["10-20", "20-30", "30-40"], None),
            (vec!["male", "female"], None),
            (vec!["G1/G2", "G3"], None),
            (vec![], None),
        ] {
            assert_eq!(marked(&words), found, "{words:?}");
        }
    }

    #[test]
    fn dates_and_times_are_known_as_people_write_them() {
        for text in [
            "2021-03-04",
            "3/4/21 10:00",
            "5-Jan-2024",
            "Jan 5, 2024",
            "07-MAY-2023",
            "1:05 PM",
            "9pm",
            "2024-01-05T10:00:00Z",
        ] {
            assert!(is_date(text), "{text}");
        }
        for text in ["may", "5 mg", "stage 2 march", "120/80", "10-20", "Mar-2"] {
            assert!(!is_date(text), "{text}");
        }
    }

    #[test]
    fn habits_of_writing_are_taken_off() {
        for (word, number) in [
            ("(3.23)", Some("-3.23")),
            ("4.2-", Some("-4.2")),
            ("5.1*", Some("5.1")),
            ("5.1 H", Some("5.1")),
            ("'7", Some("7")),
            ("ND", None),
            ("H", None),
        ] {
            assert_eq!(rewritten(word).as_deref(), number, "{word}");
        }
    }
}

//! What a cell's text may mean as a number: `1.5`, `1,5`, `1,234`, `12 %`, `<0.5`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The mark before the decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decimal {
    /// `1.5`; commas may part thousands.
    #[serde(rename = ".")]
    Point,
    /// `1,5`; points may part thousands.
    #[serde(rename = ",")]
    Comma,
}

/// A cell that is a number in some reading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Form {
    /// Its value if the decimal mark is a point.
    pub point: Option<f64>,
    /// Its value if the decimal mark is a comma.
    pub comma: Option<f64>,
    /// Whether it is written as a program writes a number.
    pub plain: bool,
    /// `<`, `>`: the value is the limit of what could be measured.
    pub limit: Option<char>,
    /// Whether a per cent sign follows.
    pub percent: bool,
}

impl Form {
    /// The number by this mark.
    pub fn value(&self, decimal: Decimal) -> Option<f64> {
        match decimal {
            Decimal::Point => self.point,
            Decimal::Comma => self.comma,
        }
    }

    /// Whether the mark decides about the value, and either would do.
    pub fn ambiguous(&self) -> bool {
        self.point.is_some() && self.comma.is_some() && self.point != self.comma
    }
}

/// The readings of a text; `None` if it is no number in any.
pub fn form(text: &str) -> Option<Form> {
    if let Some(value) = plain(text) {
        // With a point in it, it is another number, or none, where commas are the decimal mark.
        let comma = match text.rsplit_once('.') {
            None => Some(value),
            Some((_, decimals)) if decimals.len() == 3 => separated(text, '.', ','),
            Some(_) => None,
        };
        return Some(Form { point: Some(value), comma, plain: true, ..Form::default() });
    }
    let (limit, rest) = limit(text);
    let (percent, rest) = match rest.strip_suffix('%') {
        Some(rest) => (true, rest.trim_end()),
        None => (false, rest),
    };
    let digits = without_gaps(rest)?;
    let point = plain(&digits).or_else(|| separated(&digits, ',', '.'));
    let comma = match digits.contains(['.', ',']) {
        true => separated(&digits, '.', ','),
        false => point,
    };
    (point.is_some() || comma.is_some()).then_some(Form { point, comma, plain: false, limit, percent })
}

/// A finite number as programs write it.
pub fn plain(text: &str) -> Option<f64> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// The sign of a limit of measurement before (`<0.5`, `>= 300`) or behind (`90+`) a number, and what is left.
fn limit(text: &str) -> (Option<char>, &str) {
    for (sign, means) in [("<=", '<'), (">=", '>'), ("<", '<'), (">", '>'), ("≤", '<'), ("≥", '>')] {
        if let Some(rest) = text.strip_prefix(sign) {
            return (Some(means), rest.trim_start());
        }
    }
    match text.strip_suffix('+') {
        Some(rest) => (Some('>'), rest.trim_end()),
        None => (None, text),
    }
}

/// The text with a plain minus before its digits.
pub(super) fn plain_minus(text: &str) -> Cow<'_, str> {
    let sign =
        text.chars().next().filter(|c| matches!(c, '\u{2212}' | '\u{2013}' | '\u{fe63}' | '\u{ff0d}' | '-'));
    let Some(sign) = sign else { return Cow::Borrowed(text) };
    let rest = text[sign.len_utf8()..].trim_start();
    match rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',')) {
        true => Cow::Owned(format!("-{}", rest.replace(['\u{2212}', '\u{2013}'], "-"))),
        false => Cow::Borrowed(text),
    }
}

/// The text with a plain minus and without the gaps between groups of three digits; `None` where gaps are elsewhere.
fn without_gaps(text: &str) -> Option<String> {
    let text = plain_minus(text).replace('\u{2212}', "-");
    let gap = |c: char| matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '’');
    if !text.contains(gap) {
        return Some(text);
    }
    let mut parts = text.split(gap);
    let first = parts.next()?.trim_start_matches(['+', '-']);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let rest: Vec<&str> = parts.collect();
    let (last, middle) = rest.split_last()?;
    let sound = digits(first)
        && first.len() <= 3
        && middle.iter().all(|part| part.len() == 3 && digits(part))
        && last.get(..3).is_some_and(digits)
        && last[3..].chars().next().is_none_or(|c| matches!(c, '.' | ','));
    sound.then(|| text.replace(gap, ""))
}

/// A number whose thousands are parted by `thousands` and whose decimals follow `decimal`.
fn separated(text: &str, thousands: char, decimal: char) -> Option<f64> {
    // One digit, decimals and an exponent: nothing else is parted there.
    if let Some((mantissa, exponent)) = text.split_once(['e', 'E']) {
        let (whole, decimals) = mantissa.split_once(decimal)?;
        let whole_digits = whole.trim_start_matches(['-', '+']);
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let sound = digits(whole_digits) && digits(decimals) && exponent.parse::<i32>().is_ok();
        return sound.then(|| plain(&format!("{whole}.{decimals}e{exponent}"))).flatten();
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (sign, body) = match text.strip_prefix('-') {
        Some(body) => ("-", body),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, decimals) = match body.split_once(decimal) {
        Some((whole, decimals)) if digits(decimals) => (whole, decimals),
        Some(_) => return None,
        None => (body, ""),
    };
    let mut groups = whole.split(thousands);
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    let grouped = rest.iter().all(|group| group.len() == 3 && digits(group));
    // `,5` is a half; a group before thousands has one to three digits and no leading zero.
    let starts = if rest.is_empty() {
        digits(first) || (first.is_empty() && !decimals.is_empty())
    } else {
        digits(first) && first.len() <= 3 && !first.starts_with('0')
    };
    if !(grouped && starts) {
        return None;
    }
    format!("{sign}{first}{}.{decimals}", rest.concat()).parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_text_has_the_readings_that_it_can_have() {
        let read = |text: &str| form(text).map(|f| (f.point, f.comma));
        for (text, point, comma) in [
            ("12", Some(12.0), Some(12.0)),
            ("1.5", Some(1.5), None),
            ("1,5", None, Some(1.5)),
            ("-,5", None, Some(-0.5)),
            ("1,234", Some(1234.0), Some(1.234)),
            ("1.234", Some(1.234), Some(1234.0)),
            ("0,234", None, Some(0.234)),
            ("1,234,567.5", Some(1_234_567.5), None),
            ("1.234,5", None, Some(1234.5)),
            ("1 234,5", None, Some(1234.5)),
            ("12 345", Some(12345.0), Some(12345.0)),
            ("1'234.5", Some(1234.5), None),
            ("\u{2212}3", Some(-3.0), Some(-3.0)),
            ("\u{2013}3.5", Some(-3.5), None),
            ("- 0.96", Some(-0.96), None),
            ("3,860e+03", None, Some(3860.0)),
            ("-1,5E-02", None, Some(-0.015)),
            ("1e5", Some(1e5), Some(1e5)),
            ("<0.5", Some(0.5), None),
            (">= 300", Some(300.0), Some(300.0)),
            ("90+", Some(90.0), Some(90.0)),
            ("12 %", Some(12.0), Some(12.0)),
        ] {
            assert_eq!(read(text), Some((point, comma)), "{text}");
        }
        for text in [
            "",
            "?",
            ".",
            "-",
            "3a",
            "inf",
            "nan",
            "12 34",
            "1,23,456",
            "2021-03-04",
            "1.2.3",
            "5 mg",
            "–",
            "5–10",
            "1.234,5e3",
            "<",
            "%",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

//! Outcome expressions such as `event == 1 && time <= 180`, over the columns of a table.
//!
//! Missing values spread as in SQL (Kleene's three-valued logic): `false && missing` is false, `true && missing` is
//! missing. Columns are named by themselves, or in backticks where a name is no plain word; texts stand in single or double quotes.
//! Beside an empty text, `dod != ''`, the question is whether there is a value at all, and the answer is never missing.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{Column, Table};
use crate::{Error, Result};

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    text: String,
    root: Node,
}

/// What an expression gives for a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// True or false.
    Truth(bool),
    /// It hangs on a missing value.
    Missing,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Literal(Value),
    Column(String),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Value(Value),
    Name(String),
    Symbol(&'static str),
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Value(value) => shown(value),
            Self::Name(name) => format!("the word `{name}`"),
            Self::Symbol(symbol) => format!("`{symbol}`"),
        }
    }
}

const SYMBOLS: [&str; 12] = ["==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "="];
/// Deeper nesting is refused, since the parser recurses.
const MAX_DEPTH: usize = 64;
/// A chain of `&&` becomes a tree as deep as it is long.
const MAX_TOKENS: usize = 1000;

impl Expression {
    /// Parses `text`; `file` and `place` say where it stands, for errors.
    ///
    /// # Errors
    /// What cannot be read as an expression.
    pub fn parse(text: &str, file: &str, place: &str) -> Result<Self> {
        let bad = |found: String| {
            let expected = "comparisons of columns with numbers or 'texts', joined by && || ! ( )";
            Error::input(file, place, format!("{found} in `{text}`"), expected)
        };
        let tokens = tokens(text).map_err(bad)?;
        if tokens.len() > MAX_TOKENS {
            return Err(bad(format!("{} words and signs", tokens.len())));
        }
        let mut parser = Parser { tokens, at: 0, depth: 0 };
        let root = parser.or().map_err(bad)?;
        match parser.peek() {
            None => Ok(Self { text: text.to_string(), root }),
            Some(token) => Err(bad(format!("{} too many", token.shown()))),
        }
    }

    /// The columns that it reads.
    pub fn columns(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.root, &mut names);
        names
    }

    /// The columns that are compared by `==` and `!=` alone, with the values that they are compared with, as texts.
    pub fn named_values(&self) -> BTreeMap<String, BTreeSet<String>> {
        let (mut named, mut ordered) = (BTreeMap::new(), BTreeSet::new());
        name_values(&self.root, &mut named, &mut ordered);
        named.retain(|column, _| !ordered.contains(column));
        named
    }

    /// The columns of which it is asked whether they have a value at all, by an empty text.
    pub fn asked_for_presence(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        name_asked(&self.root, &mut names);
        names
    }

    /// Its value for `row` of `table`.
    ///
    /// # Errors
    /// A column that the table lacks, and a comparison or connection of unlike things.
    pub fn value(&self, table: &Table, row: usize) -> Result<Value> {
        evaluate(&self.root, table, row).map_err(|(found, expected)| {
            Error::input(&table.file, format!("expression `{}`", self.text), found, expected)
        })
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut rest = text.trim_start();
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let taken = if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            tokens.push(Token::Symbol(if *symbol == "=" { "==" } else { symbol }));
            symbol.len()
        } else if let '\'' | '"' | '`' = first {
            let inside = rest[1..].split(first).next().unwrap_or_default();
            if rest.len() < inside.len() + 2 {
                return Err(format!("a {first} without its end"));
            }
            tokens.push(match first {
                '`' => Token::Name(inside.to_string()),
                _ => Token::Value(Value::Text(inside.to_string())),
            });
            inside.len() + 2
        } else if first.is_ascii_digit() || matches!(first, '-' | '.') {
            let is_number = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
            let end = rest.find(|c| !is_number(c)).unwrap_or(rest.len());
            let number = rest[..end].parse::<f64>().ok().filter(|n| n.is_finite());
            tokens.push(Token::Value(Value::Number(number.ok_or_else(|| format!("`{}`", &rest[..end]))?)));
            end
        } else if first.is_alphabetic() || first == '_' {
            let end =
                rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(rest.len());
            tokens.push(match &rest[..end] {
                "true" => Token::Value(Value::Truth(true)),
                "false" => Token::Value(Value::Truth(false)),
                name => Token::Name(name.to_string()),
            });
            end
        } else {
            return Err(format!("`{first}`"));
        };
        rest = rest[taken..].trim_start();
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

type Parsed = Result<Node, String>;

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn takes(&mut self, symbol: &'static str) -> bool {
        let found = self.peek() == Some(&Token::Symbol(symbol));
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Parsed {
        let mut left = self.and()?;
        while self.takes("||") {
            left = Node::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed {
        let mut left = self.comparison()?;
        while self.takes("&&") {
            left = Node::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.term()?;
        let comparison = match self.peek() {
            Some(Token::Symbol("==")) => Comparison::Equal,
            Some(Token::Symbol("!=")) => Comparison::Different,
            Some(Token::Symbol("<")) => Comparison::Less,
            Some(Token::Symbol("<=")) => Comparison::LessOrEqual,
            Some(Token::Symbol(">")) => Comparison::Greater,
            Some(Token::Symbol(">=")) => Comparison::GreaterOrEqual,
            _ => return Ok(left),
        };
        self.at += 1;
        Ok(Node::Compare(comparison, Box::new(left), Box::new(self.term()?)))
    }

    fn term(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} levels of ( or !"));
        }
        let node = self.term_at_depth();
        self.depth -= 1;
        node
    }

    fn term_at_depth(&mut self) -> Parsed {
        if self.takes("!") {
            return Ok(Node::Not(Box::new(self.term()?)));
        }
        if self.takes("(") {
            let inside = self.or()?;
            return if self.takes(")") { Ok(inside) } else { Err("a ( without its )".to_string()) };
        }
        let node = match self.peek() {
            Some(Token::Value(value)) => Node::Literal(value.clone()),
            Some(Token::Name(name)) => Node::Column(name.clone()),
            Some(Token::Symbol(symbol)) => return Err(format!("`{symbol}`")),
            None => return Err("an end".to_string()),
        };
        self.at += 1;
        Ok(node)
    }
}

fn collect(node: &Node, names: &mut Vec<String>) {
    match node {
        Node::Literal(_) => {}
        Node::Column(name) if names.contains(name) => {}
        Node::Column(name) => names.push(name.clone()),
        Node::Not(inside) => collect(inside, names),
        Node::And(a, b) | Node::Or(a, b) | Node::Compare(_, a, b) => {
            collect(a, names);
            collect(b, names);
        }
    }
}

fn name_asked(node: &Node, names: &mut BTreeSet<String>) {
    match node {
        Node::Literal(_) | Node::Column(_) => {}
        Node::Not(inside) => name_asked(inside, names),
        Node::Compare(comparison, a, b) => {
            if let Some(Node::Column(name)) = asked_for_presence(*comparison, a, b) {
                names.insert(name.clone());
            }
        }
        Node::And(a, b) | Node::Or(a, b) => [a, b].into_iter().for_each(|side| name_asked(side, names)),
    }
}

fn name_values(node: &Node, named: &mut BTreeMap<String, BTreeSet<String>>, ordered: &mut BTreeSet<String>) {
    match node {
        Node::Literal(_) => {}
        Node::Column(name) => {
            ordered.insert(name.clone());
        }
        Node::Not(inside) => name_values(inside, named, ordered),
        Node::Compare(Comparison::Equal | Comparison::Different, a, b) => match (&**a, &**b) {
            // Whether there is a value is no code.
            _ if asked_for_presence(Comparison::Equal, a, b).is_some() => {}
            (Node::Column(column), Node::Literal(value)) | (Node::Literal(value), Node::Column(column)) => {
                named.entry(column.clone()).or_default().extend(as_code(value));
            }
            _ => [a, b].into_iter().for_each(|side| name_values(side, named, ordered)),
        },
        Node::And(a, b) | Node::Or(a, b) | Node::Compare(_, a, b) => {
            [a, b].into_iter().for_each(|side| name_values(side, named, ordered));
        }
    }
}

/// A value as a code of an outcome: `True` and `False` are 1 and 0, as they compare.
pub(super) fn as_code(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::Text(text) if text.eq_ignore_ascii_case("true") => Some("1".into()),
        Value::Text(text) if text.eq_ignore_ascii_case("false") => Some("0".into()),
        Value::Text(text) => Some(text.clone()),
        Value::Truth(truth) => Some(u8::from(*truth).to_string()),
        Value::Missing => None,
    }
}

fn evaluate(node: &Node, table: &Table, row: usize) -> Result<Value, (String, String)> {
    match node {
        Node::Literal(value) => Ok(value.clone()),
        Node::Column(name) => match table.column(name) {
            Some(Column::Number(values)) => Ok(values[row].map_or(Value::Missing, Value::Number)),
            Some(Column::Category(values)) => Ok(values[row].clone().map_or(Value::Missing, Value::Text)),
            None => Err(table.lacks(name)),
        },
        Node::Not(inside) => Ok(match truth(evaluate(inside, table, row)?)? {
            Some(truth) => Value::Truth(!truth),
            None => Value::Missing,
        }),
        Node::And(a, b) => connect(a, b, table, row, false),
        Node::Or(a, b) => connect(a, b, table, row, true),
        Node::Compare(comparison, a, b) => match asked_for_presence(*comparison, a, b) {
            Some(column) => {
                let missing = evaluate(column, table, row)? == Value::Missing;
                Ok(Value::Truth(missing == (*comparison == Comparison::Equal)))
            }
            None => compare(*comparison, evaluate(a, table, row)?, evaluate(b, table, row)?),
        },
    }
}

/// The column that is compared with an empty text: an empty cell is a missing value.
fn asked_for_presence<'n>(comparison: Comparison, a: &'n Node, b: &'n Node) -> Option<&'n Node> {
    let empty = |node: &Node| matches!(node, Node::Literal(Value::Text(text)) if text.is_empty());
    let column = match (a, b) {
        (Node::Column(_), other) if empty(other) => a,
        (other, Node::Column(_)) if empty(other) => b,
        _ => return None,
    };
    matches!(comparison, Comparison::Equal | Comparison::Different).then_some(column)
}

/// `&&` is decided by one false, `||` by one true; else a missing side makes the whole missing.
fn connect(a: &Node, b: &Node, table: &Table, row: usize, decisive: bool) -> Result<Value, (String, String)> {
    let sides = [truth(evaluate(a, table, row)?)?, truth(evaluate(b, table, row)?)?];
    Ok(if sides.contains(&Some(decisive)) {
        Value::Truth(decisive)
    } else if sides.contains(&None) {
        Value::Missing
    } else {
        Value::Truth(!decisive)
    })
}

fn truth(value: Value) -> Result<Option<bool>, (String, String)> {
    match value {
        Value::Truth(truth) => Ok(Some(truth)),
        Value::Missing => Ok(None),
        other => Err((shown(&other), "a comparison, that is true or false".to_string())),
    }
}

/// Two values to compare: `True` and `False`, as programs write them, are 1 and 0 beside a 1 or a 0.
fn numbered(a: Value, b: Value) -> (Value, Value) {
    let bit = |value: &Value| matches!(value, Value::Number(number) if *number == 0.0 || *number == 1.0);
    let number = |value: Value| match &value {
        Value::Text(text) if text.eq_ignore_ascii_case("true") => Value::Number(1.0),
        Value::Text(text) if text.eq_ignore_ascii_case("false") => Value::Number(0.0),
        _ => value,
    };
    match (bit(&a), bit(&b)) {
        (false, true) => (number(a), b),
        (true, false) => (a, number(b)),
        _ => (a, b),
    }
}

/// A value as an error says it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => format!("the number {number}"),
        Value::Text(text) => format!("the text `{text}`"),
        Value::Truth(truth) => truth.to_string(),
        Value::Missing => "a missing value".into(),
    }
}

fn compare(comparison: Comparison, a: Value, b: Value) -> Result<Value, (String, String)> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let (a, b) = numbered(a, b);
    let order = match (&a, &b) {
        (Value::Missing, _) | (_, Value::Missing) => return Ok(Value::Missing),
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b).unwrap_or(Equal),
        (Value::Text(a), Value::Text(b))
            if matches!(comparison, Comparison::Equal | Comparison::Different) =>
        {
            a.cmp(b)
        }
        (Value::Text(text), Value::Number(number)) | (Value::Number(number), Value::Text(text)) => {
            let found = format!("the text `{text}` compared with the number {number}");
            return Err((
                found,
                format!(
                    "numbers in that column, or its texts in quotes and by == or !=, such as == '{text}'"
                ),
            ));
        }
        _ => {
            let found = format!("{} compared with {}", shown(&a), shown(&b));
            return Err((found, "two numbers, or two texts by == or !=".into()));
        }
    };
    Ok(Value::Truth(match comparison {
        Comparison::Equal => order == Equal,
        Comparison::Different => order != Equal,
        Comparison::Less => order == Less,
        Comparison::LessOrEqual => order != Greater,
        Comparison::Greater => order == Greater,
        Comparison::GreaterOrEqual => order != Less,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn values(expression: &str) -> Vec<Value> {
        let table = Table::from_csv("t", b"event,time,my sex\n1,10,M\n0,400,F\n1,,F\n,10,\n").unwrap();
        let parsed = Expression::parse(expression, "t", "outcome").unwrap();
        (0..4).map(|row| parsed.value(&table, row).unwrap()).collect()
    }

    #[test]
    fn missing_values_spread_only_where_they_matter() {
        use Value::{Missing, Truth};
        assert_eq!(values("event == 1 && time <= 180"), [Truth(true), Truth(false), Missing, Missing]);
        assert_eq!(values("event == 0 || time < 180"), [Truth(true), Truth(true), Missing, Truth(true)]);
        assert_eq!(values("!(`my sex` == 'F')"), [Truth(true), Truth(false), Truth(false), Missing]);
        assert_eq!(values("time >= -1.5e1 && `my sex` != \"F\"")[0], Truth(true));
    }

    #[test]
    fn true_and_false_are_one_and_zero_beside_a_number_and_texts_beside_texts() {
        use Value::{Missing, Truth};
        let table = Table::from_csv("t", b"y,z\nTrue,a\nFALSE,b\n,c\n").unwrap();
        let values = |text: &str| -> Vec<Value> {
            let parsed = Expression::parse(text, "t", "outcome").unwrap();
            (0..3).map(|row| parsed.value(&table, row).unwrap()).collect()
        };
        assert_eq!(values("y == 1"), [Truth(true), Truth(false), Missing]);
        assert_eq!(values("0 != y"), [Truth(true), Truth(false), Missing]);
        assert_eq!(values("y == 'True'"), [Truth(true), Truth(false), Missing]);
        let parsed = Expression::parse("z == 1", "t", "outcome").unwrap();
        let error = parsed.value(&table, 0).unwrap_err().to_string();
        assert!(error.contains("the text `a`") && error.contains("== 'a'"), "{error}");
    }

    #[test]
    fn an_empty_text_asks_whether_there_is_a_value() {
        use Value::Truth;
        let table = Table::from_csv("t", b"dod,n,x\n2021-03-04,1,a\n,,b\nNA,0,c\n").unwrap();
        let values = |text: &str| -> Vec<Value> {
            let parsed = Expression::parse(text, "t", "outcome").unwrap();
            (0..3).map(|row| parsed.value(&table, row).unwrap()).collect()
        };
        assert_eq!(values("dod != ''"), [Truth(true), Truth(false), Truth(false)]);
        assert_eq!(values("\"\" == n"), [Truth(false), Truth(true), Truth(false)]);
        assert_eq!(values("dod == '' || n == 1"), [Truth(true), Truth(true), Truth(true)]);
        let parsed = Expression::parse("dod != '' && x == 'a'", "t", "outcome").unwrap();
        assert_eq!(parsed.asked_for_presence().into_iter().collect::<Vec<_>>(), ["dod"]);
        assert_eq!(parsed.named_values().into_keys().collect::<Vec<_>>(), ["x"]);
        let parsed = Expression::parse("X == 'a'", "t", "outcome").unwrap();
        let error = parsed.value(&table, 0).unwrap_err().to_string();
        assert!(error.contains("no column `X`") && error.contains("expected `x`"), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        let long = "(".repeat(100_000);
        for text in ["", "event ==", "event == 1)", "(event == 1", "event ? 1", "a = 'x", "1e999 < 2", &long]
        {
            assert!(Expression::parse(text, "t", "outcome").is_err(), "{text}");
        }
        let table = Table::from_csv("t", b"event,sex\n1,F\n").unwrap();
        for text in ["sex > 1", "event && true", "nothing == 1", "sex < 'M'"] {
            let parsed = Expression::parse(text, "t", "outcome").unwrap();
            assert!(parsed.value(&table, 0).is_err(), "{text}");
        }
    }
}

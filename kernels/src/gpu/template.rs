//! WGSL templates: sizes placed as constants, repeated lines written out, alternatives chosen as text.
//!
//! A template is WGSL with directives in comment lines of their own: `//@for i in COUNT` .. `//@end` repeats its lines
//! with `{i}` replaced by 0, 1, ..; `//@if FLAG` .. `//@else` .. `//@end` keeps one side. `{NAME}` is replaced wherever
//! NAME is known. Text is unrolled here, and not left to drivers, because arrays of accumulators that a driver does not
//! unroll end up in memory.

use std::collections::BTreeMap;

/// A template with its values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    text: String,
    sizes: BTreeMap<String, usize>,
    flags: BTreeMap<String, bool>,
    words: BTreeMap<String, String>,
}

impl Template {
    /// A template of these texts, one after the other.
    pub(crate) fn new(texts: &[&str]) -> Self {
        Self { text: texts.join("\n"), ..Self::default() }
    }

    /// Sets numbers; each also becomes a `const NAME: u32` of the module.
    pub(crate) fn sizes(mut self, values: &[(&str, usize)]) -> Self {
        self.sizes.extend(values.iter().map(|&(name, value)| (name.to_owned(), value)));
        self
    }

    /// Sets what `//@if` asks.
    pub(crate) fn flags(mut self, values: &[(&str, bool)]) -> Self {
        self.flags.extend(values.iter().map(|&(name, value)| (name.to_owned(), value)));
        self
    }

    /// Sets a text that replaces `{name}`.
    pub(crate) fn word(mut self, name: &str, value: impl Into<String>) -> Self {
        self.words.insert(name.to_owned(), value.into());
        self
    }

    /// The WGSL module.
    pub(crate) fn render(self) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut words = self.words;
        let mut out = String::new();
        for (name, value) in &self.sizes {
            out += &format!("const {name}: u32 = {value}u;\n");
            words.insert(name.clone(), value.to_string());
        }
        let mut scope = Scope { sizes: &self.sizes, flags: &self.flags, words };
        scope.expand(&lines, &mut out);
        out
    }
}

struct Scope<'a> {
    sizes: &'a BTreeMap<String, usize>,
    flags: &'a BTreeMap<String, bool>,
    words: BTreeMap<String, String>,
}

impl Scope<'_> {
    fn expand(&mut self, lines: &[&str], out: &mut String) {
        let mut at = 0;
        while at < lines.len() {
            let line = lines[at];
            at += 1;
            let Some(directive) = line.trim_start().strip_prefix("//@") else {
                self.line(line, out);
                continue;
            };
            let end = block_end(lines, at);
            let body = &lines[at..end];
            at = end + 1;
            match directive.split_whitespace().collect::<Vec<_>>()[..] {
                ["for", name, "in", count] => self.repeat(name, count, body, out),
                ["if", flag] => {
                    let split = block_else(body);
                    let yes = &body[..split];
                    let no = body.get(split + 1..).unwrap_or(&[]);
                    let kept = if self.flag(flag) { yes } else { no };
                    self.expand(kept, out);
                }
                _ => unreachable!("template directive {directive:?}"),
            }
        }
    }

    fn repeat(&mut self, name: &str, count: &str, body: &[&str], out: &mut String) {
        let count = count.parse().unwrap_or_else(|_| self.sizes[count]);
        for i in 0..count {
            self.words.insert(name.to_owned(), i.to_string());
            self.expand(body, out);
        }
        self.words.remove(name);
    }

    fn flag(&self, name: &str) -> bool {
        match name.strip_prefix('!') {
            Some(name) => !self.flags[name],
            None => self.flags[name],
        }
    }

    fn line(&self, line: &str, out: &mut String) {
        let mut rest = line;
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            out.push_str(before);
            let word = after[1..].find('}').map(|close| &after[1..1 + close]);
            match word.and_then(|word| Some((word, self.words.get(word)?))) {
                Some((word, value)) => {
                    out.push_str(value);
                    rest = &after[word.len() + 2..];
                }
                None => {
                    out.push('{');
                    rest = &after[1..];
                }
            }
        }
        out.push_str(rest);
        out.push('\n');
    }
}

/// Index of the `//@end` that closes the block whose body begins at `at`.
fn block_end(lines: &[&str], at: usize) -> usize {
    let mut depth = 1;
    for (i, line) in lines.iter().enumerate().skip(at) {
        let line = line.trim_start();
        if line.starts_with("//@for") || line.starts_with("//@if") {
            depth += 1;
        } else if line.starts_with("//@end") {
            depth -= 1;
            if depth == 0 {
                return i;
            }
        }
    }
    unreachable!("template block without an end")
}

/// Index of the `//@else` of this very block, or the length.
fn block_else(body: &[&str]) -> usize {
    let mut depth = 0;
    for (i, line) in body.iter().enumerate() {
        let line = line.trim_start();
        if line.starts_with("//@for") || line.starts_with("//@if") {
            depth += 1;
        } else if line.starts_with("//@end") {
            depth -= 1;
        } else if line.starts_with("//@else") && depth == 0 {
            return i;
        }
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::Template;

    #[test]
    fn expands_loops_and_alternatives() {
        let text = "//@for i in N\nlet a{i} = {\n//@if V\nv{i}[{j}]\n//@else\ns\n//@end\n};\n//@end";
        let out = Template::new(&[text]).sizes(&[("N", 2)]).flags(&[("V", true)]).render();
        assert_eq!(out, "const N: u32 = 2u;\nlet a0 = {\nv0[{j}]\n};\nlet a1 = {\nv1[{j}]\n};\n");
    }
}

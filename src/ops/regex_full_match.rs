//! RegexFullMatch: whether a regular expression in RE2's syntax matches the whole string.

use regex_lite::{Regex, RegexBuilder};

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// RegexFullMatch.
pub const OPERATOR: Operator =
    Operator { name: "RegexFullMatch", attributes: &["pattern"], build, ..Operator::DEFAULT };

struct RegexFullMatch {
    regex: Regex,
    ignores_case: bool,
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let Some(pattern) = attributes.string("pattern")? else { bail!(InvalidModel, "attribute \"pattern\" is missing") };
    let compile = |text: &str| {
        RegexBuilder::new(text).build().map_err(|e| {
            Error::new(ErrorKind::Unsupported, format!("the pattern \"{pattern}\" cannot be compiled: {e}"))
        })
    };
    let (translated, ignores_case) = translate(pattern)?;
    // On its own first: a stray parenthesis must not pair with those around it.
    compile(&translated)?;
    Ok(Box::new(RegexFullMatch { regex: compile(&format!(r"\A(?:{translated})\z"))?, ignores_case }))
}

/// RE2's syntax in that of `regex-lite`, and whether any part ignores case. What both read alike
/// stays; what would change its meaning is rewritten or refused.
fn translate(pattern: &str) -> Result<(String, bool)> {
    const SPACE: &str = r"\t\n\x0C\r ";
    let refuse = |what: &str| -> Result<()> {
        bail!(Unsupported, "the pattern \"{pattern}\" has {what}, which is not supported")
    };
    let (mut out, mut rest) = (String::new(), pattern);
    let (mut ignores_case, mut wide, mut in_class) = (false, !pattern.is_ascii(), false);
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let Some(escaped) = after.chars().next() else {
                    out.push('\\');
                    break;
                };
                rest = &after[escaped.len_utf8()..];
                match escaped {
                    // RE2's has no vertical tab.
                    's' if in_class => out.push_str(SPACE),
                    's' => out.push_str(&format!("[{SPACE}]")),
                    'S' if in_class => refuse(r"\S between brackets")?,
                    'S' => out.push_str(&format!("[^{SPACE}]")),
                    '<' | '>' => out.push(escaped),
                    'Q' if !in_class => {
                        let (literal, end) = rest.split_once(r"\E").unwrap_or((rest, ""));
                        out.push_str(&regex_lite::escape(literal));
                        rest = end;
                    }
                    'b' | 'B' if rest.starts_with('{') => refuse("a repeated word boundary")?,
                    'x' | 'u' | 'U' => {
                        ensure!(
                            escaped == 'x',
                            Unsupported,
                            "the pattern \"{pattern}\" has \\{escaped}, which RE2 lacks"
                        );
                        wide = true;
                        let digits = if rest.starts_with('{') { rest.find('}').map_or(0, |end| end + 1) } else { 0 };
                        out.push_str(r"\x");
                        out.push_str(&rest[..digits]);
                        rest = &rest[digits..];
                    }
                    _ => {
                        out.push('\\');
                        out.push(escaped);
                    }
                }
                continue;
            }
            '[' if in_class && after.starts_with(':') => {
                let end = after.find(":]").map_or(0, |end| end + 2);
                out.push('[');
                out.push_str(&after[..end]);
                rest = &after[end..];
                continue;
            }
            '[' if in_class => out.push_str(r"\["),
            '&' | '~' | '-' if in_class && after.starts_with(c) => refuse("a doubled &, ~ or - between brackets")?,
            '[' => {
                in_class = true;
                out.push('[');
                // A bracket in the first place is an element.
                let negated = after.starts_with('^');
                let start = &after[usize::from(negated)..];
                if negated {
                    out.push('^');
                }
                if let Some(end) = start.strip_prefix(']') {
                    out.push_str(r"\]");
                    rest = end;
                } else {
                    rest = start;
                }
                continue;
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '{' if !in_class && !is_repetition(after) => out.push_str(r"\{"),
            '(' if !in_class && after.starts_with('?') && !after.starts_with("?P<") && !after.starts_with("?<") => {
                let end = after.find([':', ')']).unwrap_or(0);
                let flags = &after[1..end.max(1)];
                if flags.contains(|f: char| !"imsU-".contains(f)) {
                    refuse(&format!("the flags \"{flags}\""))?;
                }
                ignores_case |= flags.split('-').next().is_some_and(|on| on.contains('i'));
                out.push('(');
            }
            c => out.push(c),
        }
        rest = after;
    }
    if ignores_case && wide {
        refuse("a flag \"i\" and characters beyond ASCII")?;
    }
    Ok((out, ignores_case))
}

/// Whether what follows a brace is `n}`, `n,}` or `n,m}`.
fn is_repetition(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    !least.is_empty() && (least.bytes().chain(most.bytes())).all(|b| b.is_ascii_digit())
}

impl Op for RegexFullMatch {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        tensor_type(inputs, 0, Dtypes::Only(DataType::String))?;
        Ok(vec![Type::Tensor(DataType::Bool)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        one(DataType::Bool, inputs.shape(0)?)
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let tensor = inputs.take_host(0)?;
        let matches = |text: &String| {
            // The only characters beyond ASCII that fold to ASCII: k and s.
            ensure!(
                !self.ignores_case || !text.contains(['\u{212a}', '\u{17f}']),
                Unsupported,
                "\"{text}\" needs Unicode's rules to ignore case, which are not supported"
            );
            Ok(u8::from(self.regex.is_match(text)))
        };
        let bytes = tensor.strings().unwrap_or_default().iter().map(matches).collect::<Result<Vec<_>>>()?;
        output(Tensor::from_bytes(DataType::Bool, shape_of(outputs, 0)?.to_vec(), bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::support::{Single, strings};

    fn matches(pattern: &str, text: &str) -> bool {
        let op = Single::new("RegexFullMatch", 20).string("pattern", pattern);
        op.one(&[strings(&[1], &[text])]).bytes().unwrap() == [1]
    }

    /// The answers are ONNX Runtime's, that is RE2's.
    #[test]
    fn as_re2() {
        for (pattern, yes, no) in [
            ("a|ab", "ab", "abc"),
            ("a.c", "abc", "a\nc"),
            (r"(?s).*", "a\nb", "\r\r"),
            (r"\d+", "3", "٣"),
            (r"\w+", "e", "é"),
            (r"\W[^a]", "éé", "éa"),
            (r"^a$", "a", "a\n"),
            (r"\s[\s_]\S", " _a", "\u{b}_a"),
            (r"\s", "\r", "\u{b}"),
            ("[[:alpha:]]+", "ab", "a1"),
            ("x{2,3}?", "xxx", "x"),
            ("x{,2}", "x{,2}", "xx"),
            ("{a}", "{a}", "a"),
            (r"\Qa.b\E+", "a.bb", "axb"),
            (r"\<a\>", "<a>", "a"),
            ("[]a]+", "]a", "b"),
            ("[^]a]", "b", "]"),
            ("[a[b]", "[", "c"),
            ("(?i)A(?-i)b", "ab", "aB"),
            ("(?P<n>a)", "a", "n"),
            (r"\x{e9}", "é", "e"),
            ("", "", "a"),
        ] {
            assert!(matches(pattern, yes), "{pattern} must match {yes:?}");
            if no != "\r\r" {
                assert!(!matches(pattern, no), "{pattern} must not match {no:?}");
            }
        }
    }

    #[test]
    fn what_differs_is_refused() {
        for pattern in
            [r"\pL", r"\C", "(?i)é", r"(?i)\x{e9}", "(?x)a b", "a)|(b", "(", r"[\S]", "[a--b]", r"\b{start}", r"\1"]
        {
            let error = Single::new("RegexFullMatch", 20).string("pattern", pattern).error(&[strings(&[1], &["a"])]);
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{pattern}: {error}");
        }
        Single::new("RegexFullMatch", 20).string("pattern", "(?i)k").error(&[strings(&[1], &["\u{212a}"])]);
        assert_eq!(Single::new("RegexFullMatch", 20).error(&[strings(&[0], &[])]).kind(), ErrorKind::InvalidModel);
    }
}

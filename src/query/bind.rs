//! Binding: values into a query, as literals that cannot become anything else.
//!
//! Polars SQL has no parameters, so a value becomes a literal: a text in single quotes, each of its quotes
//! doubled, which is all that SQL reads in a literal. `$name` inside a literal, a quoted name or a comment is left alone.

/// A value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
}

impl Value {
    /// Returns whether it is the empty text, which stands for nothing that was told.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    fn literal(&self) -> String {
        match self {
            Self::Text(text) => literal(text),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// Returns a text as a literal of SQL.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns `sql` with each `$name` replaced by what `value` gives for it.
///
/// # Errors
/// With the name of a parameter for which it gives nothing.
pub fn bind(sql: &str, value: impl Fn(&str) -> Option<Value>) -> Result<String, String> {
    let mut out = String::with_capacity(sql.len());
    for piece in pieces(sql) {
        match piece {
            Piece::Parameter(name) => {
                let value = value(name).ok_or_else(|| name.to_owned())?;
                out.push_str(&value.literal());
            }
            Piece::Other(text) => out.push_str(text),
        }
    }
    Ok(out)
}

/// Returns the names of the parameters of `sql`, in order, each as often as it occurs.
pub fn parameters(sql: &str) -> Vec<&str> {
    let names = pieces(sql).into_iter().filter_map(|piece| match piece {
        Piece::Parameter(name) => Some(name),
        Piece::Other(_) => None,
    });
    names.collect()
}

/// Returns the parameters that `sql` compares with a column, as in `username = $who`, and the columns.
pub fn compared(sql: &str) -> Vec<(&str, &str)> {
    let pieces = pieces(sql);
    let pairs = pieces.windows(2).filter_map(|pair| match pair {
        [Piece::Other(before), Piece::Parameter(name)] => {
            let before = before.trim_end().strip_suffix('=')?.trim_end();
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let column = &before[before.trim_end_matches(is_word).len()..];
            (!column.is_empty()).then_some((*name, column))
        }
        _ => None,
    });
    pairs.collect()
}

enum Piece<'a> {
    Parameter(&'a str),
    Other(&'a str),
}

fn pieces(sql: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = sql;
    while !rest.is_empty() {
        let length = match rest.as_bytes() {
            [quote @ (b'\'' | b'"' | b'`'), ..] => quoted(rest, *quote),
            [b'-', b'-', ..] => rest.find('\n').unwrap_or(rest.len()),
            [b'/', b'*', ..] => rest.find("*/").map_or(rest.len(), |end| end + 2),
            [b'$', ..] => {
                let name = &rest[1..];
                let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
                let name = &name[..end.unwrap_or(name.len())];
                if !name.is_empty() {
                    pieces.push(Piece::Parameter(name));
                    rest = &rest[1 + name.len()..];
                    continue;
                }
                1
            }
            [b'-' | b'/', ..] => 1,
            _ => {
                let end = rest.find(['\'', '"', '`', '-', '/', '$']);
                end.unwrap_or(rest.len())
            }
        };
        pieces.push(Piece::Other(&rest[..length]));
        rest = &rest[length..];
    }
    pieces
}

/// Returns the length of the literal or name at the start of `text`; one that never ends is all of it.
fn quoted(text: &str, quote: u8) -> usize {
    let mut at = 1;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        if bytes[at] == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 1;
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &str) {
        let value = |name: &str| match name {
            "who" => Some(Value::Text("it's $n -- /* \"".to_owned())),
            "n" => Some(Value::Number(-3)),
            _ => None,
        };
        assert_eq!(bind(sql, value), Ok(expected.to_owned()));
    }

    #[test]
    fn values_become_literals() {
        check("a = $who AND b > $n", "a = 'it''s $n -- /* \"' AND b > -3");
        check("a = '$who' AND \"$n\" = $n", "a = '$who' AND \"$n\" = -3");
        check("a -- $who\n= $n", "a -- $who\n= -3");
        check("a /* $who */ - $n / 2", "a /* $who */ - -3 / 2");
        check("'it''s $n' $n", "'it''s $n' -3");
        check("'open $n", "'open $n");
        check("5 $ 6", "5 $ 6");
    }

    #[test]
    fn comparisons_with_columns_are_known() {
        let check = |sql: &str, expected: &[(&str, &str)]| assert_eq!(compared(sql), expected);
        check(
            "WHERE ($who <> '' AND (username = $who OR e.imp_username=$who))",
            &[("who", "username"), ("who", "imp_username")],
        );
        check("n >= $n AND $n = n AND n <> $n AND '=' = $n", &[]);
        check("a -- = $n\n= $n /* b = */", &[]);
    }

    #[test]
    fn an_unknown_name_is_told() {
        assert_eq!(bind("x = $nobody", |_| None), Err("nobody".to_owned()));
    }
}

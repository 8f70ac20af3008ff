//! Skipping JSON values: as strict as a parser, and building nothing.
//!
//! Bodies are most of a log at the higher audit levels, and few rules look at them. `None` is for what is
//! no JSON, and for what this does not take on though it may be JSON: white space between tokens, and
//! more than [`DEEPEST`] containers open around a value. The general path decides about both.

use wide::u8x16;

use super::bodies::Bodies;

/// Most containers that may be open.
const DEEPEST: usize = 64;

/// Containers in as many others are looked for among those that were skipped before: those of the objects in a list, and
/// of what is in them.
const KNOWN_DEPTHS: usize = 8;

/// Returns the end of the value that starts at `at`.
pub(crate) fn value(bytes: &[u8], at: usize) -> Option<usize> {
    skip(bytes, at, None)
}

/// Returns the end of the body that starts at `at`, parts of which `bodies` may know and learn.
pub(super) fn body(bytes: &[u8], at: usize, bodies: &mut Bodies) -> Option<usize> {
    skip(bytes, at, Some(bodies))
}

#[inline]
fn skip(bytes: &[u8], mut at: usize, mut bodies: Option<&mut Bodies>) -> Option<usize> {
    let mut strings = Strings::new(bytes, at);
    // One bit per open container, the innermost lowest: 1 is an object.
    let (mut kinds, mut depth, mut deepest) = (0_u64, 0, 0);
    // Where those are open that may be kept.
    let mut starts = [0; KNOWN_DEPTHS];
    loop {
        match *bytes.get(at)? {
            open @ (b'{' | b'[') => {
                let is_object = open == b'{';
                let may_be_known = depth < KNOWN_DEPTHS;
                let bodies = bodies.as_deref().filter(|_| may_be_known);
                if *bytes.get(at + 1)? == open + 2 {
                    at += 2; // `}` and `]` stand two behind their openers.
                } else if let Some((length, levels)) =
                    bodies.and_then(|bodies| bodies.find(&bytes[at..]))
                    && depth + levels <= DEEPEST
                {
                    at += length;
                    deepest = deepest.max(depth + levels);
                } else {
                    if depth == DEEPEST {
                        return None;
                    }
                    if may_be_known {
                        starts[depth] = at;
                    }
                    at += 1;
                    kinds = kinds << 1 | u64::from(is_object);
                    depth += 1;
                    deepest = deepest.max(depth);
                    if is_object {
                        at = strings.key(at)?;
                    }
                    continue;
                }
            }
            b'"' => at = strings.end(at + 1)?,
            b't' => at = literal(bytes, at, b"true")?,
            b'f' => at = literal(bytes, at, b"false")?,
            b'n' => at = literal(bytes, at, b"null")?,
            _ => at = number(bytes, at)?,
        }
        // After a value: the next member, or the ends of containers.
        loop {
            if depth == 0 {
                return Some(at);
            }
            let is_object = kinds & 1 == 1;
            match *bytes.get(at)? {
                b',' => {
                    at += 1;
                    if is_object {
                        at = strings.key(at)?;
                    }
                    break;
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return None,
            }
            at += 1;
            kinds >>= 1;
            depth -= 1;
            if let (Some(bodies), Some(start)) = (&mut bodies, starts.get(depth)) {
                bodies.keep(&bytes[*start..at], deepest - depth);
            }
        }
    }
}

/// Finds the ends of strings, one behind the other: what ends them is looked for in a window that holds several.
struct Strings<'b> {
    bytes: &'b [u8],
    /// Where the window starts.
    from: usize,
    /// A bit for each byte in it that is no plain text, the first one lowest; what lies behind the text has one.
    special: u64,
}

/// Bytes of a window.
const WINDOW: usize = u64::BITS as usize;

impl<'b> Strings<'b> {
    fn new(bytes: &'b [u8], at: usize) -> Self {
        let mut strings = Self {
            bytes,
            from: at,
            special: 0,
        };
        strings.look(at);
        strings
    }

    /// Moves the window, which only goes forward.
    #[inline(never)] // It is the smaller part of the calls, and would make the others larger.
    fn look(&mut self, from: usize) {
        let rest = self.bytes.get(from..).unwrap_or_default();
        self.from = from;
        self.special = rest.first_chunk().map_or_else(
            || {
                let mut padded = [0; WINDOW];
                padded[..rest.len()].copy_from_slice(rest);
                special_in(&padded)
            },
            special_in,
        );
    }

    /// Returns where the value of the member that starts at `at` starts.
    #[inline]
    fn key(&mut self, at: usize) -> Option<usize> {
        if *self.bytes.get(at)? != b'"' {
            return None;
        }
        let end = self.end(at + 1)?;
        (*self.bytes.get(end)? == b':').then_some(end + 1)
    }

    /// Returns the end of a string behind its closing quote; `at` is behind the opening one.
    #[inline]
    fn end(&mut self, mut at: usize) -> Option<usize> {
        loop {
            let mut passed = at - self.from;
            if passed >= WINDOW {
                self.look(at);
                passed = 0;
            }
            let special = self.special >> passed;
            if special == 0 {
                at = self.from + WINDOW;
                continue;
            }
            at += special.trailing_zeros() as usize;
            match *self.bytes.get(at)? {
                b'"' => return Some(at + 1),
                b'\\' => at += escape(self.bytes, at)?,
                _ => return None,
            }
        }
    }
}

/// Returns a bit for each byte of a window that is no plain text, the first one lowest.
fn special_in(window: &[u8; WINDOW]) -> u64 {
    let (blocks, _) = window.as_chunks();
    let masks = blocks.iter().map(|block| u64::from(special(block)));
    masks.rfold(0, |all, mask| all << BLOCK | mask)
}

/// Returns the length of the escape at `at`.
#[inline(never)] // As few strings have one.
fn escape(bytes: &[u8], at: usize) -> Option<usize> {
    match *bytes.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' if bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => Some(6),
        _ => None,
    }
}

fn literal(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let end = at + word.len();
    (bytes.get(at..end)? == word).then_some(end)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let is = |at: usize, set: &[u8]| bytes.get(at).is_some_and(|byte| set.contains(byte));
    let start = at + usize::from(is(at, b"-"));
    let mut end = if is(start, b"0") {
        start + 1
    } else {
        digits(start)
    };
    if end == start {
        return None;
    }
    if is(end, b".") {
        let fraction = digits(end + 1);
        if fraction == end + 1 {
            return None;
        }
        end = fraction;
    }
    if is(end, b"eE") {
        let first = end + 1 + usize::from(is(end + 1, b"+-"));
        end = digits(first);
        if end == first {
            return None;
        }
    }
    Some(end)
}

/// Bytes that are looked at together.
const BLOCK: usize = 16;

/// Returns the index of the first quote, backslash or control character.
#[inline]
pub(crate) fn end_of_plain(bytes: &[u8]) -> Option<usize> {
    // Most texts are shorter than a block.
    let first = bytes.first_chunk().and_then(end_in_block);
    first.or_else(|| end_of_long(bytes))
}

fn end_of_long(bytes: &[u8]) -> Option<usize> {
    let (blocks, rest) = bytes.as_chunks();
    for (number, block) in blocks.iter().enumerate() {
        if let Some(at) = end_in_block(block) {
            return Some(number * BLOCK + at);
        }
    }
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    let position = rest.iter().position(special)?;
    Some(blocks.len() * BLOCK + position)
}

#[inline]
fn end_in_block(block: &[u8; BLOCK]) -> Option<usize> {
    let special = special(block);
    (special != 0).then_some(special.trailing_zeros() as usize)
}

/// Returns a bit for each quote, backslash and control character.
#[inline]
fn special(block: &[u8; BLOCK]) -> u16 {
    const QUOTE: u8x16 = u8x16::new([b'"'; BLOCK]);
    const BACKSLASH: u8x16 = u8x16::new([b'\\'; BLOCK]);
    const LAST_CONTROL: u8x16 = u8x16::new([0x1f; BLOCK]);
    let block = u8x16::new(*block);
    let is_control = block.min(LAST_CONTROL).simd_eq(block);
    let special = block.simd_eq(QUOTE) | block.simd_eq(BACKSLASH) | is_control;
    u16::try_from(special.to_bitmask()).expect("a bit for each byte")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_ends_at_the_first_special_byte() {
        let texts = [
            "\"",
            "abcdefg\"",
            "abcdefgh\"",
            "abcdefghi\\",
            "é€𝄞\u{7f}\u{80}\"",
            "é€𝄞\u{7f}\u{80}and more than a block\"",
            "0123456789abcdef\"",
            "0123456789abcdef\u{1f}",
            "0123456789abcde\\",
            "ab\n\"",
        ];
        for text in texts {
            let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
            let expected = text.bytes().position(|byte| special(&byte));
            assert_eq!(end_of_plain(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(end_of_plain(b"nothing special here"), None);
    }

    /// What `serde_json` takes is skipped to its end, and nothing else is.
    #[test]
    fn values_end_where_serde_json_says() {
        let texts = [
            "{}",
            "[]",
            "[[],{}]",
            r#"{"a":[1,{"b":"}\""},null,true,false]}"#,
            r#""\u00e9\n""#,
            "0",
            "-0",
            "10",
            "-1.5e+3",
            "1E9",
            "01",
            "1.",
            "-",
            "1e",
            "+1",
            ".5",
            "[1,]",
            r#"{"a":1,}"#,
            r#"{"a"}"#,
            "{1:2}",
            r#"["a" ]"#,
            "[1}",
            "{]",
            r#""\x""#,
            r#""\u12g4""#,
            "tru",
            "nulls",
            "[",
            r#"{"a":"#,
            "",
            r#"{"a":{"b":[{"c":[]}]}}"#,
            "\"\u{1}\"",
            "1.0.0",
            "[1 2]",
        ];
        for text in texts {
            let parsed = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            let skipped = value(text.as_bytes(), 0) == Some(text.len());
            let has_space = text.contains(' ');
            assert_eq!(skipped, parsed && !has_space, "{text}");
        }
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert_eq!(value(deep(65).as_bytes(), 0), Some(130));
        assert_eq!(value(deep(66).as_bytes(), 0), None);
    }

    /// What is known changes nothing: not of the text that it was learned from, nor of one that differs in a byte.
    #[test]
    fn bodies_end_where_they_do_without_what_is_known() {
        let labels =
            |n: usize| format!(r#"{{"app":"web-{n}","tier":"front","note":"a \"b\" \u00e9 c"}}"#);
        let deep = "[".repeat(40) + &"]".repeat(40);
        let element = |n: usize| {
            let labels = labels(n % 2);
            format!(
                r#"{{"metadata":{{"name":"web","labels":{labels},"generation":{n}}},"spec":{{"containers":[{{"name":"c","image":"registry.example/web:1","args":["a","b",null,true,-1.5e3]}}],"deep":{deep}}}}}"#
            )
        };
        let list = |range: std::ops::Range<usize>| {
            let elements: Vec<String> = range.map(element).collect();
            format!(r#"{{"kind":"List","items":[{}]}}"#, elements.join(","))
        };
        let mut bodies = Bodies::new();
        for text in [list(0..3), list(1..5), list(0..3)] {
            let end = body(text.as_bytes(), 0, &mut bodies);
            assert_eq!(end, Some(text.len()));
        }
        let known = bodies.find(list(0..3).as_bytes());
        assert_eq!(known, Some((list(0..3).len(), 43)));
        let text = list(0..2);
        for at in 0..text.len() {
            for byte in *b"\"\\{}[],:0 t\n" {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = byte;
                assert_eq!(
                    body(&bytes, 0, &mut bodies),
                    value(&bytes, 0),
                    "{at} {byte}"
                );
            }
        }
        // What is known counts as what it is where it stands.
        let text = element(0);
        for around in 0..DEEPEST {
            let nested = "[".repeat(around) + &text + &"]".repeat(around);
            let end = body(nested.as_bytes(), 0, &mut bodies);
            assert_eq!(end, value(nested.as_bytes(), 0), "{around}");
        }
    }
}

//! The texts.

/// What RFC 8259 says of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Refuse,
    /// The grammar allows it but not every parser takes it, or it is JSON only after a repair.
    Free,
}
use Verdict::{Accept, Free, Refuse};

/// Texts of one line that are JSON; ` ¦ ` stands between them.
const ACCEPT_LINES: &[&str] = &[
    // Values by themselves, and blanks.
    r#"null ¦ true ¦ false ¦ 0 ¦ 17 ¦ -3 ¦ "" ¦ "text" ¦ "\u0061" ¦ {} ¦ [] ¦ 0.25 ¦ -0"#,
    "[\t1\t] ¦ [ ] ¦ [   7   ] ¦ { } ¦ [1\r] ¦ {\t\"a\"\r:\t1 }",
    // Arrays.
    r#"[[]] ¦ [""] ¦ [null] ¦ [[],[[]]] ¦ [false, true] ¦ [1,null,"a",{},[2]] ¦ [null,null,null,null]"#,
    // Objects; keys may be empty, equal, or much like each other.
    r#"{"":0} ¦ {"a":[]} ¦ {"a":"b"} ¦ {"a":1,"a":2} ¦ {"a":1,"a":1} ¦ {"\u0000":1} ¦ {"a":{"b":{"c":{}}}}"#,
    r#"{"min":-6.5e+31,"max":6.5e+31} ¦ {"a\"b":1} ¦ {"k":[{"n":"v"}],"m":"w"} ¦ {"\ud83d\ude00":"é"}"#,
    // Numbers.
    "[0e1] ¦ [0e+1] ¦ [1E9] ¦ [1e-2] ¦ [1E+2] ¦ [86e11] ¦ [40.75e19] ¦ [-1.5] ¦ [-0.0] ¦ [0E-0]",
    "[20e1] ¦ [123456789] ¦ [-123] ¦ [0.0000000000000000000000000000000000000000000001] ¦ [1.000000000000000005]",
    "[9007199254740993] ¦ [18446744073709551615] ¦ [-9223372036854775808] ¦ [18446744073709551616]",
    // Strings and their escapes.
    r#"["\"\\\/\b\f\n\r\t"] ¦ ["\u0040\u01f6\u0BAE"] ¦ ["\ud83c\udf0d"] ¦ ["\uDBFF\uDFFF"] ¦ ["\\u0000"]"#,
    r#"["\""] ¦ ["\\"] ¦ ["\\\\\""] ¦ ["\\a"] ¦ ["\u0022"] ¦ ["\u005C"] ¦ ["\u0000"] ¦ ["\u001f"] ¦ ["\uFFFF"]"#,
    r##"["\uFDD0"] ¦ ["\u2028\u2029"] ¦ ["\u200B"] ¦ ["\uFEFF"] ¦ ["x/*y*/z//"] ¦ ["'"] ¦ ["{[,:]}"] ¦ ["#"]"##,
    "[\"\u{2028}\u{2029}\"] ¦ [\"\u{7f}\"] ¦ [\"\u{80}\u{9f}\"] ¦ [\"€𝄞\"] ¦ [\"\u{10ffff}\"] ¦ [\"\u{feff}\"]",
    "[\"ﾊﾝ䷀ﾝ\"] ¦ [\"\u{ffff}\"] ¦ [\"\u{e000}\"] ¦ [\"\u{fffd}\"]",
    // What a client may put into a body to pass as something else.
    r#"{"kind":"Event","apiVersion":"v1"} ¦ {"requestObject":{}} ¦ "\",\"verb\":\"get\"" ¦ {"message":"{}"}"#,
];

/// Texts of one line that are none; ` ¦ ` stands between them.
const REFUSE_LINES: &[&str] = &[
    // Literals.
    "n ¦ nul ¦ nulll ¦ tru ¦ truth ¦ fals ¦ True ¦ NULL ¦ [True] ¦ [nul] ¦ [tru] ¦ [fals] ¦ undefined ¦ [a]",
    // Numbers that are none.
    "[NaN] ¦ [-NaN] ¦ [Infinity] ¦ [-Infinity] ¦ [Inf] ¦ [+1] ¦ [++1] ¦ [+Inf] ¦ [01] ¦ [-01] ¦ [00] ¦ [-012]",
    "[1.] ¦ [-2.] ¦ [.5] ¦ [-.5] ¦ [0.e1] ¦ [2.e3] ¦ [2.e-3] ¦ [1.2.3] ¦ [1eE2] ¦ [0e] ¦ [0e+] ¦ [1.0e] ¦ [1.0e-]",
    "[0.3e] ¦ [0E] ¦ [0E+] ¦ [9.e+] ¦ [1e1e1] ¦ [.e1] ¦ [1 000] ¦ [1_000] ¦ [1+2] ¦ [0x1] ¦ [0x42] ¦ [1ea]",
    "[-] ¦ [--1] ¦ [- 1] ¦ [-bar] ¦ [-1x] ¦ [1.2a-3] ¦ [4.25H-7] ¦ [１] ¦ [0o7] ¦ [1a] ¦ [1,5e]",
    "- ¦ 1. ¦ 2@ ¦ 1e ¦ 012 ¦ +0 ¦ .1 ¦ 1 2",
    // Commas, colons and brackets.
    "[1 true] ¦ [1,] ¦ [1,,] ¦ [,1] ¦ [,] ¦ [1,,2] ¦ [: 1] ¦ [1:2] ¦ [3[4]] ¦ [*] ¦ [1}",
    r#"["a",] ¦ ["",,] ¦ ["x"] ] ¦ [""], ¦ ["": 1] ¦ ["a" "b"] ¦ ["x", truth] ¦ [1;2]"#,
    r#"{"a":1,} ¦ {"a":1,,} ¦ {,"a":1} ¦ {"a":1,,"b":2} ¦ {"a" 1} ¦ {"a"::1} ¦ {"a","b"} ¦ {:1} ¦ {"a":}"#,
    r#"{"a":"b":"c"} ¦ {"a":1 2} ¦ {"a":1 "b":2} ¦ {"a":1]} ¦ {"a"} ¦ {"a":1;"b":2} ¦ {"a":b} ¦ {"a":"a" 123}"#,
    // Keys that are no strings, and other quotes.
    r#"{1:1} ¦ {a:1} ¦ {null:null} ¦ {[]:1} ¦ {12E34:1} ¦ {'a':1} ¦ ['a'] ¦ 'a' ¦ {"a":'b'} ¦ [`a`] ¦ [“a”]"#,
    // Comments, directives and other languages.
    r#"{"a":1}/**/ ¦ {"a":1}// ¦ {"a":1}# ¦ {"a":/* x */1} ¦ [1/* */,2] ¦ /* */1 ¦ {"a":1}/**// ¦ // ¦ # x"#,
    "<.> ¦ <null> ¦ [<null>] ¦ <!-- --> ¦ --- ¦ - a: 1 ¦ a=1 ¦ a,b,c ¦ ]]> ¦ {{}} ¦ @ ¦ $ ¦ ) ¦ *",
    // Damage of the structure.
    r#"[ ¦ { ¦ ] ¦ } ¦ [1 ¦ [1, ¦ [{ ¦ [[ ¦ {[ ¦ {"a" ¦ {"a": ¦ {"a":1 ¦ {"a":1, ¦ {"a":[ ¦ {"a":{} ¦ [} ¦ {]"#,
    r#"[1]] ¦ {}} ¦ [][] ¦ {}{} ¦ 1] ¦ {"a":1}x ¦ [1]x ¦ [1],[2] ¦ {"a":1}"b" ¦ , ¦ : ¦ {"a":true} true ¦ [null ¦ ["a"#,
    r#"{, ¦ {" ¦ {"a ¦ {"a": "b ¦ ["a\ ¦ ["a", ¦ [{}{}] ¦ [[[[ ¦ [1,{"a":2} ¦ {"a":{"b":1} ¦ [{"":[{"":["#,
    // Strings that do not end, and escapes that are none.
    r#"" ¦ "a ¦ [" ¦ ["\"] ¦ ["\\\"] ¦ ["\u"] ¦ ["\u1"] ¦ ["\u12"] ¦ ["\u123"] ¦ ["\uD800\u"] ¦ ["\uD800\u1"]"#,
    r#"["\uzzzz"] ¦ ["\u00G0"] ¦ ["\u{61}"] ¦ ["\x00"] ¦ ["\a"] ¦ ["\0"] ¦ ["\'"] ¦ ["\U0061"] ¦ ["\ "] ¦ ["\🌀"]"#,
    r#"["\uD834\uDd"] ¦ ["\uD800\"] ¦ ["\uD800\u1x"] ¦ \u0061 ¦ [\u000D""] ¦ [\n] ¦ "\ ¦ "a"b" ¦ é ¦ [é]"#,
];

/// Texts of one line that parsers differ on, or that are JSON only after a repair; ` ¦ ` stands between them.
const FREE_LINES: &[&str] = &[
    // JSON that parsers differ on: numbers out of range, halves of pairs, marks at the start.
    "[1e309] ¦ [-1e309] ¦ [1e8888888888] ¦ [6.25e-4321] ¦ [0.7e0012345678901234567890] ¦ [-5e+7777]",
    r#"["\uD800"] ¦ ["\uDC00"] ¦ ["\uD800\n"] ¦ ["\uD800\u0061"] ¦ ["\uD800\uD800"] ¦ ["\uDD1E\uD834"]"#,
    "[100000000000000000000] ¦ [-31415926535897932384626433832795028841971]",
    r#"{"\uDEAD":0} ¦ ["\uDA77\u0041"] ¦ ["\ud800abc"] ¦ ["\uD83D\u005C"]"#,
    "\u{feff}{} ¦ \u{feff}[1] ¦ \u{feff} ¦ \u{1e}{\"a\":1}",
];

/// Texts with lines, NULs or broken UTF-8 that are JSON.
const ACCEPT_BYTES: &[&[u8]] = &[
    // White space.
    b"[\n1,\n2]",
    b"{\n\t\"a\"\n:\r\n1\n}",
    b"{}\n",
    b"\n[1]",
    b"  [] ",
    b"7 ",
];

/// Texts with lines, NULs or broken UTF-8 that are none.
const REFUSE_BYTES: &[&[u8]] = &[
    // White space.
    b"",
    b" ",
    b"\n",
    b"[\n1\n",
    b"[\"a\",\n4\n,1,",
    b"{\"a\":1}\n{",
    b"[\x0c]",
    b"[\x0b1]",
    b"[\x08]",
    b"[\xc2\xa01]",
    b"[\xe2\x81\xa0]",
    b"[\xe3\x80\x801]",
    b"\x1b[31m",
    b"\x7f",
    // NULs end a record.
    b"\0",
    b"123\0",
    b"\0\0[]",
    b"[1\0]",
    b"{\"a\0\":1}",
    // Bytes that are no UTF-8, outside of strings and in escapes.
    b"\xff",
    b"[\xe5]",
    b"[1\xe5]",
    b"[1e\xe5]",
    b"[-\xc0]",
    b"[a\xe5]",
    b"[\"\\\xe5\"]",
    b"[\"\\u\xe5\"]",
    b"{\"\xb9\":\"0\",}",
    b"{\xf0\x9f\x87\xa8\xf0\x9f\x87\xad}",
    b"\xef\xbb",
    b"\xef\xbb{}",
];

/// Texts with lines, NULs or broken UTF-8 that parsers differ on, or that are JSON only after a repair.
const FREE_BYTES: &[&[u8]] = &[
    // The same in strings: JSON once the bytes are replaced.
    b"[\"\xff\"]",
    b"[\"\xe9\"]",
    b"[\"\x81\"]",
    b"[\"\xc0\xaf\"]",
    b"[\"\xe0\xff\"]",
    b"[\"\xed\xa0\x80\"]",
    b"[\"\xf4\xbf\xbf\xbf\"]",
    b"[\"\xfc\x83\xbf\xbf\xbf\xbf\"]",
    b"[\"\xe6\x97\xa5\xd1\x88\xfa\"]",
    b"{\"\xed\xb0\x80\":\"\xc2\"}",
    // UTF-16.
    b"\xff\xfe[\0\"\0\xe9\0\"\0]\0",
    b"\xfe\xff\0[\0\"\0a\0\"\0]",
    b"[\0\"\0a\0\"\0]\0",
];

/// Texts that are long or alike.
fn made() -> Vec<(Verdict, Vec<u8>)> {
    let deep = |open: &str, inner: &str, close: &str, depth| {
        [&open.repeat(depth), inner, &close.repeat(depth)]
            .concat()
            .into_bytes()
    };
    let digits = "1234567890".repeat(2_000);
    let mut made = vec![
        (Free, deep("[", "", "]", 500)),
        (Free, deep("[", "", "]", 100_000)),
        (Free, deep("{\"a\":", "1", "}", 100_000)),
        (Free, deep("[{\"\":", "[]", "}]", 50_000)),
        (Refuse, deep("[", "", "", 100_000)),
        (Refuse, deep("{\"a\":", "", "", 100_000)),
        (Refuse, deep("[{\"\":", "\n", "", 50_000)),
        (Refuse, deep("", "", "]", 100_000)),
        (Refuse, deep("[", "", "}", 100_000)),
        (Refuse, deep("[\"\\", "", "\"]", 10_000)),
        (Accept, format!("[{digits}]").into_bytes()),
        (Accept, format!("[0.{digits}]").into_bytes()),
        (Free, format!("[1e{digits}]").into_bytes()),
        (
            Accept,
            format!("\"{}\"", "\\\\".repeat(50_000)).into_bytes(),
        ),
        (Refuse, format!("\"{}\"", "\\".repeat(100_001)).into_bytes()),
        (Accept, format!("[{}0]", "0,".repeat(50_000)).into_bytes()),
        (
            Accept,
            format!("{{\"{digits}\":\"{digits}\"}}").into_bytes(),
        ),
    ];
    // Control characters must not stand in a string as they are.
    made.extend((0..0x20).map(|byte| (Refuse, vec![b'"', b'a', byte, b'"'])));
    made
}

/// Returns all texts.
pub(super) fn texts() -> Vec<(Verdict, Vec<u8>)> {
    let lines = [ACCEPT_LINES, REFUSE_LINES, FREE_LINES].map(|lines| {
        let texts = lines.iter().flat_map(|line| line.split(" ¦ "));
        texts.map(str::as_bytes).collect::<Vec<_>>()
    });
    let bytes = [ACCEPT_BYTES, REFUSE_BYTES, FREE_BYTES];
    let mut texts = made();
    for (at, verdict) in [Accept, Refuse, Free].into_iter().enumerate() {
        let both = lines[at].iter().chain(bytes[at]);
        texts.extend(both.map(|text| (verdict, text.to_vec())));
    }
    texts
}

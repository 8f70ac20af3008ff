//! Secrets in log text: recognised by their shape, or by the name that stands before them.
//!
//! Comes in: any text of a log. Goes out: the same with [`REDACTED`] where a secret was. Output, what is kept on disk and what
//! is sent all pass here.
//! Promised: linear time, and a second pass changes nothing.

use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

use percent_encoding::percent_decode_str;
use regex::{Captures, Regex, RegexSet, RegexSetBuilder};

/// Stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// What a name ends with that tells a secret, wherever in the name it begins. For use inside patterns that ignore case, as is
/// all that follows: there is one list of such names, for parameters, flags, variables, members and headers.
macro_rules! telling {
    () => {
        concat!(
            "(?:token|passw(?:or)?d|passphrase|requirepass|masterauth|secret",
            "|(?:db|my|sql|pg|ftp|smtp|mail|ldap|ssh|root|user|admin|redis|mysql|postgres|mongo|store|key|trust|proxy)",
            "(?:pass|pwd)",
            "|(?:api|access|private|secret|encryption|signing|shared|hmac|licen[cs]e)[_.-]?key)"
        )
    };
}

/// A whole name that tells a secret: one that ends so, or whose last word is a short one; `compass`, `author` and `bypass` have
/// no such word. `key` is none of them: keys have too many other uses.
macro_rules! name {
    () => {
        concat!(
            "(?:[a-z0-9_.-]*",
            telling!(),
            "|(?P<short>(?:[a-z0-9_.-]*[_.-])?(?:pass|pwd|auth)",
            "|[a-z0-9_.-]*(?-i:[a-z0-9](?:Pass|Pwd|Auth))))[0-9]{0,2}"
        )
    };
}

/// The value of a variable or a member: words, quoted parts and what another command says, up to a blank or a separator.
macro_rules! value {
    () => {
        concat!(
            r#"(?P<value>(?:\\?"(?:[^"\\]|\\.)*?(?:\\?"|\z)|\\?'[^']*(?:'|\z)|\$\([^)]*(?:\)|\z)"#,
            r#"|`[^`]*(?:`|\z)|[^\s&;|"'`\\]|\\[^"])+)"#
        )
    };
}

/// Returns `text` with `[redacted]` in place of what looks like a credential.
///
/// Taken out: PEM blocks (their base64 form, too), JSON web tokens, bearer and basic credentials,
/// bootstrap tokens, passwords in URLs, cloud keys and tokens, and the values of query parameters,
/// flags, variables, JSON keys and exec arguments with a telling name; the name stays.
pub fn redact(text: &str) -> Cow<'_, str> {
    redact_but(text, None)
}

/// Does so, but for secrets of the kind `left`.
fn redact_but(text: &str, left: Option<Kind>) -> Cow<'_, str> {
    // Each is compiled when it is first needed: a log seldom has more than a few kinds of secrets.
    static PATTERNS: [OnceLock<Regex>; SECRETS.len()] = [const { OnceLock::new() }; SECRETS.len()];
    let mut text = Cow::Borrowed(text);
    if is_plain(&text) {
        return text;
    }
    // One look decides which patterns run: most text has no secret, and a replacement makes none.
    for idx in ANY.matches(&text) {
        let (kind, source) = SECRETS[idx];
        if left == Some(kind) {
            continue;
        }
        let secret = PATTERNS[idx].get_or_init(|| pattern(source));
        let replaced = match kind {
            Kind::Command => redact_commands(secret, &text),
            kind => secret.replace_all(&text, |found: &Captures<'_>| replacement(kind, found)),
        };
        if let Cow::Owned(replaced) = replaced {
            text = Cow::Owned(replaced);
        }
    }
    text
}

/// What the search for all patterns may remember, at most: with less, it forgets all the time.
const DFA_BYTES: usize = 8 << 20;

/// Which of [`SECRETS`] a text has.
static ANY: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSetBuilder::new(SECRETS.iter().map(|(_, text)| text))
        .dfa_size_limit(DFA_BYTES)
        .build()
        .expect("patterns are constant")
});

/// Returns whether no pattern can match: a word shorter than the shortest secret of letters alone, which is the id of a key
/// of AWS, or a UUID and the like, such as the id of a credential. Evidence is made of such texts.
fn is_plain(text: &str) -> bool {
    let id = ["JTI=", "X509SHA256="]
        .iter()
        .find_map(|kind| text.strip_prefix(kind));
    text.len() < "AKIA".len() + 16 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
        || id
            .unwrap_or(text)
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Returns a command line without secrets, its arguments joined by blanks.
///
/// They are redacted as arguments of a request: a flag and its value are two of them.
pub fn redact_command(argv: &[String]) -> String {
    redact(&redact_query(argv).join(" ")).into_owned()
}

/// Returns the arguments of a command without secrets, as many as there were.
///
/// A flag and its value are two of them, as in [`redact_command`].
pub fn redact_arguments(argv: &[String]) -> Vec<String> {
    // What is secret by what stands before it is so by a flag.
    let is_alone = |word: &String| {
        !word.starts_with('-') && !is_setting(word) && (is_plain(word) || is_plain_word(word))
    };
    if argv.iter().all(is_alone) && !argv.iter().any(|word| Placed::of(word).is_some()) {
        return argv.iter().map(|word| redact(word).into_owned()).collect();
    }
    redact_together(argv)
}

/// Does so whatever they are.
fn redact_together(argv: &[String]) -> Vec<String> {
    let redacted = redact_query(argv);
    // What spans arguments, as a key in PEM may, took some of them with it.
    if redacted.len() != argv.len() {
        return vec![REDACTED.to_owned(); argv.len()];
    }
    let arguments = redacted
        .iter()
        .map(|argument| redact(argument).into_owned());
    arguments.collect()
}

/// Returns whether the name of a parameter, variable or member tells that its value is a secret.
pub fn is_telling(name: &str) -> bool {
    static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(concat!("(?i)^", name!(), "$")));
    NAME.is_match(name)
}

/// Returns whether an argument names what the next one is the value of: `npm config set _authToken`, `aws configure set`.
fn is_setting(argument: &str) -> bool {
    let argument = argument.to_ascii_lowercase();
    argument.ends_with("_authtoken")
        || ["aws_secret_access_key", "aws_session_token"].contains(&&*argument)
}

/// Returns whether an argument is one word that sets nothing: a secret in it has a shape of its own, and is none by what stands
/// before it.
fn is_plain_word(argument: &str) -> bool {
    static SETS: LazyLock<Regex> =
        LazyLock::new(|| pattern(concat!("(?i)", telling!(), "[a-z0-9_.-]*:")));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte);
    argument.bytes().all(is_plain) && !(argument.contains(':') && SETS.is_match(argument))
}

fn redact_query(argv: &[String]) -> Vec<String> {
    let mut query = form_urlencoded::Serializer::new("?".to_owned());
    for argument in argv {
        query.append_pair("command", argument);
    }
    let query = query.finish();
    let redacted = redact(&query);
    let arguments = form_urlencoded::parse(redacted.trim_start_matches('?').as_bytes());
    arguments.map(|(_, value)| value.into_owned()).collect()
}

/// What may exempt a match of a pattern.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Nothing.
    Plain,
    /// `bearer token` and the like in a sentence.
    Bearer,
    /// Names of `Event` objects have the shape of bootstrap tokens.
    Bootstrap,
    /// What a telling name stands before: no switches, and no paths.
    Named,
    /// A `command` parameter: only parts of it are secret.
    Command,
}

/// A word of a script inside a request URI: up to a blank, a quote or a separator, encoded or not.
macro_rules! encoded_word {
    () => {
        concat!(
            r#"(?:[^\s"'+;|%]|%(?:0[0-8BCEF]|1[0-9A-F]|2[134589A-F]|3[0-9AC-F]"#,
            "|[4-6][0-9A-F]|7[0-9ABD-F]|[89A-F][0-9A-F]))+"
        )
    };
}

/// Secrets by shape. `keep` and `after` stay; word boundaries are ASCII, so that matching is linear
/// in one pass of an automaton whatever the text.
const SECRETS: &[(Kind, &str)] = &[
    (
        Kind::Plain,
        r"(?s)-----BEGIN[ +%A-Z0-9]{1,60}-----.*?(?:-----END[ +%A-Z0-9]{1,60}-----|\z)",
    ),
    (Kind::Plain, r"LS0tLS1CRUdJTi[A-Za-z0-9+/=_-]*"),
    (Kind::Command, r"(?P<keep>[?&]command=)(?P<value>[^&\s]*)"),
    (
        Kind::Plain,
        r"eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_.-]*",
    ),
    (
        Kind::Bearer,
        r"(?i)(?P<keep>bearer(?:\s+|\+|%20))(?P<value>[A-Za-z0-9._~+/=-]+)",
    ),
    (
        Kind::Plain,
        r"(?i)(?P<keep>authorization(?::|=|%3A)\s*(?:basic|token|apikey|negotiate)\s+)[A-Za-z0-9+/=_.-]+",
    ),
    (
        Kind::Plain,
        r"(?P<keep>base64url\.bearer\.authorization\.k8s\.io\.)[A-Za-z0-9_-]+",
    ),
    (
        Kind::Bootstrap,
        r"(?P<keep>^|[^A-Za-z0-9_.-]|%[0-9A-Fa-f]{2})[a-z0-9]{6}\.(?P<value>[a-z0-9]{16})(?-u:\b)",
    ),
    (
        Kind::Named,
        concat!(
            r"(?i)(?P<keep>(?:^|[^a-z0-9_.-])",
            name!(),
            r#"(?:\\?["']\]?)?\s*:?=\s*)"#,
            value!()
        ),
    ),
    (
        Kind::Plain,
        concat!(
            r#"(?i)(?P<keep>""#,
            name!(),
            r#""\s*:\s*")(?:[^"\\]|\\.)+(?P<after>"|\z)?"#
        ),
    ),
    (
        Kind::Plain,
        concat!(
            r#"(?i)(?P<keep>\\""#,
            name!(),
            r#"\\"\s*:\s*\\")[^"\\]+(?P<after>\\"|\z)?"#
        ),
    ),
    (
        Kind::Plain,
        concat!(
            "(?i)(?P<keep>'",
            name!(),
            r"'\s*:\s*')[^']+(?P<after>'|\z)?"
        ),
    ),
    (
        Kind::Plain,
        r#"(?i)(?P<keep>[?&](?:client_assertion|x-amz-signature|x-amz-credential)=)[^&\s"'#;]+"#,
    ),
    (
        Kind::Plain,
        r#"(?i)(?P<keep>[?&](?:code|key|sig|signature|session|session_?id|jsessionid)=)[^&\s"'#;]+"#,
    ),
    (
        Kind::Plain,
        concat!(
            r"(?i)(?P<keep>(?-u:\B)(?:--?(?:[a-z0-9]+-)*",
            telling!(),
            "|--(?:[a-z0-9]+-)*(?:pass|pwd))",
            r#"(?:%3D|%20|\+))(?:[^\s&"'+%]|%(?:[013-9A-F][0-9A-F]|2[1-9A-F]))+"#
        ),
    ),
    (
        Kind::Plain,
        concat!(
            r"(?i)(?P<keep>(?-u:\B)(?:--?(?:[a-z0-9]+-)*",
            telling!(),
            "|--(?:[a-z0-9]+-)*(?:pass|pwd))",
            r#"(?:=|\s+))(?:"[^"]*"|'[^']*'|[^\s&"']+)"#
        ),
    ),
    (
        Kind::Plain,
        concat!(
            r"(?P<keep>(?-u:\b)[A-Z0-9_]*",
            r"(?:TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIALS|API_?KEY|ACCESS_KEY|PRIVATE_KEY)[A-Z0-9_]*=)",
            r#"(?:"[^"]*"|'[^']*'|[^\s&;|"']+)"#
        ),
    ),
    (
        Kind::Plain,
        r"(?P<keep>(?-u:\b)(?:(?:mysql|mariadb|sshpass)[a-z]*\s(?:[^&]*?\s)?-p|(?:zip|unzip)\s(?:[^&|;]*?\s)?-P\s|7z[ar]?\s(?:[^&|;]*?\s)?-p|openssl\s(?:[^&|;]*?\s)?-k\s|kadmin[a-z.]*\s(?:[^&|;]*?\s)?-w\s|smbclient\s(?:[^&|;]*?\s)?(?:-U|--user)[\s=]?[^\s%&|;]+%|sqlplus\s+(?:-\S+\s+)*[^\s/@&|;]+/|mysqladmin\s(?:[^&|;]*?\s)?password\s|npm\s(?:[^&|;]*?\s)?[^\s]*_authToken\s|curl\s(?:[^&|;]*?\s)?--oauth2-bearer\s|(?:mongo[a-z]*|cqlsh|useradd|usermod)\s(?:[^&|;]*?\s)?-p\s|(?:sqlcmd|bcp)\s(?:[^&|;]*?\s)?-P\s?|ldap[a-z]+\s(?:[^&|;]*?\s)?-w))\s?\S+",
    ),
    (
        Kind::Plain,
        r"(?P<keep>(?-u:\b)htpasswd\s+-[a-zA-Z0-9]*b[a-zA-Z0-9]*\s+(?:[^\s&|;]+\s+){1,2})[^\s&|;]+",
    ),
    // Passwords by their place behind a command.
    (
        Kind::Plain,
        concat!(
            r"(?P<keep>curl(?:\+|%20)(?:[^&|;\s]*?(?:\+|%20))?(?:-u|--user)(?:\+|%20|=)*(?:%22|%27)?[A-Za-z0-9_.@-]+(?::|%3A))",
            encoded_word!()
        ),
    ),
    (
        Kind::Plain,
        r#"(?i)(?P<keep>(?-u:\b)redis-cli\s(?:[^&|;"']*?\s)?auth\s+)[^|;&"'\r\n]+"#,
    ),
    (
        Kind::Plain,
        r#"(?P<keep>(?-u:\b)vault\s+login\s+(?:-\S+\s+)*)[^\s=&|;"'-][^\s=&|;"']*(?P<after>[\s&|;"']|\z)"#,
    ),
    (
        Kind::Plain,
        r"(?P<keep>(?-u:\b)rabbitmqctl\s(?:[^&|;]*?\s)?(?:add_user|change_password|authenticate_user)\s+\S+\s+)[^\s&|;]+",
    ),
    (
        Kind::Plain,
        r#"(?P<keep>(?-u:\b)(?:echo|printf)\s+(?:-[a-zA-Z]+\s+)*["']?[A-Za-z0-9_.-]+:)[^|\n]*[^|\s](?P<after>\s*\|\s*(?:sudo\s+)?(?:[a-z/]*/)?chpasswd)"#,
    ),
    (
        Kind::Plain,
        r#"(?P<keep>(?-u:\b)chpasswd\s[^&|;<\n]*<<<?\s*["']?[A-Za-z0-9_.-]+:)[^\s"']+"#,
    ),
    (
        Kind::Plain,
        r"(?P<keep>(?-u:\b)(?:echo|printf)\s+(?:-[a-zA-Z]+\s+)*)[^|\n]*[^|\s](?P<after>\s*\|\s*(?:[^|;&\n]*\s--(?:password-)?stdin|sudo\s+(?:-[a-zA-Z]+\s+)*-S)(?-u:\b))",
    ),
    (
        Kind::Plain,
        r"(?P<keep>--from-literal(?:=|\s+)[^=\s&]+=)[^\s&]+",
    ),
    (
        Kind::Plain,
        r#"(?P<keep>(?-u:\b)curl\s(?:[^&|;]*?\s)?(?:-b|--cookie)[=\s]?["']?[^\s"'=&|;]+=)[^\s"'&|;]+"#,
    ),
    (
        Kind::Plain,
        r#"(?i)(?P<keep>(?-u:\b)pass(?:word|wd|phrase):\s*)[^\s"'&,;]+"#,
    ),
    (
        Kind::Plain,
        r#"(?P<keep>(?-u:\B)(?:-u|--(?:proxy-)?user|--(?:src-|dest-)?creds)[=\s]\s*["']?[A-Za-z0-9_.@-]+:)[^\s"'&;|]+"#,
    ),
    (
        Kind::Plain,
        r#"(?P<keep>(?-u:\b)curl\s(?:[^&|;]*?\s)?-u["']?[A-Za-z0-9_.@-]+:)[^\s"'&;|]+"#,
    ),
    (
        Kind::Plain,
        r"(?P<keep>(?-u:\b)(?:az|docker|podman|nerdctl|helm|oc|skopeo|crane)\s(?:[^&|;]*?\s)?login\s(?:[^&|;]*?\s)?-p)\s?\S+",
    ),
    (
        Kind::Plain,
        r"(?i)(?P<keep>(?-u:\b)(?:password\s+'|password\s+for\s+\S+\s*=\s*'|identified(?:\s+with\s+\S+)?\s+(?:by|as)\s+'|password\s?\(\s*'))[^']+(?P<after>'|\z)?",
    ),
    (
        Kind::Plain,
        r"(?P<keep>(?-u:\b)aws_(?:secret_access_key|session_token)\s+)\S+",
    ),
    (Kind::Plain, r#"(?P<keep>(?:^|[\s=])pass:)[^\s"'&]+"#),
    (
        Kind::Plain,
        r#"(?i)(?P<keep>(?:^|[\s"'])cookie:\s*)[^\s"'][^"'\r\n]*"#,
    ),
    (
        Kind::Plain,
        r#"(?i)(?P<keep>(?-u:\b)(?:AccountKey|SharedAccessKey|SharedAccessSignature)=)[^;\s"'&]+"#,
    ),
    (
        Kind::Plain,
        concat!(
            r"(?i)(?P<keep>",
            telling!(),
            r#"[a-z0-9_.-]*\]?: invalid value: \\?")[^"\\]+"#
        ),
    ),
    (
        Kind::Plain,
        r"(?P<keep>hooks\.slack\.com/(?:services|workflows|triggers)/)[A-Za-z0-9/_-]+",
    ),
    (Kind::Plain, r"(?P<keep>://[^/\s:@]+:)[^/\s@]+(?P<after>@)"),
    // A token in place of a user: as long as no name is.
    (Kind::Plain, r"(?P<keep>://)[A-Za-z0-9_.-]{20,}(?P<after>@)"),
    (
        Kind::Plain,
        r"(?i)(?P<keep>%3A%2F%2F[a-z0-9._~+-]+%3A)[^&\s]+?(?P<after>%40)",
    ),
    (Kind::Plain, r"(?-u:\b)(?:AKIA|ASIA)[A-Z0-9]{16}(?-u:\b)"),
    (Kind::Plain, r"(?P<keep>(?-u:\b)k8s-aws-v1\.)[A-Za-z0-9_-]+"),
    (
        Kind::Plain,
        concat!(
            r"(?-u:\b)(?:ya29\.[A-Za-z0-9_-]{8,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}",
            r"|gl[a-z]{2,5}-[A-Za-z0-9_-]{20,}|xox[a-z]-[A-Za-z0-9-]{10,}|hv[sbr]\.[A-Za-z0-9_-]{20,}",
            r"|[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|dckr_pat_[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{30,}|AIza[A-Za-z0-9_-]{30,})"
        ),
    ),
];

/// Compiles a constant pattern.
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("patterns are constant")
}

/// Returns what stands for `found` in the output.
fn replacement(kind: Kind, found: &Captures<'_>) -> String {
    const WORDS: [&str; 9] = [
        "token",
        "tokens",
        "token.",
        "tokens.",
        "auth",
        "authentication",
        "authorization",
        "credential",
        "credentials",
    ];
    const SWITCHES: [&str; 10] = [
        "true", "false", "yes", "no", "none", "null", "on", "off", "basic", "trust",
    ];
    let part = |name| found.name(name).map_or("", |part| part.as_str());
    let value = part("value");
    let exempt = match kind {
        Kind::Plain | Kind::Command => false,
        // `PWD=/root`, `auth = basic`, and what is told of `annotations.authentication.k8s.io/legacy-token`.
        Kind::Named => {
            let (keep, name) = (part("keep"), part("short").to_ascii_lowercase());
            let is_switch = SWITCHES.iter().any(|word| value.eq_ignore_ascii_case(word));
            let is_path = value.starts_with('/') && name.ends_with("pwd");
            !name.is_empty() && (is_switch || is_path)
                || keep.starts_with('/') && keep.contains(char::is_whitespace)
        }
        Kind::Bearer => WORDS.iter().any(|word| value.eq_ignore_ascii_case(word)),
        // An event is named after its object and the nanoseconds since the epoch, in hex.
        Kind::Bootstrap => {
            value.bytes().all(|byte| byte.is_ascii_hexdigit())
                && matches!(value.as_bytes()[..2], [b'1', b'5'..=b'9' | b'a'])
        }
    };
    if exempt {
        return found[0].to_owned();
    }
    // What was taken out before, and the end of the sentence it stands in.
    let rest = found[0].strip_prefix(part("keep")).unwrap_or_default();
    let rest = rest.trim_start();
    let ends = |sign: char| matches!(sign, ':' | ',' | ';' | '.' | ')' | '\'' | '"');
    if rest
        .strip_prefix(REDACTED)
        .is_some_and(|rest| rest.chars().all(ends))
    {
        return found[0].to_owned();
    }
    format!("{}{REDACTED}{}", part("keep"), part("after"))
}

/// Redacts exec arguments: `command=--password=x`, `command=--token&command=x`, `command=-px`, and
/// assignments inside a script, percent-encoded or not.
fn redact_commands<'a>(command: &Regex, text: &'a str) -> Cow<'a, str> {
    static FLAG: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"(?i)^(?:--?(?:[a-z0-9]+-)*",
            telling!(),
            "|--(?:[a-z0-9]+-)*(?:pass|pwd)|--oauth2-bearer)$"
        ))
    });
    /// Words behind which the argument of a flag is a password, and those flags: `sshpass -p`, `redis-cli -a`, `az login -p`.
    static CLIENT: LazyLock<[Regex; 4]> = LazyLock::new(|| {
        [
            pattern(
                "^(?:(?:.*(?:/|%2F))?(?:sshpass|redis-cli|mysql[a-z]*|mariadb[a-z-]*|mongo[a-z]*|cqlsh|useradd|usermod|sqlcmd|bcp|ldap[a-z]+|kadmin[a-z.]*)|login)$",
            ),
            pattern("^-[pawP]$"),
            pattern("^(?:.*(?:/|%2F))?(?:zip|unzip|openssl)$"),
            pattern("^-[kP]$"),
        ]
    });
    /// The flags of curl and its like that take `user:password`, that value, and both in one.
    static USER: LazyLock<[Regex; 3]> = LazyLock::new(|| {
        [
            pattern("^(?:-u|--(?:proxy-)?user|--(?:src-|dest-)?creds)$"),
            pattern("^(?P<keep>[A-Za-z0-9_.@-]+(?::|%3A)).+$"),
            pattern("^(?P<keep>-u[A-Za-z0-9_.@-]+(?::|%3A)).+$"),
        ]
    });
    /// What makes a Secret, or a cookie, of a name and a value.
    static LITERAL: LazyLock<Regex> = LazyLock::new(|| pattern("^(?P<keep>[^=%]+(?:=|%3D)).+$"));
    let [user_flag, user_password, joined] = &*USER;
    let clients = CLIENT.as_chunks::<2>().0;
    let (mut user_follows, mut password_flag) = (false, None::<&Regex>);
    let (mut value_follows, mut literal_follows, mut end) = (false, false, 0);
    let mut placed: Option<Placed> = None;
    command.replace_all(text, |found: &Captures<'_>| {
        let (keep, value) = (&found["keep"], &found["value"]);
        let place = found.get(0).expect("group 0 is the match").range();
        let is_value = value_follows && place.start == end && !value.is_empty();
        let is_user = user_follows && place.start == end;
        let is_literal = literal_follows && place.start == end;
        placed = placed.filter(|_| place.start == end);
        let is_placed = placed.as_mut().is_some_and(|placed| placed.take(value));
        placed = Placed::of(value).or(placed);
        let client = clients.iter().find(|[client, _]| client.is_match(value));
        password_flag = client
            .map(|[_, flag]| flag)
            .or(password_flag.filter(|_| place.start == end));
        let is_flag = FLAG.is_match(value)
            || is_setting(value)
            || password_flag.is_some_and(|flag| flag.is_match(value));
        (value_follows, end) = (is_flag, place.end);
        user_follows = user_flag.is_match(value);
        literal_follows = matches!(value, "--from-literal" | "-b" | "--cookie");
        if is_value || is_placed {
            format!("{keep}{REDACTED}")
        } else if let Some(user) = joined.captures(value) {
            format!("{keep}{}{REDACTED}", &user["keep"])
        } else if let Some(user) = user_password.captures(value).filter(|_| is_user) {
            format!("{keep}{}{REDACTED}", &user["keep"])
        } else if let Some(literal) = LITERAL.captures(value).filter(|_| is_literal) {
            format!("{keep}{}{REDACTED}", &literal["keep"])
        } else {
            format!("{keep}{}", redact_argument(value))
        }
    })
}

/// A command that takes a password by its place among the arguments.
#[derive(Clone, Copy)]
struct Placed {
    program: &'static str,
    /// Arguments before the password, once it is to come.
    n_before: Option<usize>,
}

impl Placed {
    /// Returns the command that an argument is, if it is one of them; encoded or not.
    fn of(argument: &str) -> Option<Self> {
        const PROGRAMS: [&str; 3] = ["vault", "redis-cli", "rabbitmqctl"];
        let name = argument.rsplit('/').next().unwrap_or(argument);
        let name = name.rsplit("%2F").next().unwrap_or(name);
        let program = PROGRAMS.into_iter().find(|program| *program == name)?;
        Some(Self {
            program,
            n_before: None,
        })
    }

    /// Takes the next argument; returns whether it is the password.
    fn take(&mut self, argument: &str) -> bool {
        let is_flag = argument.starts_with('-');
        let sets = argument.contains('=') || argument.contains("%3D");
        match (self.program, self.n_before) {
            ("vault", None) if argument == "login" => self.n_before = Some(0),
            ("redis-cli", None) if argument.eq_ignore_ascii_case("auth") => self.n_before = Some(0),
            ("rabbitmqctl", None)
                if matches!(
                    argument,
                    "add_user" | "change_password" | "authenticate_user"
                ) =>
            {
                self.n_before = Some(1);
            }
            (_, None) => {}
            // It may come behind the name of a user.
            ("redis-cli", Some(_)) => return true,
            (_, Some(_)) if is_flag => {}
            (_, Some(0)) => {
                self.n_before = None;
                return !sets;
            }
            (_, Some(n)) => self.n_before = Some(n - 1),
        }
        false
    }
}

/// Redacts the secrets in one exec argument, percent-encoded as in a request URI.
fn redact_argument(argument: &str) -> Cow<'_, str> {
    /// Whole arguments: nothing of the value can be told from what follows it.
    static WHOLE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"(?i)^(?P<keep>--?[a-z0-9_-]*",
            telling!(),
            r"[a-z0-9_-]*(?:=|%3D)).+$"
        ))
    });
    /// Assignments and headers in a script: up to the closing quote, or to a blank or separator.
    static INSIDE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"(?i)(?P<keep>[a-z0-9_.-]*",
            telling!(),
            r#"[a-z0-9_.-]*(?:"|%22|%27)?(?:=|:|%3D|%3A)(?:%20|\+)*)"#,
            r#"(?:(?:%24|\$)(?:%28|\().*?(?:%29|\)|\z)|%60.*?(?:%60|\z)|%22.*?%22(?:%7D|%29|%5D|[)}\]])*|%27.*?%27(?:%7D|%29|%5D|[)}\]])*|".*?"|'.*?'|"#,
            encoded_word!(),
            ")"
        ))
    });
    static USER: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"(?P<keep>-(?:u|-(?:proxy-)?user)(?:=|%3D|%20|\+)+(?:%22|%27)?",
            r"[A-Za-z0-9_.@-]+(?::|%3A))",
            encoded_word!()
        ))
    });
    static CLIENT: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?ix)(?P<keep>(?:(?:mysql|mariadb|sshpass)[a-z]*(?:%20|\+)(?:.*?(?:%20|\+))?-p
                |(?:mongo[a-z]*|cqlsh|useradd|usermod)(?:%20|\+)(?:.*?(?:%20|\+))?-p(?:%20|\+)
                |ldap[a-z]+(?:%20|\+)(?:.*?(?:%20|\+))?-w
                |redis-cli(?:%20|\+)(?:.*?(?:%20|\+))?-a
                |(?:docker|podman|nerdctl|helm)(?:%20|\+)(?:.*?(?:%20|\+))?login(?:%20|\+)(?:.*?(?:%20|\+))?-p))
                (?:%20|\+|%27|%22)*[^%+]+",
        )
    });
    /// Flags of `find` and others that merely begin with `-p`.
    const NO_PASSWORD: [&str; 9] = [
        "-pass", "-path", "-perm", "-port", "-print", "-print0", "-printf", "-prune", "-pv",
    ];

    if WHOLE.is_match(argument) {
        return WHOLE.replace(argument, format!("${{keep}}{REDACTED}"));
    }
    if argument.len() > 2 && argument.starts_with("-p") && !NO_PASSWORD.contains(&argument) {
        return Cow::Owned(format!("-p{REDACTED}"));
    }
    let replacement = format!("${{keep}}{REDACTED}");
    let inside = INSIDE.replace_all(argument, &replacement);
    let inside = USER.replace_all(&inside, &replacement);
    let inside = CLIENT.replace_all(&inside, &replacement);
    // What other texts are searched for, an argument has encoded. Its own arguments were looked at just now.
    let decoded = inside.replace('+', " ");
    let decoded = percent_decode_str(&decoded).decode_utf8_lossy();
    let redacted = redact_but(&decoded, Some(Kind::Command));
    if redacted == decoded {
        return Cow::Owned(inside.into_owned());
    }
    let encoded: String = form_urlencoded::byte_serialize(redacted.as_bytes()).collect();
    Cow::Owned(encoded.replace("%5Bredacted%5D", REDACTED))
}

#[cfg(test)]
mod tests;

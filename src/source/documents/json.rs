//! JSON (RFC 8259) followed for its brackets, in blocks of any size.
//!
//! The order of tokens is checked, because damage must show early: a document that breaks off swallows
//! what follows as its own values until something is out of place. What stands in strings and scalars
//! is not checked, but for line ends and NULs, which prove a string to be cut. Nesting costs a bit a
//! level and no stack.

/// Deepest nesting that is followed; deeper is damage. kube-apiserver refuses far less.
const DEPTH_MAX: usize = 1 << 20;

/// What was seen at a depth that is watched. Places are indices into the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A value in an array or at the top, or a container, starts.
    Start { at: usize, depth: usize },
    /// It ended before `end`.
    End { end: usize, depth: usize },
    /// The opening quote of a name.
    KeyStart { at: usize },
    /// The closing quote of a name.
    KeyEnd { at: usize },
    /// Between values at the top stands something else.
    Stray { at: usize },
    /// A byte that cannot stand where it does.
    Damage { at: usize },
}

/// What came last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Top,
    ObjectOpen,
    ObjectComma,
    Key,
    Colon,
    ObjectValue,
    ObjectScalar,
    ArrayOpen,
    ArrayComma,
    ArrayValue,
    ArrayScalar,
}

#[derive(Clone, Copy)]
enum Class {
    Blank,
    Open,
    Close,
    Comma,
    Colon,
    Quote,
    Scalar,
    Odd,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Odd; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 256")]
        let class = match byte as u8 {
            b' ' | b'\t' | b'\r' | b'\n' => Class::Blank,
            b'{' | b'[' => Class::Open,
            b'}' | b']' => Class::Close,
            b',' => Class::Comma,
            b':' => Class::Colon,
            b'"' => Class::Quote,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'+' | b'-' | b'.' => Class::Scalar,
            _ => Class::Odd,
        };
        classes[byte] = class;
        byte += 1;
    }
    classes
};

/// Follows the brackets.
pub(super) struct Machine {
    state: State,
    in_string: bool,
    /// The last byte was a backslash that escapes the next.
    is_escaped: bool,
    depth: usize,
    /// A bit a level: 1 is an array.
    kinds: Vec<u64>,
    /// Values down to this depth make tokens.
    depth_watched: usize,
    /// Names at this depth make tokens.
    depth_of_keys: usize,
}

impl Machine {
    pub(super) fn new(depth_watched: usize, depth_of_keys: usize) -> Self {
        Self {
            state: State::Top,
            in_string: false,
            is_escaped: false,
            depth: 0,
            kinds: Vec::new(),
            depth_watched,
            depth_of_keys,
        }
    }

    pub(super) fn watch(&mut self, depth_watched: usize, depth_of_keys: usize) {
        (self.depth_watched, self.depth_of_keys) = (depth_watched, depth_of_keys);
    }

    /// Forgets everything: the next byte is at the top.
    pub(super) fn reset(&mut self) {
        (self.state, self.depth) = (State::Top, 0);
        (self.in_string, self.is_escaped) = (false, false);
        self.kinds.clear();
    }

    /// Whether a value has started at the top and not ended.
    pub(super) fn is_open(&self) -> bool {
        self.depth > 0
    }

    /// Goes on from `data[*place]` to the next token, or `None` at the end of the block.
    ///
    /// `place` is left behind the token, but at a stray or wrong byte itself.
    pub(super) fn next(&mut self, data: &[u8], place: &mut usize) -> Option<Token> {
        let mut at = *place;
        let mut state = self.state;
        let token = loop {
            if self.in_string {
                match string_end(data, at, &mut self.is_escaped) {
                    Stop::Quote(end) => {
                        self.in_string = false;
                        at = end + 1;
                        if state == State::Key {
                            if self.depth == self.depth_of_keys {
                                break Some(Token::KeyEnd { at: end });
                            }
                        } else if state == State::ArrayValue && self.depth <= self.depth_watched {
                            let depth = self.depth;
                            break Some(Token::End { end: at, depth });
                        }
                    }
                    Stop::Cut(end) => {
                        at = end;
                        break Some(Token::Damage { at });
                    }
                    Stop::More => {
                        at = data.len();
                        break None;
                    }
                }
            }
            let Some(&byte) = data.get(at) else {
                break None;
            };
            if state == State::Top {
                match byte {
                    b'{' | b'[' => {}
                    // Blanks, what RFC 7464 and careless joining put between, and byte order marks.
                    b' ' | b'\t' | b'\r' | b'\n' | b',' | 0 | 0x1e | 0xef | 0xbb | 0xbf => {
                        at += 1;
                        continue;
                    }
                    _ => break Some(Token::Stray { at }),
                }
            }
            match (CLASSES[usize::from(byte)], state) {
                (Class::Scalar, State::ObjectScalar | State::ArrayScalar) => at += 1,
                (_, State::ArrayScalar) => {
                    state = State::ArrayValue;
                    if self.depth <= self.depth_watched {
                        let depth = self.depth;
                        break Some(Token::End { end: at, depth });
                    }
                }
                (_, State::ObjectScalar) => state = State::ObjectValue,
                (Class::Blank, _) => at += 1,
                (Class::Scalar, State::Colon) => {
                    state = State::ObjectScalar;
                    at += 1;
                }
                (Class::Quote, State::ObjectOpen | State::ObjectComma) => {
                    (state, self.in_string) = (State::Key, true);
                    at += 1;
                    if self.depth == self.depth_of_keys {
                        break Some(Token::KeyStart { at: at - 1 });
                    }
                }
                (Class::Quote, State::Colon) => {
                    (state, self.in_string) = (State::ObjectValue, true);
                    at += 1;
                }
                (Class::Quote | Class::Scalar, State::ArrayOpen | State::ArrayComma) => {
                    self.in_string = byte == b'"';
                    state = if self.in_string {
                        State::ArrayValue
                    } else {
                        State::ArrayScalar
                    };
                    at += 1;
                    if self.depth <= self.depth_watched {
                        let depth = self.depth;
                        break Some(Token::Start { at: at - 1, depth });
                    }
                }
                (Class::Open, State::Top | State::Colon | State::ArrayOpen | State::ArrayComma)
                    if self.depth < DEPTH_MAX =>
                {
                    let depth = self.depth;
                    state = self.push(byte == b'[');
                    at += 1;
                    if depth <= self.depth_watched {
                        break Some(Token::Start { at: at - 1, depth });
                    }
                }
                (Class::Close, State::ObjectOpen | State::ObjectValue) if byte == b'}' => {
                    state = self.pop();
                    at += 1;
                    if self.depth <= self.depth_watched {
                        let depth = self.depth;
                        break Some(Token::End { end: at, depth });
                    }
                }
                (Class::Close, State::ArrayOpen | State::ArrayValue) if byte == b']' => {
                    state = self.pop();
                    at += 1;
                    if self.depth <= self.depth_watched {
                        let depth = self.depth;
                        break Some(Token::End { end: at, depth });
                    }
                }
                (Class::Comma, State::ObjectValue) => {
                    state = State::ObjectComma;
                    at += 1;
                }
                (Class::Comma, State::ArrayValue) => {
                    state = State::ArrayComma;
                    at += 1;
                }
                (Class::Colon, State::Key) => {
                    state = State::Colon;
                    at += 1;
                }
                _ => break Some(Token::Damage { at }),
            }
        };
        (self.state, *place) = (state, at);
        token
    }

    fn push(&mut self, is_array: bool) -> State {
        let (word, bit) = (self.depth / 64, 1 << (self.depth % 64));
        if word == self.kinds.len() {
            self.kinds.push(0);
        }
        self.depth += 1;
        if is_array {
            self.kinds[word] |= bit;
            State::ArrayOpen
        } else {
            self.kinds[word] &= !bit;
            State::ObjectOpen
        }
    }

    fn pop(&mut self) -> State {
        self.depth -= 1;
        let Some(outer) = self.depth.checked_sub(1) else {
            return State::Top;
        };
        if self.kinds[outer / 64] >> (outer % 64) & 1 == 1 {
            State::ArrayValue
        } else {
            State::ObjectValue
        }
    }
}

/// Where a string stops.
enum Stop {
    Quote(usize),
    /// At a line end or NUL.
    Cut(usize),
    More,
}

/// Looks for the end of the string from `at` on.
///
/// Strings of audit logs are short: eight bytes at a time in a register beat a call of `memchr`.
fn string_end(data: &[u8], mut at: usize, is_escaped: &mut bool) -> Stop {
    if *is_escaped {
        if at == data.len() {
            return Stop::More;
        }
        *is_escaped = false;
        // A line end is damage even there.
        if !matches!(data[at], b'\n' | 0) {
            at += 1;
        }
    }
    loop {
        while let Some(block) = data[at..].first_chunk::<8>() {
            let found = special(u64::from_le_bytes(*block));
            if found == 0 {
                at += 8;
                continue;
            }
            at += found.trailing_zeros() as usize / 8;
            break;
        }
        match data.get(at) {
            None => return Stop::More,
            Some(b'"') => return Stop::Quote(at),
            Some(b'\\') => match data.get(at + 1) {
                None => {
                    *is_escaped = true;
                    return Stop::More;
                }
                Some(b'\n' | 0) => return Stop::Cut(at + 1),
                Some(_) => at += 2,
            },
            Some(b'\n' | 0) => return Stop::Cut(at),
            Some(_) => at += 1,
        }
    }
}

/// Returns a word whose lowest set bit is in the first byte that is a quote, a backslash or below 0x20.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGHS: u64 = ONES << 7;
    const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
    const SLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);
    let below = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = word ^ QUOTES;
    let quote = quote.wrapping_sub(ONES) & !quote;
    let slash = word ^ SLASHES;
    let slash = slash.wrapping_sub(ONES) & !slash;
    (below | quote | slash) & HIGHS
}

//! The run's dictionary: every repeated text has one 32-bit code in all chunks and columns.
//!
//! Codes differ from run to run (threads race for them), so nothing may depend on their order.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use polars::prelude::{CategoricalMapping, CategoricalPhysical, Categories, DataType, PlSmallStr};

/// The code of null.
pub const NULL: u32 = u32::MAX;

/// Longest text of those that anybody can send without a credential, in bytes. The API server itself cuts agents at 1024; of 413
/// in 380 recorded logs, one made for that had as many and the others at most 157. No object has a name of more than 253.
const STRANGERS_LONGEST: usize = 256;

/// Ends a text that was cut.
const CUT: &str = "\u{2026} (cut)";

/// Returns what is kept of a text that anybody can send: the dictionary lasts as long as the run does.
///
/// This depends on the text alone: which texts come first differs from run to run.
pub(super) fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= STRANGERS_LONGEST {
        return Cow::Borrowed(text);
    }
    let is_end = |at: &usize| text.is_char_boundary(*at);
    let end = (0..=STRANGERS_LONGEST).rev().find(is_end).unwrap_or(0);
    Cow::Owned(format!("{}{CUT}", &text[..end]))
}

/// Returns whether a text was cut.
pub(crate) fn is_cut(text: &str) -> bool {
    text.len() > STRANGERS_LONGEST && text.ends_with(CUT)
}

macro_rules! known {
    ($($name:ident $text:literal;)*) => {
        /// Codes that are the same in every run, so that a comparison needs no look-up.
        pub mod known {
            #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "numbers the words")]
            enum Word { $($name,)* }
            $(#[doc = concat!("The code of `", $text, "`.")] pub const $name: u32 = Word::$name as u32;)*
        }

        const KNOWN: &[&str] = &[$($text,)*];
    };
}

known! {
    ANONYMOUS "anonymous";
    NODE "node";
    SERVICE_ACCOUNT "serviceaccount";
    REQUEST "Request";
    REQUEST_RESPONSE "RequestResponse";
    RESPONSE_STARTED "ResponseStarted";
    RESPONSE_COMPLETE "ResponseComplete";
    PANIC "Panic";
    WATCH "watch";
    PODS "pods";
    SECRETS "secrets";
    SERVICE_ACCOUNTS "serviceaccounts";
    ROLE_BINDINGS "rolebindings";
    CLUSTER_ROLE_BINDINGS "clusterrolebindings";
    TOKEN "token";
    EXEC "exec";
    TOKEN_REVIEWS "tokenreviews";
    LEGACY_TOKEN "legacy-token";
    OK "ok";
    UNAUTHENTICATED "unauthenticated";
    DENIED "denied";
    ERROR "error";
    CREATE "create";
    UPDATE "update";
    PATCH "patch";
    DELETE "delete";
    CERTIFICATE_SIGNING_REQUESTS "certificatesigningrequests";
    COMPONENT "component";
    REQUEST_RECEIVED "RequestReceived";
    METADATA "Metadata";
    API_SERVER "system:apiserver";
    POD_CERTIFICATE_REQUESTS "podcertificaterequests";
    X509 "x509";
    USER "user";
    NAMESPACES "namespaces";
    PROJECT_REQUESTS "projectrequests";
}

/// A dictionary of texts that threads share. Cloning it is cheap and gives the same dictionary.
#[derive(Clone)]
pub struct Vocabulary {
    data_type: DataType,
    mapping: Arc<CategoricalMapping>,
    past: Arc<OnceLock<Past>>,
    numbers: Arc<AtomicU64>,
}

/// What a dictionary was recalled from: codes of which some have no text any more. They are never given again, while the
/// mapping counts without a gap.
struct Past {
    /// Behind the last code that was given.
    end: u32,
    /// The codes that have a text, in order: the mapping's number of each is its place.
    codes: Vec<u32>,
    /// The mapping's numbers by code, in blocks of which those without a text are left out.
    numbers: Vec<Option<Box<[u32; PAST_BLOCK]>>>,
}

const PAST_BLOCK: usize = 4096;

impl Past {
    /// Returns the number that stands behind those of the past for the first code behind them.
    fn shift(&self) -> u32 {
        self.end - u32::try_from(self.codes.len()).expect("there are fewer texts than codes")
    }

    fn code(&self, number: u32) -> u32 {
        let known = self.codes.get(number as usize);
        known.copied().unwrap_or_else(|| number + self.shift())
    }

    /// Returns the mapping's number of a code, [`NULL`] if its text is gone.
    fn number(&self, code: u32) -> u32 {
        if code >= self.end {
            return code - self.shift();
        }
        let (block, place) = (code as usize / PAST_BLOCK, code as usize % PAST_BLOCK);
        self.numbers[block]
            .as_ref()
            .map_or(NULL, |block| block[place])
    }
}

impl Vocabulary {
    /// Returns an empty dictionary.
    pub fn new() -> Self {
        let categories = Categories::random(
            PlSmallStr::from_static("kubescry"),
            CategoricalPhysical::U32,
        );
        let mapping = categories.mapping();
        let vocabulary = Self {
            data_type: DataType::Categorical(categories, mapping.clone()),
            mapping,
            past: Arc::default(),
            numbers: Arc::new(AtomicU64::new(1)),
        };
        for (code, word) in (0..).zip(KNOWN) {
            assert_eq!(vocabulary.code(word), code, "codes count from zero");
        }
        vocabulary
    }

    /// Returns the Polars type of the coded columns; a dictionary that was recalled has none, as its codes have gaps.
    pub fn data_type(&self) -> &DataType {
        debug_assert!(self.past.get().is_none(), "the codes have gaps");
        &self.data_type
    }

    /// Returns whether `other` is the same dictionary.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.mapping, &other.mapping)
    }

    /// Returns the code of `text`, which is new if it has to be; the empty text is null.
    pub fn code(&self, text: &str) -> u32 {
        if text.is_empty() {
            return NULL;
        }
        let number = self
            .mapping
            .insert_cat(text)
            .expect("fewer than 2^32 distinct texts");
        self.code_of(number)
    }

    /// Returns the code that stands for a number of the mapping.
    fn code_of(&self, number: u32) -> u32 {
        self.past.get().map_or(number, |past| past.code(number))
    }

    /// Returns the code of `text`, if it has one.
    pub fn find(&self, text: &str) -> Option<u32> {
        Some(self.code_of(self.mapping.get_cat(text)?))
    }

    /// Returns the text of `code`; null is the empty text.
    pub fn text(&self, code: u32) -> &str {
        if code == NULL {
            return "";
        }
        self.kept(code).expect("code of this vocabulary")
    }

    /// Returns the text of `code`, unless it was forgotten.
    pub(crate) fn kept(&self, code: u32) -> Option<&str> {
        let number = self.past.get().map_or(code, |past| past.number(code));
        self.mapping.cat_to_str(number)
    }

    /// Returns whether `code` is one of [`known`].
    pub(crate) const fn is_known(code: u32) -> bool {
        (code as usize) < KNOWN.len()
    }

    /// Returns the number behind the last code that was given; no other thread may add a text meanwhile.
    pub(crate) fn end(&self) -> u32 {
        self.code_of(u32::try_from(self.mapping.num_cats_upper_bound()).unwrap_or(NULL))
    }

    /// Gives `texts` their codes, which are in order, and no text the other codes before `end`; returns whether that could
    /// be, as it can in a new dictionary.
    ///
    /// Texts may have become equal where secrets were taken out: the later ones are numbered.
    pub(crate) fn recall<'t>(
        &self,
        end: u32,
        texts: impl IntoIterator<Item = (u32, &'t str)>,
    ) -> bool {
        if self.mapping.num_cats_upper_bound() != KNOWN.len() || self.past.get().is_some() {
            return false;
        }
        let (mut codes, mut numbers) = (Vec::new(), Vec::new());
        numbers.resize_with((end as usize).div_ceil(PAST_BLOCK), || None);
        for (next, (code, text)) in (0..).zip(texts) {
            let numbered = (2_u32..).map(|number| Cow::Owned(format!("{text} ({number})")));
            let mut texts = std::iter::once(Cow::Borrowed(text)).chain(numbered);
            let number = texts.find_map(|text| {
                let number = self.mapping.insert_cat(&text).ok()?;
                (number >= next).then_some(number)
            });
            let is_in_order = codes.last().is_none_or(|last| *last < code);
            if number != Some(next) || !is_in_order || code >= end {
                return false;
            }
            codes.push(code);
            let block = &mut numbers[code as usize / PAST_BLOCK];
            let block = block.get_or_insert_with(|| Box::new([NULL; PAST_BLOCK]));
            block[code as usize % PAST_BLOCK] = next;
        }
        let known = codes.iter().zip(0..).take(KNOWN.len());
        let is_whole = codes.len() >= KNOWN.len() && known.clone().all(|(code, at)| *code == at);
        let past = Past {
            end,
            codes,
            numbers,
        };
        is_whole && self.past.set(past).is_ok()
    }

    /// Returns a number that nothing else has in frames of this dictionary; not 0.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the elements of a list column's value.
    pub fn list(&self, code: u32) -> Vec<Cow<'_, str>> {
        parse_list(self.text(code))
    }
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the elements of a list column's text.
pub fn parse_list(text: &str) -> Vec<Cow<'_, str>> {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        for text in ["", "curl/8", &"x".repeat(STRANGERS_LONGEST)] {
            assert_eq!(cut(text), text);
            assert!(!is_cut(&cut(text)));
        }
        for text in ["x".repeat(1000), format!("x{}", "\u{e4}".repeat(500))] {
            let short = cut(&text);
            assert!(is_cut(&short) && short.len() <= STRANGERS_LONGEST + CUT.len());
            assert!(text.starts_with(short.strip_suffix(CUT).unwrap()));
        }
    }

    #[test]
    fn a_code_that_lost_its_text_is_never_given_again() {
        let old = Vocabulary::new();
        let codes: Vec<u32> = (0..10_000)
            .map(|n| old.code(&format!("text {n}")))
            .collect();
        let end = old.end();
        let stays = |code: u32| Vocabulary::is_known(code) || code % 5000 == 77;
        let kept = (0..end).filter(|&code| stays(code));
        let new = Vocabulary::new();
        assert!(new.recall(end, kept.map(|code| (code, old.text(code)))));
        assert_eq!(new.end(), end);
        for (n, &code) in codes.iter().enumerate() {
            let text = format!("text {n}");
            let expected = stays(code).then_some(code);
            assert_eq!(new.find(&text), expected, "{text}");
            assert_eq!(new.kept(code), expected.map(|_| &*text));
        }
        for n in 0..10 {
            let text = format!("text {n}");
            assert_eq!(new.code(&text), end + n);
            assert_eq!(
                (new.text(end + n), new.find(&text)),
                (&*text, Some(end + n))
            );
        }
        assert_eq!((new.end(), new.code("pods")), (end + 10, known::PODS));
        assert!(!new.recall(end, []), "it is not new");
        assert!(!Vocabulary::new().recall(5, []), "known words are missing");
    }
}

//! The run's dictionary: every repeated text has one 32-bit code in all chunks and columns.
//!
//! Codes differ from run to run (threads race for them), so nothing may depend on their order.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use polars::prelude::{CategoricalMapping, CategoricalPhysical, Categories, DataType, PlSmallStr};

/// The code of null.
pub const NULL: u32 = u32::MAX;

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
}

/// A dictionary of texts that threads share. Cloning it is cheap and gives the same dictionary.
#[derive(Clone)]
pub struct Vocabulary {
    data_type: DataType,
    mapping: Arc<CategoricalMapping>,
    numbers: Arc<AtomicU64>,
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
            numbers: Arc::new(AtomicU64::new(1)),
        };
        for (code, word) in (0..).zip(KNOWN) {
            assert_eq!(vocabulary.code(word), code, "codes count from zero");
        }
        vocabulary
    }

    /// Returns the Polars type of the coded columns.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// Returns the code of `text`, which is new if it has to be; the empty text is null.
    pub fn code(&self, text: &str) -> u32 {
        if text.is_empty() {
            return NULL;
        }
        self.mapping
            .insert_cat(text)
            .expect("fewer than 2^32 distinct texts")
    }

    /// Returns the code of `text`, if it has one.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.mapping.get_cat(text)
    }

    /// Returns the text of `code`; null is the empty text.
    pub fn text(&self, code: u32) -> &str {
        if code == NULL {
            return "";
        }
        self.mapping
            .cat_to_str(code)
            .expect("code of this vocabulary")
    }

    /// Returns all texts in the order of their codes; no other thread may add one meanwhile.
    ///
    /// Here is the place to leave out those that nothing refers to any more: their codes would have to stay taken, as
    /// what remembers codes holds them as plain numbers.
    pub(crate) fn texts(&self) -> Vec<&str> {
        let codes = 0..u32::try_from(self.mapping.num_cats_upper_bound()).unwrap_or(NULL);
        codes.map(|code| self.text(code)).collect()
    }

    /// Gives `texts` the codes that their order says; returns whether those were free, as they are in a new dictionary.
    ///
    /// Texts may have become equal where secrets were taken out: the later ones are numbered.
    pub(crate) fn recall<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> bool {
        let is_new = self.mapping.num_cats_upper_bound() == KNOWN.len();
        is_new
            && (0..).zip(texts).all(|(code, text)| {
                let numbered = (2_u32..).map(|number| Cow::Owned(format!("{text} ({number})")));
                let mut texts = std::iter::once(Cow::Borrowed(text)).chain(numbered);
                let found = texts.find_map(|text| {
                    let found = self.code(&text);
                    (found >= code).then_some(found)
                });
                found == Some(code)
            })
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

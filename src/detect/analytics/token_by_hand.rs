//! `program-token-by-hand`: the token of a `ServiceAccount` in the hands of a person.
//!
//! Told by the user agents that one credential is used with. Only what was done by hand is kept, so that the
//! program's own work, which is most of a log, costs a look-up.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Context, Draft, begins, counted, listed};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::Finding;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct TokenByHand {
    meta: RuleMeta,
    window_us: i64,
    by_hand: Vec<String>,
    by_either: Vec<String>,
    /// Who drives a user agent, by its code.
    drivers: HashMap<u32, Driver>,
    /// By credential.
    tokens: HashMap<u32, Token>,
    /// Where the programs of a `ServiceAccount` come from, and when they last did: a token is renewed every hour or so, and a new
    /// one may be used for a person first.
    homes: HashMap<(u32, u32), i64>,
}

remembers!(TokenByHand: [tokens, homes], anew [meta, window_us, by_hand, by_either, drivers]);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Driver {
    Person,
    Program,
    Unknown,
}

#[derive(Clone, Serialize, Deserialize)]
struct Token {
    program: u32,
    last_by_program: i64,
    by_hand: Option<Box<Tally>>,
    /// Whether uses by hand and by the program lie near each other.
    is_mixed: bool,
}

impl TokenByHand {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            window_us: parameters.duration_us("window")?,
            by_hand: parameters.strings("by_hand")?,
            by_either: parameters.strings("by_either")?,
            drivers: HashMap::new(),
            tokens: HashMap::new(),
            homes: HashMap::new(),
        })
    }

    /// Forgets the tokens that were not used since `before`, and those of programs alone that were not used since `replaced`.
    pub fn forget(&mut self, before: i64, replaced: i64) {
        let of_program = replaced.saturating_sub(self.window_us);
        self.homes.retain(|_, last| *last >= of_program);
        self.tokens.retain(|_, token| match &token.by_hand {
            Some(tally) => token.last_by_program.max(tally.last) >= before,
            None => token.last_by_program >= of_program,
        });
    }

    /// Takes in one request of an authenticated client.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let vocabulary = context.vocabulary;
        if request.identity_kind() != known::SERVICE_ACCOUNT || request.user_agent() == NULL {
            return;
        }
        let driver = self.driver(request.user_agent(), vocabulary);
        if driver == Driver::Unknown {
            return;
        }
        let home = (request.username(), request.peer_ip());
        let new = || Token {
            program: NULL,
            last_by_program: i64::MIN / 2,
            by_hand: None,
            is_mixed: false,
        };
        let token = self.tokens.entry(request.credential()).or_insert_with(new);
        // A proxy that people log on to acts as them, and passes on what they call their tool.
        if driver == Driver::Person
            && request.imp_username() != NULL
            && self.homes.contains_key(&home)
        {
            return;
        }
        if driver == Driver::Program {
            let last_by_hand = token.by_hand.as_ref().map(|tally| tally.last);
            token.is_mixed |=
                last_by_hand.is_some_and(|last| (request.ts - last).abs() <= self.window_us);
            // What came later may be a thief's.
            if token.program == NULL {
                token.program = request.user_agent();
            }
            let last = self.homes.entry(home).or_insert(request.ts);
            *last = request.ts.max(*last);
            token.last_by_program = token.last_by_program.max(request.ts);
        } else {
            token.is_mixed |= (request.ts - token.last_by_program).abs() <= self.window_us;
            let tally = token
                .by_hand
                .get_or_insert_with(|| Box::new(Tally::empty()));
            tally.add(request, context);
        }
    }

    fn driver(&mut self, agent: u32, vocabulary: &Vocabulary) -> Driver {
        let (by_hand, by_either) = (&self.by_hand, &self.by_either);
        *self.drivers.entry(agent).or_insert_with(|| {
            let text = vocabulary.text(agent);
            if begins(text, by_hand) {
                Driver::Person
            } else if begins(text, by_either) {
                Driver::Unknown
            } else {
                Driver::Program
            }
        })
    }

    /// Draws the findings.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let Context { vocabulary, .. } = *context;
        let mut findings = Vec::new();
        for (credential, token) in self.tokens {
            let Some(tally) = token.by_hand.filter(|_| token.is_mixed) else {
                continue;
            };
            let credential = vocabulary.text(credential).to_owned();
            let mut draft = Draft::new(&self.meta, vec![credential.clone()], &tally);
            draft.summary = format!(
                "a token of `{}` that `{}` uses was used by hand: {} with {} from {}",
                listed(&tally.usernames(vocabulary)),
                vocabulary.text(token.program),
                counted(tally.count, "request"),
                listed(&tally.agents(vocabulary)),
                listed(&tally.peers(vocabulary)),
            );
            draft.why = vec![
                format!("credential = {credential}"),
                format!("userAgent = {}", listed(&tally.agents(vocabulary))),
                format!(
                    "userAgent of the program = {}",
                    vocabulary.text(token.program)
                ),
            ];
            findings.push(draft.finish(vocabulary));
        }
        findings
    }
}

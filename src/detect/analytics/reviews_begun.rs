//! `reviews-begun`: a program that begins to ask what others may do.
//!
//! Programs that authorize for themselves ask the API server whether somebody may do something (`SubjectAccessReview`), as long
//! as they run and one question at a time. A program that asks none, and then many at once, is somebody with its token who looks
//! for whom to become next: the right comes with `system:auth-delegator`, and asking leaves nothing else behind.

use std::collections::VecDeque;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Context, Draft, counted, lasting, listed};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::Finding;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct ReviewsBegun {
    meta: RuleMeta,
    settled_us: i64,
    window_us: i64,
    least_reviews: usize,
    least_requests: u64,
    reviews: Vec<String>,
    /// By user.
    accounts: HashMap<u32, Account>,
    /// Whether a resource is a review, by its code.
    resources: HashMap<u32, bool>,
}

remembers!(
    ReviewsBegun: [accounts],
    anew [meta, settled_us, window_us, least_reviews, least_requests, reviews, resources]
);

#[derive(Clone, Serialize, Deserialize)]
struct Account {
    first: i64,
    last: i64,
    /// Requests before the first review.
    before: u64,
    asked: Option<Box<Asked>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Asked {
    /// Whether it asked while it was young, and so by design.
    always: bool,
    first: i64,
    /// Times within the window.
    recent: VecDeque<i64>,
    most: usize,
    tally: Tally,
}

impl ReviewsBegun {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            settled_us: parameters.duration_us("settled")?,
            window_us: parameters.duration_us("window")?,
            least_reviews: parameters.count("least_reviews")? as usize,
            least_requests: u64::from(parameters.count("least_requests")?),
            reviews: parameters.strings("reviews")?,
            accounts: HashMap::new(),
            resources: HashMap::new(),
        })
    }

    /// Forgets accounts that were not seen since `gone`, and what was asked before a time.
    pub fn forget(&mut self, before: i64, gone: i64) {
        let least = self.least_reviews;
        self.accounts.retain(|_, account| {
            let told = account.asked.as_ref().filter(|asked| asked.most >= least);
            account.last >= gone || told.is_some_and(|asked| asked.tally.last >= before)
        });
    }

    /// Takes in a request whose credential was accepted.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        if request.identity_kind() != known::SERVICE_ACCOUNT || request.imp_username() != NULL {
            return;
        }
        let ts = request.began();
        let account = self.accounts.entry(request.username());
        let account = account.or_insert_with(|| Account {
            first: ts,
            last: ts,
            before: 0,
            asked: None,
        });
        account.first = account.first.min(ts);
        account.last = account.last.max(ts);
        let resource = request.resource();
        let is_review = request.verb() == known::CREATE
            && request.succeeded()
            && *self.resources.entry(resource).or_insert_with(|| {
                let resource = context.vocabulary.text(resource);
                self.reviews.iter().any(|review| review == resource)
            });
        if !is_review {
            account.before += u64::from(account.asked.is_none());
            return;
        }
        let is_young = ts <= account.first.saturating_add(self.settled_us)
            || account.before < self.least_requests;
        let asked = account.asked.get_or_insert_with(|| {
            Box::new(Asked {
                always: is_young,
                first: ts,
                recent: VecDeque::new(),
                most: 0,
                tally: Tally::empty(),
            })
        });
        if asked.always {
            return;
        }
        asked.recent.push_back(ts);
        while asked
            .recent
            .front()
            .is_some_and(|&old| old < ts.saturating_sub(self.window_us))
            || asked.recent.len() > self.least_reviews
        {
            asked.recent.pop_front();
        }
        asked.most = asked.most.max(asked.recent.len());
        asked.tally.add(request, context);
    }

    /// Draws the findings: one for each account.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let accounts = self.accounts.iter();
        let found = accounts.filter_map(|(&user, account)| {
            let asked = account.asked.as_deref()?;
            let is_told = !asked.always && asked.most >= self.least_reviews;
            is_told.then(|| self.finding(user, account, asked, vocabulary))
        });
        found.collect()
    }

    fn finding(
        &self,
        user: u32,
        account: &Account,
        asked: &Asked,
        vocabulary: &Vocabulary,
    ) -> Finding {
        let user = vocabulary.text(user);
        let tally = &asked.tally;
        let mut draft = Draft::new(&self.meta, vec![user.to_owned()], tally);
        draft.summary = format!(
            "`{user}` began to ask what others or itself may do: {} ({}) from {} with {}",
            counted(tally.count, "question"),
            listed(&tally.resources(vocabulary)),
            listed(&tally.peers(vocabulary)),
            listed(&tally.agents(vocabulary)),
        );
        draft.why = vec![
            format!(
                "asked none for {} and {}",
                lasting(asked.first - account.first),
                counted(account.before, "request"),
            ),
            format!(
                "then {} or more within {}",
                self.least_reviews,
                lasting(self.window_us)
            ),
        ];
        draft.finish(vocabulary)
    }
}

//! `node-without-kubelet`: a node's credential that takes what nodes may, and does none of a node's work.
//!
//! Whoever has a bootstrap token gets a certificate in the name of a node that there never was, makes the Node object, and may
//! read Secrets and mint tokens from then on, with whatever user agent. What he does not do is run a kubelet: that watches
//! the Pods of its node from its start on (kubernetes/kubernetes `pkg/kubelet/config/apiserver.go`), a watch that is begun
//! anew every five to ten minutes. Judged only where other nodes are seen to watch, for many policies leave that out.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Context, Draft, counted, listed};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::Finding;
use crate::frame::Vocabulary;
use crate::frame::vocabulary::known;
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct IdleNode {
    meta: RuleMeta,
    settled_us: i64,
    least_workers: usize,
    /// When the log begins and ends.
    began: i64,
    last: i64,
    /// By user.
    nodes: HashMap<u32, Node>,
}

remembers!(IdleNode: [began, last, nodes], anew [meta, settled_us, least_workers]);

#[derive(Clone, Serialize, Deserialize)]
struct Node {
    first: i64,
    last: i64,
    /// Whether it made its Node object.
    joined: bool,
    /// Whether it watched Pods.
    works: bool,
    /// What it took, as long as it does not work. Boxed: most nodes do.
    taken: Option<Box<Tally>>,
}

impl IdleNode {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            settled_us: parameters.duration_us("settled")?,
            least_workers: parameters.count("least_workers")? as usize,
            began: i64::MAX,
            last: i64::MIN,
            nodes: HashMap::new(),
        })
    }

    /// Forgets nodes that were not seen since `gone`, and what was taken before a time.
    pub fn forget(&mut self, before: i64, gone: i64) {
        self.nodes.retain(|_, node| match &node.taken {
            Some(taken) => taken.last >= before,
            None => node.last >= gone,
        });
    }

    /// Takes in a request whose credential was accepted.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        self.began = self.began.min(request.began());
        self.last = self.last.max(request.ts);
        if request.identity_kind() != known::NODE {
            return;
        }
        let node = self.nodes.entry(request.username());
        let node = node.or_insert_with(|| Node {
            first: i64::MAX,
            last: i64::MIN,
            joined: false,
            works: false,
            taken: None,
        });
        node.first = node.first.min(request.began());
        node.last = node.last.max(request.ts);
        let resource = request.resource();
        let verb = request.verb();
        if verb == known::WATCH && resource == known::PODS {
            node.works = true;
            node.taken = None;
        }
        if !request.succeeded() {
            return;
        }
        node.joined |= verb == known::CREATE && context.vocabulary.text(resource) == "nodes";
        let takes = match resource {
            known::SECRETS => true,
            known::SERVICE_ACCOUNTS => request.subresource() == known::TOKEN,
            _ => false,
        };
        if takes && !node.works {
            let tally = node.taken.get_or_insert_with(|| Box::new(Tally::empty()));
            tally.add(request, context);
        }
    }

    /// Draws the findings: one for each node.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let n_workers = self.nodes.values().filter(|node| node.works).count();
        let idle = self.nodes.iter().filter_map(|(&user, node)| {
            let taken = node.taken.as_deref()?;
            let is_new = node.joined || node.first > self.began.saturating_add(self.settled_us);
            let is_late = self.last > node.first.max(taken.first).saturating_add(self.settled_us);
            (is_new && is_late).then_some((user, node, taken))
        });
        let idle: Vec<_> = idle.collect();
        // Where many nodes do not, the log does not show it.
        if n_workers < self.least_workers || idle.len() * 2 > n_workers {
            return Vec::new();
        }
        let idle = idle.into_iter();
        idle.map(|(user, node, taken)| self.finding((user, node, taken), n_workers, vocabulary))
            .collect()
    }

    fn finding(
        &self,
        (user, node, taken): (u32, &Node, &Tally),
        n_workers: usize,
        vocabulary: &Vocabulary,
    ) -> Finding {
        let user = vocabulary.text(user);
        let mut draft = Draft::new(&self.meta, vec![user.to_owned()], taken);
        draft.summary = format!(
            "`{user}` took what nodes may ({} of {}: {}), from {}, but no kubelet works there: it never watched its Pods",
            listed(&taken.verbs(vocabulary)),
            listed(&taken.resources(vocabulary)),
            counted(taken.count, "request"),
            listed(&taken.peers(vocabulary)),
        );
        draft.why = vec![
            format!("{n_workers} other nodes watch their Pods in this log"),
            if node.joined {
                "made its Node object in this log".to_owned()
            } else {
                "first seen in the course of the log".to_owned()
            },
        ];
        draft.finish(vocabulary)
    }
}

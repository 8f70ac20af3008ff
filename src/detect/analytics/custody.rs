//! The analytics on how credentials are made, held and used up, fed as one.
//!
//! Each takes in only what concerns it: most requests write no credential, and one comparison or look-up of
//! codes lets them pass.

use hashbrown::HashSet;

use super::Context;
use super::minted_token::MintedToken;
use crate::credential::Ledger;
use crate::detect::fold::Folded;
use crate::finding::Finding;
use crate::frame::vocabulary::known;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytics.
pub struct Custody {
    minted: MintedToken,
}

/// Finds an analytic's words and parameters by its name.
type Find<'f, 'r> = &'f dyn Fn(&str) -> Result<(&'r RuleMeta, &'r Parameters), RuleError>;

impl Custody {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When an analytic or a parameter is missing, or of a wrong type.
    pub fn new(analytic: Find<'_, '_>) -> Result<Self, RuleError> {
        let meta = |name: &str| analytic(name).map(|(meta, _)| meta);
        Ok(Self {
            minted: MintedToken::new(meta("minted-tokens")?, analytic("token-lineage-break")?)?,
        })
    }

    /// Takes in one request.
    pub fn observe(&mut self, folded: &Folded<'_>, context: &Context<'_>) {
        let request = &folded.request;
        match request.resource() {
            known::SERVICE_ACCOUNTS if request.subresource() == known::TOKEN => {
                let [body, _] = folded.bodies();
                self.minted.observe_mint(request, body, context);
            }
            _ => {}
        }
        if request.authenticated() {
            self.minted.observe_use(request, context);
        }
    }

    /// Adds the findings to those of others, which may know of the same credentials.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger, findings: &mut Vec<Finding>) {
        let shared: HashSet<String> = findings
            .iter()
            .filter(|finding| finding.family == "shared-credential")
            .filter_map(|finding| finding.actor.credential_id.clone())
            .collect();
        findings.extend(self.minted.finish(context, ledger, &shared));
    }
}

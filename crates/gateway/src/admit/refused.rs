//! What the owner of a source reads about a request that was refused.

use inlet_verify::{
    DIAGNOSED_MAX_BYTES, Others, Outcome, Policy, Refused, Request, UnixTime, diagnose,
};
use serde_json::{Value, json};

use super::{Arrival, Compiled, signed_url};
use crate::rejection::Rejection;
use crate::time::rfc3339;

impl Compiled {
    /// What explains that a request was refused, for the operator: never for the sender.
    pub fn diagnose(&self, cause: &Rejection, arrival: &Arrival<'_>, now_ms: u64) -> Vec<String> {
        let refused = match cause {
            Rejection::Schema(faults) => return faults.clone(),
            Rejection::Refused { cause, .. } => cause,
            // Nothing of the request would help here.
            _ => return Vec::new(),
        };
        let public = &self.source.verifier.trust.public_url;
        let url = signed_url::of(public, arrival.url);
        let (method, headers, body) = (arrival.method, arrival.headers, arrival.body);
        let request = Request { method, url: &url, headers, body };
        let now = UnixTime(now_ms / 1000);
        let policy = Policy::tolerating(self.policy.tolerance_seconds);
        // A secret that is over is refused after its signature was found to be right.
        let may_be_over = matches!(refused, Refused::Signature { .. })
            && self.secrets.iter().any(|(_, end)| end.is_some_and(|end| end <= now_ms));
        if may_be_over
            && body.len() <= DIAGNOSED_MAX_BYTES
            && let Outcome::Done(Ok(verified)) = self.verifier.start(&request, now, &policy)
        {
            let name = verified.secret_index.and_then(|index| self.secrets.get(index));
            let named = name.map(|(name, _)| {
                format!("matches with the previous secret ({name}), whose time is over")
            });
            return named.into_iter().collect();
        }
        let urls = signed_url::others(public, arrival.url);
        let others = Others { previous: &[], urls: &urls };
        let findings = diagnose(&self.verifier, &request, now, refused, others);
        findings.iter().map(ToString::to_string).collect()
    }

    /// The refusal as it is for the secrets that are valid: those that are over are tried, for [`Self::diagnose`].
    pub(super) fn without_ended(&self, refused: Refused, now_ms: u64) -> Refused {
        let is_over = |(_, end): &&(String, Option<u64>)| end.is_some_and(|end| end <= now_ms);
        match refused {
            Refused::Signature { signatures, secrets } if secrets == self.secrets.len() => {
                let over = self.secrets.iter().filter(is_over).count();
                Refused::Signature { signatures, secrets: secrets - over }
            }
            refused => refused,
        }
    }

    /// A refused request as it is kept: neither its body nor any value of a header. `body_bytes` is how long its body is, or
    /// says that it is, if that is known.
    pub fn rejected(
        &self,
        cause: &Rejection,
        (arrival, body_bytes): (&Arrival<'_>, Option<u64>),
        findings: &[String],
        passed_over: u64,
        now_ms: u64,
    ) -> Value {
        let (status, label) = cause.status();
        let mut names: Vec<&str> = arrival.headers.iter().map(|(name, _)| name).take(64).collect();
        names.sort_unstable();
        json!({
            "at": rfc3339(now_ms), "status": status, "label": label, "reason": cause.detail(), "findings": findings,
            "method": arrival.method, "body_bytes": body_bytes, "header_names": names,
            "refused_since_the_last": passed_over,
        })
    }
}

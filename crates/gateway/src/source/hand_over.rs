//! Secrets that providers hand over: taken while the source is armed, and shown where they have to be told back.

use super::*;

/// How long a source is armed unless the call says otherwise, and at most.
const ARMED_DEFAULT_S: u64 = 600;
const ARMED_MAX_S: u64 = 3_600;
/// How long a secret is shown that a provider handed over and wants to be told.
pub(super) const SHOWN_MS: u64 = 3_600_000;

/// The body of `POST /sources/{sourceID}/arm`.
#[derive(Debug, Default)]
pub struct ArmInput {
    seconds: Option<u64>,
}

impl FromFields for ArmInput {
    const IS_CLOSED: bool = true;

    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { seconds: fields.number("seconds", 0..=ARMED_MAX_S)? })
    }
}

impl Source {
    /// Lets the source take a secret from its provider for some time; 0 seconds: no longer.
    pub fn arm(&mut self, input: ArmInput, now_ms: u64) -> Result<(), ApiError> {
        let seconds = input.seconds.unwrap_or(ARMED_DEFAULT_S);
        if !catalogue::find(&self.provider).is_some_and(Provider::hands_over_secret) {
            return Err(ApiError::bad_request("this source's provider hands over no secret"));
        }
        if self.verifier.hmac.is_some() || !self.verifier.trust.secrets.is_empty() {
            return Err(ApiError::bad_request(
                "the source has a secret, which would not be replaced",
            ));
        }
        if ARMED_MAX_S < seconds {
            return Err(ApiError::bad_request(format!("seconds:at most {ARMED_MAX_S}")));
        }
        self.armed_until = (0 < seconds).then_some(now_ms.saturating_add(seconds * 1000));
        self.updated_at = time::after(now_ms, self.updated_at);
        Ok(())
    }

    /// Keeps the secret that a provider handed over. `false`: the source is not armed, or has one.
    pub fn capture(
        &mut self,
        secret: &Secret,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<bool, VaultError> {
        let is_armed = self.armed_until.is_some_and(|until| now_ms < until);
        if !is_armed || self.verifier.hmac.is_some() || !self.verifier.trust.secrets.is_empty() {
            return Ok(false);
        }
        let uid = ids::uid(now_ms, &mut *fill);
        let text = String::from_utf8_lossy(secret.expose());
        let value = vault.seal(&text, &self.place(&format!("secrets/{uid}")), fill)?;
        let label = "handed over by the provider".to_owned();
        let is_shown = catalogue::find(&self.provider).is_some_and(Provider::wants_secret_back);
        let shown_until = is_shown.then_some(now_ms.saturating_add(SHOWN_MS));
        self.updated_at = time::after(now_ms, self.updated_at);
        self.verifier.trust.secrets = vec![StoredSecret {
            uid,
            label,
            value,
            expires_at: None,
            created_at: now_ms,
            shown_until,
        }];
        self.armed_until = None;
        Ok(true)
    }

    /// The secret that the provider handed over and wants to be told, for as long as it is shown.
    pub fn handed_over(&self, vault: &Vault, now_ms: u64) -> Result<Value, ApiError> {
        let mut secrets = self.verifier.trust.secrets.iter();
        let shown = secrets.find(|secret| secret.shown_until.is_some_and(|until| now_ms < until));
        let Some(stored) = shown else {
            return Err(ApiError::not_found(
                "no secret to show: a secret that the provider hands over is shown for an hour, where the provider wants to be told it",
            ));
        };
        let secret = vault
            .open(&stored.value, &self.place(&format!("secrets/{}", stored.uid)))
            .map_err(|error| ApiError::new(500, error.to_string()))?;
        Ok(json!({
            "uid": stored.uid, "secret": String::from_utf8_lossy(secret.expose()),
            "shown_until": stored.shown_until.map(rfc3339),
        }))
    }
}

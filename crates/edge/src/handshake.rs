//! What is stored of a source when its provider introduces itself.

use inlet_gateway::rejection::Rejection;
use inlet_gateway::source::Source;
use inlet_gateway::sql;
use inlet_verify::Secret;
use serde_json::json;
use worker::{Error, Result};

use crate::again::again;
use crate::bindings::Bindings;
use crate::chance::{fill, now_ms};
use crate::patience::{DATABASE, WRITE_WITHIN_MS, in_time};
use crate::{config, log};

/// Keeps a secret that a provider handed over to an armed source. `false`: it was not to be kept. Where it cannot be kept right
/// now, the provider is to hand it over again.
pub(crate) async fn capture(
    bindings: &Bindings,
    source: &Source,
    secret: &Secret,
) -> std::result::Result<bool, Rejection> {
    let kept = in_time(DATABASE, WRITE_WITHIN_MS, kept(bindings, source, secret));
    kept.await.map_err(|error| {
        let error = error.to_string();
        log::error("secret_not_kept", json!({"source_id": source.uid, "error": error}));
        Rejection::NotDurable
    })
}

async fn kept(bindings: &Bindings, source: &Source, secret: &Secret) -> Result<bool> {
    let no_vault = |error: inlet_gateway::vault::VaultError| Error::from(error.to_string());
    let vault = bindings.vault().map_err(no_vault)?;
    let db = bindings.db()?;
    let keep = async || {
        let now: Option<Source> = db.doc(&sql::source(&source.project_id, &source.uid)).await?;
        let Some(mut source) = now else { return Ok::<_, Error>(Some(false)) };
        let before = source.updated_at;
        if !source.capture(secret, &vault, now_ms(), &mut fill).map_err(no_vault)? {
            return Ok(Some(false));
        }
        if db.has(&sql::update_source(&source, false, before)).await? {
            // It is kept, so the provider is told so. Others believe the older copy for some minutes at most.
            config::publish(bindings, &source.mask_id).await.unwrap_or_default();
            return Ok(Some(true));
        }
        Ok(None)
    };
    let kept = again(keep, |done| matches!(done, Ok(None))).await;
    kept?.ok_or_else(|| "others change the source at the same time".into())
}

/// Notes that a provider's question was answered, where the API shows it. An error is logged; the answer goes out all
/// the same.
pub(crate) async fn note(bindings: &Bindings, source: &Source, now: u64) {
    if !source.is_twitter() || source.crc_verified_at.is_some() {
        return;
    }
    let noted = async {
        let note = sql::note_crc(&source.project_id, &source.uid, now);
        if bindings.db()?.has(&note).await? {
            config::publish(bindings, &source.mask_id).await?;
        }
        Ok(())
    };
    if let Err(error) = in_time(DATABASE, WRITE_WITHIN_MS, noted).await {
        let error = error.to_string();
        log::error("handshake_not_noted", json!({"source_id": source.uid, "error": error}));
    }
}

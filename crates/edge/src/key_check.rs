//! Whether stored secrets open with this Worker's key, looked at once a minute in an isolate, when somebody asks for it.

use inlet_gateway::key_check::{Row, opens};
use inlet_gateway::sql;
use serde_json::json;
use worker::Result;

use crate::bindings::Bindings;
use crate::known::{Isolate, Known};
use crate::{chance, log};

const FRESH_MS: u64 = 60_000;

thread_local! {
    static FITS: Known<bool> = Known::default();
}

/// `None` when it cannot be seen: there is no key, or no database.
pub(crate) async fn fits(bindings: &Bindings) -> Option<bool> {
    let now = chance::now_ms();
    if let Some(fits) = FITS.get("", now, FRESH_MS) {
        return Some(*fits);
    }
    match look(bindings).await {
        Ok(fits) => {
            if fits == Some(false) {
                log::error("encryption_key_does_not_fit", json!({}));
            }
            FITS.put("", fits?.into(), now);
            fits
        }
        Err(error) => {
            log::error("encryption_key_not_checked", json!({"error": error.to_string()}));
            None
        }
    }
}

async fn look(bindings: &Bindings) -> Result<Option<bool>> {
    let Ok(vault) = bindings.vault() else { return Ok(None) };
    let rows: Vec<Row> = bindings.db()?.rows(&sql::some_sealed()).await?;
    for row in &rows {
        if !opens(row, &vault)? {
            return Ok(Some(false));
        }
    }
    Ok(Some(true))
}

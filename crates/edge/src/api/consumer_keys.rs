//! Keys of companions: made, listed, deleted, and whom they let in.

use std::cell::RefCell;
use std::rc::Rc;

use inlet_gateway::consumer::{ConsumerKeyInput, NewKey, StoredKey};
use inlet_gateway::seldom::Seldom;

use super::*;
use crate::companions;

const NOTED_MAX: usize = 2_000;
/// How often an isolate notes that a key is in use.
const NOTE_EVERY_MS: u64 = 60_000;

thread_local! {
    static NOTED: RefCell<Seldom> = RefCell::new(Seldom::new(NOTE_EVERY_MS, NOTED_MAX));
}

/// Reads the key of a companion: its hash, and the project that it belongs to.
pub(super) async fn project_of(
    authorization: &str,
    bindings: &Bindings,
) -> Result<(String, Rc<Project>), Refusal> {
    let key = bearer(authorization).ok_or_else(|| ApiError::new(401, "Authentication required"))?;
    let hash = bindings.vault()?.hash_api_key(key);
    let project = companions::project(bindings, &hash).await?.ok_or_else(|| {
        let text = "authorization failed: this is no key of a companion, or it was deleted";
        ApiError::new(401, text)
    })?;
    Ok((hash, project))
}

pub(super) fn note_key(hash: String, bindings: &Bindings, context: &Context) {
    let now = now_ms();
    if NOTED.with_borrow_mut(|noted| noted.is_due(&hash, now)).is_some() {
        let bindings = bindings.clone();
        context.wait_until(async move {
            let noted = async { bindings.db()?.run(&sql::note_consumer_key(&hash, now)).await };
            if let Err(error) = noted.await {
                log::error("key_not_noted", json!({"error": error.to_string()}));
            }
        });
    }
}

impl Caller<'_> {
    pub(super) async fn create_consumer_key(&self, project: &Project) -> Answered {
        let input: ConsumerKeyInput = api::parse(&self.body)?;
        let key = NewKey::generate(input, now_ms(), &mut fill);
        let hash = self.bindings.vault()?.hash_api_key(&key.key);
        let statement =
            sql::insert_consumer_key(&hash, &key.uid, &project.uid, &key.name, key.created_at);
        self.bindings.db()?.run(&statement).await?;
        Ok(Answer::ok(201, "Consumer key created successfully", key.present()))
    }

    pub(super) async fn list_consumer_keys(&self, project: &Project) -> Answered {
        let keys: Vec<StoredKey> =
            self.bindings.db()?.rows(&sql::consumer_keys(&project.uid)).await?;
        let shown: Vec<Value> = keys.iter().map(StoredKey::present).collect();
        Ok(Answer::ok(200, "Consumer keys fetched successfully", json!(shown)))
    }

    pub(super) async fn delete_consumer_key(&self, project: &Project, id: &str) -> Answered {
        let statement = sql::delete_consumer_key(&project.uid, id);
        if !self.bindings.db()?.has(&statement).await? {
            return Err(ApiError::not_found("consumer key not found").into());
        }
        companions::forget();
        Ok(Answer::ok(200, "Consumer key deleted successfully", Value::Null))
    }
}

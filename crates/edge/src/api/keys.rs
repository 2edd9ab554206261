//! The API keys of a project.

use inlet_gateway::api_key::{KEYS_MAX, KeyInput, NewApiKey, RegenerateInput, StoredKey};

use super::*;

impl Caller<'_> {
    pub(super) async fn list_keys(&self, project: &Project) -> Answered {
        let keys = sql::api_keys(&project.uid, now_ms());
        let keys: Vec<StoredKey> = self.bindings.db()?.rows(&keys).await?;
        let shown: Vec<Value> = keys.iter().map(|key| key.present(project)).collect();
        Ok(Answer::ok(200, "api keys fetched successfully", json!(shown)))
    }

    pub(super) async fn create_key(&self, project: &Project) -> Answered {
        let input: KeyInput = api::parse(&self.body)?;
        let key = NewApiKey::create(input, now_ms(), &mut fill)?;
        let db = self.bindings.db()?;
        if KEYS_MAX <= db.count(&sql::api_keys(&project.uid, now_ms())).await? {
            let text =
                format!("a project has at most {KEYS_MAX} keys: delete one that is not used");
            return Err(ApiError::bad_request(text).into());
        }
        let hash = self.bindings.vault()?.hash_api_key(&key.key);
        db.run(&sql::insert_api_key(&hash, &key, &project.uid)).await?;
        Ok(Answer::ok(201, "api key created successfully", key.present(project)))
    }

    pub(super) async fn delete_key(&self, project: &Project, id: &str) -> Answered {
        let delete = sql::delete_api_key(&project.uid, id);
        if !self.bindings.db()?.has(&delete).await? {
            return Err(ApiError::not_found("api key not found").into());
        }
        Ok(Answer::ok(200, "api key revoked successfully", Value::Null))
    }

    /// Another key for the project; the one before it may stay valid for some hours.
    pub(super) async fn regenerate_key(&self, project: &Project) -> Answered {
        let is_empty = self.body.trim_ascii().is_empty();
        let input = if is_empty { RegenerateInput::default() } else { api::parse(&self.body)? };
        let now = now_ms();
        let until = input.old_until(now)?;
        let key = NewApiKey::generate(now, &mut fill);
        let hash = self.bindings.vault()?.hash_api_key(&key.key);
        let mut statements = sql::end_own_keys(&project.uid, until, now);
        statements.push(sql::insert_api_key(&hash, &key, &project.uid));
        self.bindings.db()?.batch(&statements).await?;
        Ok(Answer::ok(200, "api key regenerated successfully", key.present(project)))
    }
}

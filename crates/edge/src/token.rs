//! Tokens for endpoints that want OAuth: asked for, kept in the isolate, and renewed before they end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use inlet_gateway::address;
use inlet_gateway::deliver::RESPONSE_MAX_BYTES;
use inlet_gateway::oauth::{Oauth2, Token};
use inlet_verify::Secret;

use crate::bindings::Bindings;
use crate::calling::{self, Ask};
use crate::{chance, keys};

const FETCH_WITHIN: Duration = Duration::from_secs(10);
const TOKENS_MAX: usize = 500;

thread_local! {
    /// By the endpoint's uid and the time of its last change.
    static TOKENS: RefCell<HashMap<(String, u64), Token>> = RefCell::new(HashMap::new());
}

/// A client and where it gets its tokens.
#[derive(Clone, Copy)]
pub(crate) struct Client<'a> {
    pub(crate) oauth2: &'a Oauth2,
    pub(crate) id: &'a str,
    pub(crate) secret: &'a Secret,
}

/// The token of an endpoint, and whether it is one that was kept. `refused`: the one that the endpoint has just refused, which is
/// dropped.
pub(crate) async fn find(
    (endpoint_id, updated_at): (&str, u64),
    client: Client<'_>,
    refused: Option<&str>,
    bindings: &Bindings,
) -> Result<(String, bool), String> {
    let name = (endpoint_id.to_owned(), updated_at);
    let now = chance::now_ms();
    let kept = TOKENS.with_borrow(|tokens| tokens.get(&name).cloned());
    let kept = kept.filter(|token| refused != Some(token.authorization.as_str()));
    if let Some(token) = kept.as_ref().filter(|token| now < token.refresh_at) {
        return Ok((token.authorization.clone(), true));
    }
    match ask(client, bindings).await {
        Ok(token) => {
            let authorization = token.authorization.clone();
            TOKENS.with_borrow_mut(|tokens| {
                if TOKENS_MAX <= tokens.len() {
                    tokens.clear();
                }
                tokens.retain(|(id, _), _| id != endpoint_id);
                tokens.insert(name, token);
            });
            Ok((authorization, false))
        }
        // The old one is good for a little longer.
        Err(error) => match kept.filter(|token| now < token.expires_at) {
            Some(token) => Ok((token.authorization, true)),
            None => Err(error),
        },
    }
}

/// Asks for a token.
pub(crate) async fn ask(client: Client<'_>, bindings: &Bindings) -> Result<Token, String> {
    let Client { oauth2, id, secret } = client;
    let url = address::check(&oauth2.url, bindings.settings.allow_private_endpoints)
        .map_err(|bad| bad.to_string())?;
    let form = match oauth2.assertion.as_ref() {
        None => oauth2.request(id, secret),
        Some(assertion) => {
            let now = chance::now_ms();
            let unsigned = assertion.unsigned(&oauth2.url, id, now / 1000, &chance::uid(now));
            let signed = keys::sign(assertion, secret, unsigned.as_bytes()).await;
            let signature = signed
                .map_err(|_| "the signing_key is not one that can be signed with".to_owned())?;
            oauth2.assert(id, &unsigned, &signature)
        }
    };
    let asked = calling::ask(Ask {
        url: url.as_str(),
        headers: &[
            ("content-type", "application/x-www-form-urlencoded"),
            ("accept", "application/json"),
        ],
        body: Some(&form),
        within: FETCH_WITHIN,
        max_bytes: RESPONSE_MAX_BYTES,
    });
    let (status, body) = asked.await.map_err(|error| format!("the token endpoint: {error}"))?;
    oauth2.read(status, &body, chance::now_ms())
}

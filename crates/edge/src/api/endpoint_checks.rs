//! Looking after endpoints: how often they fail, and whether their tokens can be had.

use inlet_gateway::failures::{Count, FailureRates};
use inlet_gateway::oauth::Oauth2Test;
use inlet_gateway::time::rfc3339;
use inlet_gateway::vault::{MASK, is_hint};
use inlet_verify::Secret;

use super::*;
use crate::token::{self, Client};

impl Caller<'_> {
    pub(super) async fn failure_rates(&self, project: &Project) -> Answered {
        let rates = FailureRates::read(&self.query, now_ms())?;
        let events = self.bindings.events(project.shard)?;
        let counts: Vec<Count> = events.rows(&rates.statement(&project.uid)).await?;
        let message = "Endpoint period failure rates fetched successfully";
        Ok(Answer::ok(200, message, rates.present(&counts)))
    }

    /// Asks for a token, and says what came of it without showing it.
    pub(super) async fn test_oauth2(&self) -> Answered {
        let Oauth2Test(given) = api::parse(&self.body)?;
        let given = given.ok_or_else(|| ApiError::bad_request("oauth2:is required"))?;
        let (oauth2, id, secret) = given.check().map_err(ApiError::bad_request)?;
        if is_hint(&secret) {
            return Err(ApiError::bad_request("oauth2:the secret is masked, send it whole").into());
        }
        let secret = Secret::new(secret.as_bytes())
            .ok_or_else(|| ApiError::bad_request("oauth2.client_secret:is required"))?;
        inlet_gateway::address::check(&oauth2.url, self.bindings.settings.allow_private_endpoints)
            .map_err(|bad| ApiError::bad_request(format!("oauth2.url:{bad}")))?;
        let client = Client { oauth2: &oauth2, id: &id, secret: &secret };
        let data = match token::ask(client, self.bindings).await {
            Ok(token) => {
                let kind = token.authorization.split(' ').next();
                json!({
                    "success": true, "message": "a token was granted", "access_token": MASK, "token_type": kind,
                    "expires_at": rfc3339(token.expires_at), "error": "",
                })
            }
            Err(error) => json!({
                "success": false, "message": "no token was granted", "access_token": "", "token_type": "",
                "expires_at": null, "error": error,
            }),
        };
        Ok(Answer::ok(200, "OAuth2 connection tested", data))
    }
}

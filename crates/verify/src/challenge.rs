//! How a sender is asked for its credentials (RFC 9110, section 11.6.1). Some keep them until they are.

use crate::{
    Place, Secret, Verifier, keys,
    scheme::{Check, Jwt, JwtPlace},
};

pub(crate) const BASIC: &str = r#"Basic realm="webhooks""#;
const BEARER: &str = r#"Bearer realm="webhooks""#;

impl Verifier {
    /// The `WWW-Authenticate` of a 401, where credentials of HTTP's own are checked.
    pub fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::BasicAuth { .. } => Some(BASIC),
            Self::ApiKey { header, value } => for_credentials(header, value.expose()),
            Self::Provider { provider, secrets } => for_check(&provider.check, secrets),
            Self::Scheme { scheme, .. } => {
                let (header, prefix) = scheme.token_header()?;
                for_credentials(header, prefix.as_bytes())
            }
            Self::Noop | Self::Hmac { .. } => None,
        }
    }
}

fn for_check(check: &Check<'_>, secrets: &[Secret]) -> Option<&'static str> {
    match check {
        Check::Basic => Some(BASIC),
        Check::Token { place: Place::Header(name), prefix }
        | Check::Jwt(Jwt { place: JwtPlace::Header(name, prefix), .. }) => {
            for_credentials(name, prefix.as_bytes())
        }
        Check::NamedHeader => secrets.iter().find_map(|secret| {
            let (name, value) = keys::pair(secret.expose());
            for_credentials(std::str::from_utf8(name).ok()?.trim(), value)
        }),
        Check::Either(one, other) => for_check(one, secrets).or_else(|| for_check(other, secrets)),
        Check::Case { cases, .. } => cases.iter().find_map(|(_, check)| for_check(check, secrets)),
        Check::Signed(_)
        | Check::Token { .. }
        | Check::Jwt(_)
        | Check::AdyenItems
        | Check::Unsigned => None,
    }
}

/// `credentials` begin with the scheme's name, where they are of one.
fn for_credentials(header: &str, credentials: &[u8]) -> Option<&'static str> {
    if !header.eq_ignore_ascii_case("authorization") {
        return None;
    }
    let scheme = credentials.trim_ascii().split(u8::is_ascii_whitespace).next()?;
    let known = [(&b"basic"[..], BASIC), (b"bearer", BEARER)];
    known.into_iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name)).map(|(_, asks)| asks)
}

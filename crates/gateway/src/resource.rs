//! What the gateway serves as it is: the document of the API and its page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::reply::{Reply, named};

/// A text that changes with the version only, so that whoever has it need not get it again.
#[derive(Debug)]
pub struct Resource {
    content_type: &'static str,
    body: String,
    etag: String,
    /// What the page may do: run its own script, use its own style, and ask this gateway.
    policy: Option<String>,
}

impl Resource {
    pub fn document(text: String) -> Self {
        Self::new("application/json", text, None)
    }

    /// A page with one style and one script, in place of `{style}` and `{script}`. Nothing else is run or fetched.
    pub fn page(html: &str, style: &str, script: &str) -> Self {
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            source(script),
            source(style)
        );
        let body = html.replacen("{style}", style, 1).replacen("{script}", script, 1);
        Self::new("text/html; charset=utf-8", body, Some(policy))
    }

    fn new(content_type: &'static str, body: String, policy: Option<String>) -> Self {
        let mut etag = hex::encode(Sha256::digest(&body));
        etag.truncate(32);
        Self { content_type, body, etag: format!("\"{etag}\""), policy }
    }

    /// The answer to a caller who has the version that `if_none_match` names.
    pub fn reply(&self, if_none_match: Option<&str>) -> Reply {
        let mut headers = vec![
            ("etag", self.etag.clone()),
            ("cache-control", "no-cache".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
        ];
        if let Some(policy) = &self.policy {
            headers.push(("content-security-policy", policy.clone()));
            headers.push(("referrer-policy", "no-referrer".to_owned()));
        }
        let has_it = if_none_match.is_some_and(|known| {
            known.split(',').any(|tag| {
                let tag = tag.trim();
                // A proxy that compresses makes the tag a weak one.
                tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag
            })
        });
        let (status, body) =
            if has_it { (304, Vec::new()) } else { (200, self.body.clone().into_bytes()) };
        Reply { status, content_type: self.content_type.to_owned(), headers: named(headers), body }
    }
}

/// A script or style as the policy names it.
fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_it_does_not_get_it_again() {
        let document = Resource::document("{}".into());
        let first = document.reply(None);
        assert_eq!((first.status, first.body.as_slice()), (200, b"{}".as_slice()));
        let (_, etag) = first.headers.iter().find(|(name, _)| *name == "etag").unwrap();
        for known in [etag.clone(), format!("W/{etag}"), format!("\"a\", {etag}"), "*".into()] {
            let again = document.reply(Some(&known));
            assert_eq!((again.status, again.body.len()), (304, 0), "{known}");
        }
        assert_eq!(document.reply(Some("\"other\"")).status, 200);
    }

    #[test]
    fn a_page_runs_its_own_script_and_no_other() {
        let page = Resource::page("<style>{style}</style><script>{script}</script>", "a{}", "1");
        let reply = page.reply(None);
        assert_eq!(reply.body, b"<style>a{}</style><script>1</script>");
        let policy = reply.headers.iter().find(|(name, _)| *name == "content-security-policy");
        // echo -n 1 | openssl dgst -sha256 -binary | base64
        let expect = "script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='";
        assert!(policy.unwrap().1.contains(expect), "{policy:?}");
    }
}

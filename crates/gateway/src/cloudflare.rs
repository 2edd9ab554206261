//! What Cloudflare answers in the place of an endpoint that it cannot, or will not, call. Elsewhere such a call has no answer.

/// What an answer means that is Cloudflare's own and not the endpoint's, and what is to be done about it.
/// <https://developers.cloudflare.com/support/troubleshooting/http-status-codes/>
pub fn in_place_of(status: u16, body: &[u8]) -> Option<String> {
    if status < 400 {
        return None;
    }
    let code = std::str::from_utf8(body)
        .ok()
        .and_then(|text| text.trim().strip_prefix("error code: ")?.parse().ok());
    let (code, meaning) = match (code, status) {
        (Some(1000), _) => {
            (1000, "its host leads to an address that Cloudflare forbids: see to its DNS record")
        }
        (Some(1003), _) => (1003, "Cloudflare calls no bare IP address: give the url a host name"),
        (Some(1016), _) | (None, 530) => {
            (code.unwrap_or(status), "its host name cannot be resolved: see to its DNS record")
        }
        (Some(1042), _) => (
            1042,
            "it is a Worker of the gateway's own account, and the gateway was deployed without global_fetch_strictly_public",
        ),
        (_, 521) => (521, "it refused the connection"),
        (_, 522) => (522, "the connection timed out"),
        (_, 523) => (523, "it cannot be reached: see to its address in DNS"),
        (_, 525) => (525, "no TLS connection came about: see to its TLS settings"),
        (_, 526) => (526, "its TLS certificate is not valid: renew it, with its whole chain"),
        _ => return None,
    };
    Some(format!("Cloudflare answered in the endpoint's place ({code}): {meaning}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloudflares_own_answers_are_explained_and_no_others() {
        for (status, body, expect) in [
            (403, "error code: 1003", Some("(1003): Cloudflare calls no bare IP address")),
            (403, "error code: 1000\n", Some("(1000): its host leads")),
            (404, "error code: 1042", Some("(1042): it is a Worker of")),
            (530, "error code: 1016", Some("(1016): its host name cannot be resolved")),
            (530, "<html>", Some("(530): its host name cannot be resolved")),
            (530, "error code: 1033", None),
            (522, "error code: 522", Some("(522): the connection timed out")),
            (525, "error code: 525", Some("(525): no TLS connection")),
            (526, "<html>", Some("(526): its TLS certificate")),
            (200, "error code: 1003", None),
            (403, "", None),
            (403, "see error code: 1003", None),
            (500, "error code: ", None),
            (502, "\u{0}", None),
        ] {
            let said = in_place_of(status, body.as_bytes());
            let is_so = match expect {
                Some(part) => said.is_some_and(|said| said.contains(part)),
                None => said.is_none(),
            };
            assert!(is_so, "{status} {body}");
        }
        assert_eq!(in_place_of(403, b"error code: 1003\xff"), None);
    }
}

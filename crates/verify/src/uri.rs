//! URLs, query strings and forms.

use std::borrow::Cow;

use crate::scheme::UrlForm;

/// The pairs of `application/x-www-form-urlencoded` text, decoded, in order. A query string
/// is written the same way. Bytes that are no UTF-8 once decoded become U+FFFD.
pub(crate) fn pairs(encoded: &[u8]) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    raw_pairs(encoded).map(|(name, value)| (decode(name), decode(value))).collect()
}

/// The values under one name, in order. The others are not decoded: forms are long, and a row asks for
/// a field or two.
pub(crate) fn values(encoded: &[u8], name: &str) -> impl Iterator<Item = String> {
    let named = raw_pairs(encoded).filter(move |(have, _)| {
        // Escapes only make a name longer.
        name.len() <= have.len() && (*have == name.as_bytes() || decode(have) == name)
    });
    named.map(|(_, value)| decode(value).into_owned())
}

fn raw_pairs(encoded: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = encoded.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
    })
}

/// As [`pairs`], sorted.
pub(crate) fn sorted(encoded: &[u8]) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut pairs = pairs(encoded);
    pairs.sort_unstable();
    pairs
}

/// What stands between `?` and `#`, without either. Empty where there is none.
pub(crate) fn query(url: &str) -> &str {
    let before_fragment = url.split('#').next().unwrap_or_default();
    before_fragment.split_once('?').map_or("", |(_, query)| query)
}

/// The first value of a query parameter, decoded.
pub(crate) fn query_value(url: &str, name: &str) -> Option<String> {
    values(query(url).as_bytes(), name).next()
}

/// The host of an `https` URL, lower case. `None` for anything that could be read in two ways.
pub(crate) fn https_host(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.strip_suffix(":443").unwrap_or(authority);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let clean = url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (clean && !host.is_empty() && host.bytes().all(plain)).then(|| host.to_ascii_lowercase())
}

/// A URL as some provider signs it.
pub(crate) fn form(url: &str, form: UrlForm) -> String {
    let whole = url;
    let url = url.split('#').next().unwrap_or_default();
    match form {
        UrlForm::Full => whole.to_owned(),
        UrlForm::Base => url.split('?').next().unwrap_or_default().to_owned(),
        UrlForm::QuotesEscaped => url.replace('\'', "%27"),
        UrlForm::Unescaped => unescaped(url),
        UrlForm::Host => split(url).map_or_else(String::new, |(_, host, _)| host.to_owned()),
        UrlForm::Path => split(url).map_or_else(String::new, |(_, _, path)| path.to_owned()),
        UrlForm::WithPort => match split(url) {
            Some((scheme, authority, path)) if port(authority).is_none() => {
                let port = if scheme == "http" { 80 } else { 443 };
                format!("{scheme}://{authority}:{port}{path}")
            }
            _ => url.to_owned(),
        },
        UrlForm::WithoutPort => match split(url) {
            Some((scheme, authority, path)) => {
                let end = port(authority).map_or(0, |port| port.len() + 1);
                let bare = authority.get(..authority.len() - end).unwrap_or(authority);
                format!("{scheme}://{bare}{path}")
            }
            None => url.to_owned(),
        },
    }
}

/// Scheme, authority, and the path with the query.
fn split(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at)?;
    Some((scheme, authority, path))
}

fn port(authority: &str) -> Option<&str> {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (_, port) = host.rsplit_once(':')?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some(port)
}

/// The escapes that HubSpot undoes before it signs: <https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests>.
fn unescaped(url: &str) -> String {
    const ESCAPES: [(&str, &str); 12] = [
        ("3A", ":"),
        ("2F", "/"),
        ("3F", "?"),
        ("40", "@"),
        ("21", "!"),
        ("24", "$"),
        ("27", "'"),
        ("28", "("),
        ("29", ")"),
        ("2A", "*"),
        ("2C", ","),
        ("3B", ";"),
    ];
    let mut pieces = url.split('%');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let escape = piece.split_at_checked(2).and_then(|(code, rest)| {
            let known = ESCAPES.iter().find(|(have, _)| have.eq_ignore_ascii_case(code))?;
            Some((known.1, rest))
        });
        let (char, rest) = escape.unwrap_or(("%", piece));
        plain.push_str(char);
        plain.push_str(rest);
    }
    plain
}

fn decode(encoded: &[u8]) -> Cow<'_, str> {
    let Some(at) = encoded.iter().position(|byte| matches!(byte, b'%' | b'+')) else {
        return String::from_utf8_lossy(encoded);
    };
    let (plain, mut rest) = encoded.split_at_checked(at).unwrap_or((&[], encoded));
    let mut bytes = Vec::with_capacity(encoded.len());
    bytes.extend_from_slice(plain);
    while let Some((first, tail)) = rest.split_first() {
        let escaped =
            tail.get(..2).filter(|_| *first == b'%').and_then(|two| hex::decode(two).ok());
        rest = if let Some(byte) = escaped {
            bytes.extend(byte);
            tail.get(2..).unwrap_or_default()
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            tail
        };
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_in_order() {
        let have = pairs(b"b=1+2&a=%2B%zz&b=&c&&=x&%ff=%");
        let want =
            [("b", "1 2"), ("a", "+%zz"), ("b", ""), ("c", ""), ("", "x"), ("\u{fffd}", "%")];
        let want: Vec<_> =
            want.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).into();
        assert_eq!(have, want);
        let named = |name: &str| values(b"b=1+2&a=%2B&%62=&%ff=x&+c=y", name).collect::<Vec<_>>();
        for (name, want) in [
            ("b", vec!["1 2", ""]),
            ("a", vec!["+"]),
            ("\u{fffd}", vec!["x"]),
            (" c", vec!["y"]),
            ("c", vec![]),
        ] {
            assert_eq!(named(name), want, "{name}");
        }
    }

    #[test]
    fn urls_are_written_in_other_ways() {
        for (url, how, want) in [
            ("https://a.b/c?d", UrlForm::WithPort, "https://a.b:443/c?d"),
            ("http://a.b", UrlForm::WithPort, "http://a.b:80"),
            ("https://u:p@a.b/c", UrlForm::WithPort, "https://u:p@a.b:443/c"),
            ("https://a.b:1/c", UrlForm::WithPort, "https://a.b:1/c"),
            ("https://a.b:1/c", UrlForm::WithoutPort, "https://a.b/c"),
            ("https://u:1@a.b/c", UrlForm::WithoutPort, "https://u:1@a.b/c"),
            ("https://a.b/c?d#e", UrlForm::Base, "https://a.b/c"),
            ("https://a.b?d", UrlForm::Path, "?d"),
            ("https://a.b:1/c", UrlForm::Host, "a.b:1"),
            ("https://a.b/%3a%2F%20%", UrlForm::Unescaped, "https://a.b/:/%20%"),
            ("no url", UrlForm::WithPort, "no url"),
        ] {
            assert_eq!(form(url, how), want);
        }
    }

    #[test]
    fn hosts_that_could_be_misread_are_none() {
        assert_eq!(https_host("https://Api.PayPal.com/x").as_deref(), Some("api.paypal.com"));
        for url in [
            "http://api.paypal.com/",
            "https://evil.com\\@api.paypal.com/",
            "https://api.paypal.com@evil.com/",
            "https://api.paypal.com:444/",
            "https:///x",
            "https://a b/",
            "//api.paypal.com/",
        ] {
            assert_eq!(https_host(url), None, "{url}");
        }
    }

    #[test]
    fn the_query_ends_at_the_fragment() {
        assert_eq!(query("https://example.com/a?b=c?d#e?f"), "b=c?d");
        assert_eq!(query("https://example.com/a#b?c"), "");
        assert_eq!(query_value("https://example.com/?a=1&a=2", "a").as_deref(), Some("1"));
    }
}

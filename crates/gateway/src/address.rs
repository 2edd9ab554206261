//! Where deliveries may go. A gateway that calls any URL it is given can be sent into the network it
//! runs in (SSRF): private, loopback, link-local and metadata addresses are refused.
//!
//! What is checked is the address as written, in every form a URL parser knows, and the names that stand for
//! local hosts. A public name that resolves to a private address cannot be seen from here: on Cloudflare the
//! runtime refuses that connection itself; elsewhere the operator's network must.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, ParseError, Url};

/// Why an endpoint's URL is not called. The text is what the API answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    #[error("please provide the endpoint url")]
    Missing,
    #[error("invalid endpoint url: {0}")]
    Unreadable(String),
    #[error("invalid endpoint scheme: {0}; use https or http")]
    Scheme(String),
    #[error(
        "invalid endpoint url: put the user name and password into the endpoint's authentication, not into its url"
    )]
    Credentials,
    #[error("endpoint url refused: {host} is {kind}; set ALLOW_PRIVATE_ENDPOINTS=true to allow it")]
    Private { host: String, kind: &'static str },
    #[error(
        "endpoint url refused: Cloudflare calls no bare IP address, give the url a host name; set ALLOW_PRIVATE_ENDPOINTS=true where the gateway runs elsewhere"
    )]
    Bare,
}

/// As [`check`], for a URL that was not stored before. One by an address would never be called: Cloudflare answers it itself,
/// with error 1003, wherever it leads.
pub fn check_new(raw: &str, allow_private: bool) -> Result<Url, BadUrl> {
    let url = check(raw, allow_private)?;
    match url.host() {
        Some(Host::Ipv4(_) | Host::Ipv6(_)) if !allow_private => Err(BadUrl::Bare),
        _ => Ok(url),
    }
}

/// Parses an endpoint's URL and checks where it leads.
pub fn check(raw: &str, allow_private: bool) -> Result<Url, BadUrl> {
    if raw.trim().is_empty() {
        return Err(BadUrl::Missing);
    }
    if raw.trim().contains(char::is_control) {
        return Err(BadUrl::Unreadable("it holds a control character".into()));
    }
    let url = Url::parse(raw.trim()).map_err(|error| {
        BadUrl::Unreadable(match error {
            ParseError::IdnaError if raw.is_ascii() => {
                "its host name holds a character that no host name has, like a space".into()
            }
            // The tables that would do it here are larger than the rest of this crate.
            ParseError::IdnaError => {
                "write an international host name in its ASCII form (`xn--…`)".into()
            }
            other => other.to_string(),
        })
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BadUrl::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadUrl::Credentials);
    }
    if url.port() == Some(0) {
        return Err(BadUrl::Unreadable("there is no port 0".into()));
    }
    let kind = match url.host() {
        None => return Err(BadUrl::Unreadable("it names no host".into())),
        Some(_) if allow_private => None,
        Some(Host::Ipv4(address)) => private_v4(address),
        Some(Host::Ipv6(address)) => private_v6(address),
        Some(Host::Domain(name)) => local_name(name),
    };
    match (kind, url.host_str()) {
        (Some(kind), Some(host)) => Err(BadUrl::Private { host: host.to_owned(), kind }),
        _ => Ok(url),
    }
}

/// Whether two URLs lead to one server: the same scheme, host and port.
pub fn is_same_server(a: &str, b: &str) -> bool {
    let origin = |url: &str| Url::parse(url.trim()).ok().map(|url| url.origin());
    origin(a).is_some_and(|a| Some(a) == origin(b))
}

fn local_name(name: &str) -> Option<&'static str> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let ends = |suffix: &str| name == suffix || name.ends_with(&format!(".{suffix}"));
    if ends("localhost") {
        Some("this machine")
    } else if name == "metadata.google.internal" || name == "metadata" {
        Some("a metadata service")
    } else if [
        "internal",
        "local",
        "localdomain",
        "lan",
        "home.arpa",
        "intranet",
        "corp",
        "private",
        "svc",
    ]
    .iter()
    .any(|s| ends(s))
    {
        Some("a name of a private network")
    } else if !name.contains('.') {
        Some("a name without a domain")
    } else {
        None
    }
}

fn private_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, d] = address.octets();
    match (a, b, c) {
        (168, 63, 129) if d == 16 => Some("a metadata server (Azure's)"),
        (0, ..) => Some("an address of this network"),
        (127, ..) => Some("a loopback address"),
        (10, ..) | (192, 168, _) | (172, 16..=31, _) => Some("a private address"),
        (169, 254, _) => Some("a link-local address (cloud metadata lives there)"),
        (100, 64..=127, _) => Some("a shared (carrier) address"),
        (192, 0, 0 | 2) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) => {
            Some("a reserved address")
        }
        (224.., ..) => Some("a multicast or reserved address"),
        _ => None,
    }
}

fn private_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    if let Some(v4) = embedded_v4(segments) {
        return private_v4(v4);
    }
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] => Some("a site-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        [0x2001, 0xdb8 | 0, ..]
        | [0x100, 0, 0, 0, ..]
        | [0x3fff | 0x5f00, ..]
        | [0x64, 0xff9b, 1, ..] => Some("a reserved address"),
        _ => None,
    }
}

/// IPv4 inside IPv6: mapped, compatible, NAT64, and 6to4.
fn embedded_v4(segments: [u16; 8]) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || 1 < low => Some(join(high, low)),
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => {
            Some(join(high, low))
        }
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn private_places_are_refused_however_they_are_written() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://localhost:9000/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://0.0.0.0/",
            "http://10.1.2.3/",
            "http://172.16.0.1/",
            "http://172.31.255.255/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://100.64.0.1/",
            "http://metadata.google.internal/",
            "http://[::1]/",
            "http://[::]/",
            "http://[fd00:ec2::254]/",
            "http://[fe80::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[::ffff:0.0.0.0]:8080/",
            "http://[::ffff:0.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[ff02::1]/",
            "http://printer.local/",
            "http://kubernetes.default.svc/",
            "http://localhost.localdomain/",
            "http://[64:ff9b:1:1::7f00:1]/",
            "http://[2001::1]/",
            "http://[5f00::1]/",
            "http://[3fff::1]/",
            "http://intranet/",
            "http://db.internal/",
            "http://224.0.0.1/",
            "http://168.63.129.16/",
            "http://255.255.255.255/",
        ] {
            assert!(
                matches!(check(url, false), Err(BadUrl::Private { .. })),
                "{url}: {:?}",
                check(url, false)
            );
            assert!(check(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn public_places_are_allowed() {
        for url in [
            "https://example.com/hooks?a=b",
            "http://8.8.8.8/",
            "https://172.32.0.1/",
            "https://100.128.0.1/",
            "https://[2606:4700::1111]/",
            "https://xn--bcher-kva.example/",
            "https://internal.example.com/",
        ] {
            assert!(check(url, false).is_ok(), "{url}: {:?}", check(url, false));
        }
    }

    #[test]
    fn addresses_are_refused_where_nobody_would_call_them() {
        for url in ["http://8.8.8.8/", "https://[2606:4700::1111]:8443/a", "http://134744072/"] {
            assert_eq!(check_new(url, false), Err(BadUrl::Bare), "{url}");
            assert!(check_new(url, true).is_ok(), "{url}");
        }
        assert!(matches!(check_new("http://10.0.0.1/", false), Err(BadUrl::Private { .. })));
        assert!(check_new("https://8.8.8.8.example.com/", false).is_ok());
    }

    #[test]
    fn what_is_no_url_is_refused_with_the_reason() {
        let check = |url: &str| check(url, true).unwrap_err().to_string();
        assert_eq!(check(" "), "please provide the endpoint url");
        assert!(check("example.com/hooks").starts_with("invalid endpoint url"));
        assert!(check("ftp://example.com").starts_with("invalid endpoint scheme: ftp"));
        assert!(check("https://u:p@example.com").contains("authentication"));
        assert!(check("https://a\nb.com").contains("control character"));
        for url in ["http://x y/", "http://a<b.com/"] {
            assert!(check(url).contains("its host name holds a character that no host name has"));
        }
        assert!(check("https://bücher.example/").contains("xn--"));
        assert!(check("https://example.com:0/").contains("port 0"));
    }

    proptest! {
        #[test]
        fn mapped_addresses_are_as_private_as_what_they_map(bits: u32) {
            let v4 = Ipv4Addr::from(bits);
            prop_assert_eq!(private_v4(v4), private_v6(v4.to_ipv6_mapped()));
        }
    }
}

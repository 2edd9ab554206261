//! The URL of a request as its provider has it, where it signs that.

use std::borrow::Cow;

/// `url` with what `public` says in place of ours. What has a path, be it `/`, is the URL that the provider was given; what
/// has none is an origin, and our path goes behind it.
pub(super) fn of<'u>(public: &str, url: &'u str) -> Cow<'u, str> {
    if public.is_empty() {
        return url.into();
    }
    if path(public).is_some() { whole(public, url) } else { behind(public, url) }.into()
}

/// What else the provider may have been given.
pub(super) fn others(public: &str, url: &str) -> Vec<String> {
    if public.is_empty() {
        return Vec::new();
    }
    let origin = public.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    vec![behind(&origin, url), whole(&format!("{origin}/"), url), url.to_owned()]
}

/// What stands behind the `/` after the host.
fn path(url: &str) -> Option<&str> {
    url.splitn(4, '/').nth(3)
}

/// That URL, with the query of ours.
fn whole(public: &str, url: &str) -> String {
    let query = url.find('?').and_then(|at| url.get(at..)).unwrap_or_default();
    format!("{public}{query}")
}

/// That origin, with the path and query of ours.
fn behind(origin: &str, url: &str) -> String {
    format!("{origin}/{}", path(url).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_the_provider_was_given_be_it_the_root() {
        let ours = "http://127.0.0.1/ingest/abc?a=1";
        for (public, expect) in [
            ("", ours),
            ("https://hooks.example.com", "https://hooks.example.com/ingest/abc?a=1"),
            ("https://hooks.example.com/", "https://hooks.example.com/?a=1"),
            ("https://hooks.example.com/p", "https://hooks.example.com/p?a=1"),
            ("https://hooks.example.com/p/", "https://hooks.example.com/p/?a=1"),
        ] {
            assert_eq!(of(public, ours), expect, "{public}");
        }
        assert_eq!(of("https://example.com/", "http://h/ingest/abc"), "https://example.com/");
    }

    #[test]
    fn both_readings_of_an_origin_are_tried_when_one_fails() {
        for public in ["https://example.com", "https://example.com/"] {
            let others = others(public, "http://h/ingest/abc?a=1");
            for expect in ["https://example.com/ingest/abc?a=1", "https://example.com/?a=1"] {
                assert!(others.iter().any(|other| other == expect), "{others:?}");
            }
        }
        assert!(others("", "http://h/ingest/abc").is_empty());
    }
}

//! What arrived, and when.

use crate::{scheme::Unit, time};

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// From any of the ways in which providers write a time: seconds, milliseconds, RFC 3339,
    /// or the date of an HTTP header. Fractions of a second are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let units = [Unit::Either, Unit::Rfc3339, Unit::HttpDate];
        let millis = units.into_iter().find_map(|unit| time::parse(text.trim(), unit))?;
        Some(Self(millis / 1000))
    }
}

/// Header lines in the order of arrival. Names are lower case; a name may occur more than once.
///
/// Some runtimes (Cloudflare Workers among them) join repeated lines with `, ` before anybody
/// sees them. Whoever reads a header for its signature has to expect both forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first value under `name`, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// Every value under `name`, in any case, in the order of arrival.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        // Nearly always both are in lower case, and most differ in length already.
        let is = move |have: &str| {
            have.len() == name.len() && (have == name || have.eq_ignore_ascii_case(name))
        };
        let named = self.0.iter().filter(move |(have, _)| is(have));
        named.map(|(_, value)| value.as_str())
    }

    /// Every line: lower-case name, value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, String)> for Headers {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(lines: I) -> Self {
        Self(
            lines
                .into_iter()
                .map(|(mut name, value)| {
                    name.make_ascii_lowercase();
                    (name, value)
                })
                .collect(),
        )
    }
}

/// One HTTP request, as bytes.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Upper case, as on the wire.
    pub method: &'a str,
    /// The full public URL the provider was given, query included. Behind a proxy this is not
    /// what the socket saw.
    pub url: &'a str,
    pub headers: &'a Headers,
    /// The raw bytes, neither decompressed nor parsed.
    pub body: &'a [u8],
}

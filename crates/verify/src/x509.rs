//! What a certificate says of itself: whose it is, and for how long.
//!
//! The chain is not checked: whose key it is follows from where the certificate was fetched.

use crate::{
    UnixTime,
    keys::{Kind, PublicKey, blocks, from_spki, tlv},
    public::trusted,
    step::Wanted,
    time,
};

/// The common name of a subject, tag and length included.
const OID_COMMON_NAME: &[u8] = b"\x06\x03\x55\x04\x03";

/// The keys of those certificates of a PEM document that are the wanted ones.
pub(crate) fn keys(document: &[u8], kind: Kind, wanted: Wanted) -> Vec<PublicKey> {
    let Ok(text) = std::str::from_utf8(document) else { return Vec::new() };
    let certificates = blocks(text).filter(|(label, _)| *label == "CERTIFICATE");
    let keys = certificates.filter_map(|(_, der)| {
        let certificate = Certificate::read(&der)?;
        let fits = certificate.is_valid(wanted.now)
            && certificate.common_names().any(|name| trusted(&name, wanted.subjects));
        fits.then(|| from_spki(certificate.key, kind))?
    });
    keys.take(4).collect()
}

/// The parts of a certificate that are looked at, as DER.
pub(crate) struct Certificate<'d> {
    validity: &'d [u8],
    subject: &'d [u8],
    /// The `SubjectPublicKeyInfo`.
    pub(crate) key: &'d [u8],
}

impl<'d> Certificate<'d> {
    pub(crate) fn read(der: &'d [u8]) -> Option<Self> {
        let (0x30, inner, _) = tlv(der)? else { return None };
        let (0x30, mut fields, _) = tlv(inner)? else { return None };
        if let Some((0xa0, _, rest)) = tlv(fields) {
            fields = rest;
        }
        // Serial number, signature algorithm, issuer.
        for _ in 0..3 {
            fields = tlv(fields)?.2;
        }
        let (0x30, validity, fields) = tlv(fields)? else { return None };
        let (0x30, subject, fields) = tlv(fields)? else { return None };
        let rest = tlv(fields)?.2;
        let key = fields.get(..fields.len() - rest.len())?;
        Some(Self { validity, subject, key })
    }

    fn is_valid(&self, now: UnixTime) -> bool {
        let ends = || {
            let (tag, from, rest) = tlv(self.validity)?;
            let from = date(tag, from)?;
            let (tag, until, _) = tlv(rest)?;
            Some((from, date(tag, until)?))
        };
        let now = now.0.saturating_mul(1000);
        ends().is_some_and(|(from, until)| from <= now && now <= until)
    }

    /// Lower case.
    fn common_names(&self) -> impl Iterator<Item = String> {
        let mut rest = self.subject;
        std::iter::from_fn(move || {
            let (_, set, after) = tlv(rest)?;
            rest = after;
            Some(set)
        })
        .filter_map(|set| {
            let (0x30, attribute, _) = tlv(set)? else { return None };
            let (_, text, _) = tlv(attribute.strip_prefix(OID_COMMON_NAME)?)?;
            Some(std::str::from_utf8(text).ok()?.to_ascii_lowercase())
        })
    }
}

/// `YYMMDDHHMMSSZ`, or the same with four digits of the year (RFC 5280, 4.1.2.5). Milliseconds.
fn date(tag: u8, text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let century = match (tag, text.get(..2)?.parse::<u8>().ok()?) {
        (0x18, _) => "",
        (0x17, 50..) => "19",
        (0x17, _) => "20",
        _ => return None,
    };
    let text = format!("{century}{text}");
    let at = |from: usize, to: usize| text.get(from..to);
    let (year, month, day) = (at(0, 4)?, at(4, 6)?, at(6, 8)?);
    let (hour, minute, second) = (at(8, 10)?, at(10, 12)?, at(12, 14)?);
    (at(14, text.len())? == "Z").then_some(())?;
    let written = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    time::parse(&written, crate::scheme::Unit::Rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `vectors/make.py`: valid in 2020 and until 2120.
    const CERTIFICATE: &str = include_str!("../vectors/certificate.pem");
    const SUBJECTS: &[&str] = &["sns.*.amazonaws.com", "sns.amazonaws.com"];

    fn found(document: &str, subjects: &'static [&'static str], now: u64) -> usize {
        keys(document.as_bytes(), Kind::Rsa, Wanted { subjects, now: UnixTime(now) }).len()
    }

    #[test]
    fn a_certificate_has_to_be_of_the_provider_and_valid() {
        let now = 1_700_000_000;
        assert_eq!(found(CERTIFICATE, SUBJECTS, now), 1);
        assert_eq!(found(CERTIFICATE, &["*.paypal.com"], now), 0);
        assert_eq!(found(CERTIFICATE, &[], now), 0);
        assert_eq!(found(CERTIFICATE, SUBJECTS, 1_577_836_799), 0, "before 2020");
        assert_eq!(found(CERTIFICATE, SUBJECTS, 1_577_836_800), 1);
        assert_eq!(found(CERTIFICATE, SUBJECTS, 4_733_510_400), 1);
        assert_eq!(found(CERTIFICATE, SUBJECTS, 4_733_510_401), 0, "after 2119");
        let bare = CERTIFICATE.replace("CERTIFICATE", "PUBLIC KEY");
        assert_eq!(found(&bare, SUBJECTS, now), 0);
    }

    #[test]
    fn a_certificate_that_is_cut_is_none() {
        let (_, der) = blocks(CERTIFICATE).next().unwrap();
        assert!(Certificate::read(&der).is_some());
        for len in 0..der.len() {
            let cut = der.get(..len).unwrap();
            assert!(Certificate::read(cut).is_none(), "{len}");
        }
    }

    #[test]
    fn dates_of_both_kinds() {
        assert_eq!(date(0x17, b"231114221320Z"), Some(1_700_000_000_000));
        assert_eq!(date(0x18, b"20231114221320Z"), Some(1_700_000_000_000));
        assert_eq!(date(0x17, b"700101000000Z"), Some(0));
        for bad in [&b"231114221320"[..], b"231114221320+0100", b"2311142213Z", b"", b"\xff\xff"] {
            assert_eq!(date(0x17, bad), None, "{bad:?}");
        }
        assert_eq!(date(0x04, b"231114221320Z"), None);
    }
}

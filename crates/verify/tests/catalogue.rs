//! Walks the table, and the vectors of `vectors/`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop where it fails"
)]

use std::collections::HashSet;

mod support;

use inlet_verify::{
    Confidence, Headers, Integrity, Place, Policy, Provider, Refused, Request, Secret, UnixTime,
    Verified, Verifier, catalogue,
    scheme::{Check, Jwt, JwtAlgorithm, JwtPlace, Part, Signed, StampAt, UrlForm},
};
use serde_json::Value;

const ROWS: &str = include_str!("../vectors/rows.json");
const PUBLISHED: &str = include_str!("../vectors/published.json");

#[test]
fn names_are_sorted_and_unique() {
    let names: Vec<_> = catalogue::all().iter().map(|row| row.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    for name in names {
        assert_eq!(catalogue::find(name).unwrap().name, name);
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(name.bytes().all(plain), "{name}");
    }
    assert_eq!(catalogue::find("Twitter").unwrap().name, "x");
    assert_eq!(catalogue::find("GITLAB-signing-token").unwrap().name, "gitlab_signing_token");
    assert!(catalogue::find("nobody").is_none());
}

#[test]
fn the_table_is_as_large_as_promised() {
    let count =
        |confidence| catalogue::all().iter().filter(|row| row.confidence == confidence).count();
    let counts = [Confidence::High, Confidence::Medium, Confidence::Low].map(count);
    println!("high, medium, low: {counts:?}");
    assert!(250 <= counts[0] + counts[1], "{counts:?}");
    for row in catalogue::all() {
        // Who signs nothing is verified by what the operator chose, and that is no hearsay.
        let hearsay = row.confidence == Confidence::Low && !row.is_unsigned();
        assert_eq!(row.observe(), hearsay, "{}", row.name);
    }
}

#[test]
fn only_who_signs_the_query_may_send_events_by_get() {
    let by_get: Vec<_> =
        catalogue::all().iter().filter(|row| row.by_get).map(|row| row.name).collect();
    let want = [
        "contentful",
        "hubspot_v2",
        "hubspot_v3",
        "messagebird",
        "plivo_v3",
        "signalwire",
        "twilio",
    ];
    assert_eq!(by_get, want);
}

#[test]
fn every_row_links_to_its_source() {
    for row in catalogue::all() {
        assert!(row.docs.starts_with("https://"), "{}", row.name);
        assert!((400..500).contains(&row.failure_status), "{}", row.name);
    }
}

/// A new row has to say what an event is called, or why it has no name.
#[test]
fn every_row_names_its_events_or_says_why_not() {
    let said = |place: Option<Place<'_>>, why: &str| place.is_some() == why.is_empty();
    let silent = |row: &&&Provider| {
        !said(row.event_id, row.no_event_id) || !said(row.event_type, row.no_event_type)
    };
    let silent: Vec<_> = catalogue::all().iter().filter(silent).map(|row| row.name).collect();
    assert!(silent.is_empty(), "no dedup key or no event type, and no reason: {silent:?}");
}

#[test]
fn header_names_are_lower_case() {
    for row in catalogue::all() {
        let mut places: Vec<Place<'_>> = row.event_id.into_iter().chain(row.event_type).collect();
        schemes(&row.check, &mut |scheme| {
            places.extend(scheme.places);
            places.extend(scheme.stamp.and_then(|stamp| match stamp.at {
                StampAt::Place(place) => Some(place),
                StampAt::Parameter { header, .. } => Some(Place::Header(header)),
                StampAt::Field(_) => None,
            }));
            for part in scheme.messages.iter().copied().flatten() {
                if let Part::At(place) | Part::Maybe(_, place, _) = part {
                    places.push(*place);
                }
            }
        });
        tokens(&row.check, &mut |name| places.push(Place::Header(name)));
        for place in places {
            lower(&place, row.name);
        }
    }
}

fn lower(place: &Place<'_>, row: &str) {
    match place {
        Place::Header(name) | Place::Numbered(name) => {
            assert_eq!(*name, name.to_lowercase(), "{row}");
            assert!(!name.is_empty() && !name.contains(' '), "{row}");
        }
        Place::All(places) | Place::First(places) => {
            places.iter().for_each(|place| lower(place, row));
        }
        _ => {}
    }
}

/// Whoever checks an age that nobody signed checks what an attacker wrote.
#[test]
fn a_checked_timestamp_is_signed() {
    for row in catalogue::all() {
        schemes(&row.check, &mut |scheme| {
            let Some(stamp) = scheme.stamp.filter(|stamp| 0 < stamp.tolerance) else { return };
            let body = |part: &Part<'_>| matches!(part, Part::Body | Part::BodyDigest(..));
            let signs = |part: &Part<'_>| match stamp.at {
                _ if matches!(part, Part::Stamp | Part::Custom(_)) => true,
                StampAt::Place(Place::Body(_)) => body(part),
                StampAt::Place(Place::Query(_)) => matches!(part, Part::Url(UrlForm::Full)),
                _ => false,
            };
            let first = scheme.messages.first().unwrap();
            assert!(first.iter().any(signs), "{}", row.name);
        });
    }
}

#[test]
fn integrity_says_what_is_signed() {
    for row in catalogue::all() {
        let mut all = true;
        let mut any = false;
        schemes(&row.check, &mut |scheme| {
            any = true;
            for message in scheme.messages {
                all &= message.iter().any(|part| {
                    matches!(
                        part,
                        Part::Body
                            | Part::BodyDigest(..)
                            | Part::BodyQuoted
                            | Part::Form
                            | Part::Custom(_)
                            | Part::CustomFields(_)
                    ) || matches!(part, Part::At(Place::Form("payload" | "bt_payload")))
                });
            }
        });
        match row.integrity {
            Integrity::Full if any => assert!(all, "{}", row.name),
            Integrity::Partial if any && row.name != "aws_sns" => assert!(!all, "{}", row.name),
            _ => {}
        }
        let verifier = Verifier::Provider { provider: row, secrets: Vec::new() };
        assert_eq!(verifier.signs_body(), row.integrity == Integrity::Full, "{}", row.name);
    }
}

/// A public key taken for an HMAC key is a key that everybody has.
#[test]
fn no_token_may_choose_between_secret_and_public_keys() {
    for row in catalogue::all() {
        jwts(&row.check, &mut |jwt| {
            let shared = |algorithm: &&JwtAlgorithm| algorithm.name().starts_with("HS");
            let count = jwt.algorithms.iter().filter(shared).count();
            assert!(count == 0 || count == jwt.algorithms.len(), "{}", row.name);
        });
    }
}

fn schemes(check: &Check<'static>, visit: &mut dyn FnMut(&Signed<'static>)) {
    match check {
        Check::Signed(scheme) => visit(scheme),
        Check::Either(first, second) => {
            schemes(first, visit);
            schemes(second, visit);
        }
        Check::Case { cases, .. } => cases.iter().for_each(|(_, check)| schemes(check, visit)),
        _ => {}
    }
}

fn jwts(check: &Check<'static>, visit: &mut dyn FnMut(&Jwt<'static>)) {
    if let Check::Jwt(jwt) = check {
        visit(jwt);
    }
}

fn tokens(check: &Check<'static>, visit: &mut dyn FnMut(&'static str)) {
    match check {
        Check::Token { place: Place::Header(name), .. } => visit(name),
        Check::Jwt(Jwt { place: JwtPlace::Header(name, _), .. }) => visit(name),
        _ => {}
    }
}

/// A vector, taken apart.
struct Vector {
    id: String,
    provider: &'static Provider,
    secrets: Vec<Secret>,
    method: String,
    url: String,
    headers: Headers,
    body: Vec<u8>,
    now: Option<UnixTime>,
    document: Option<Vec<u8>>,
    valid: bool,
}

impl Vector {
    fn all(text: &str) -> Vec<Self> {
        let values: Vec<Value> = serde_json::from_str(text).unwrap();
        values.iter().filter(|value| value["handshake"] != true).map(Self::read).collect()
    }

    fn read(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let lines = value["headers"].as_object().unwrap().iter();
        let lines = lines.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        let clock = match &value["timestamp"] {
            Value::Null => None,
            Value::String(text) => UnixTime::parse(text),
            number => UnixTime::parse(&number.to_string()),
        };
        let url = text("url");
        Self {
            id: text("id"),
            provider: catalogue::find(&text("provider")).unwrap(),
            secrets: Secret::new(text("secret").into_bytes()).into_iter().collect(),
            method: text("method"),
            url: if url.is_empty() { "https://example.com/".to_owned() } else { url },
            headers: lines.collect(),
            body: text("body").into_bytes(),
            now: clock,
            document: value["key_document"].as_str().map(|text| text.as_bytes().to_vec()),
            valid: value["valid"].as_bool().unwrap(),
        }
    }

    fn verify_at(&self, now: UnixTime, policy: &Policy) -> Result<Verified, Refused> {
        let (provider, secrets) = (self.provider, self.secrets.clone());
        let verifier = Verifier::Provider { provider, secrets };
        let request = Request {
            method: &self.method,
            url: &self.url,
            headers: &self.headers,
            body: &self.body,
        };
        support::decide(&verifier, &request, now, policy, self.document.as_deref())
    }

    fn verify(&self) -> Result<Verified, Refused> {
        let tolerance = if self.now.is_none() { Some(0) } else { None };
        self.verify_at(self.now.unwrap_or(UnixTime(0)), &Policy::tolerating(tolerance))
    }
}

#[test]
fn published_vectors() {
    for vector in Vector::all(PUBLISHED) {
        let verdict = vector.verify();
        assert_eq!(verdict.is_ok(), vector.valid, "{}: {verdict:?}", vector.id);
    }
}

/// A published request, with the certificate that it names.
#[test]
fn a_certificate_counts_for_whom_and_when_it_says() {
    let vectors = Vector::all(PUBLISHED);
    let mut paypal = vectors.into_iter().find(|vector| vector.id == "paypal-1").unwrap();
    let now = paypal.now.unwrap();
    let years = |count: u64| UnixTime(now.0 + count * 366 * 86_400);
    let any = Policy::tolerating(Some(0));
    assert!(paypal.verify_at(now, &any).is_ok());
    assert!(paypal.verify_at(years(1), &any).is_ok());
    assert_eq!(paypal.verify_at(years(2), &any).unwrap_err().label(), "no_key", "it has ended");
    paypal.body.push(b' ');
    assert_eq!(paypal.verify_at(now, &any).unwrap_err().label(), "signature");
    paypal.body.pop();
    paypal.document = Some(include_bytes!("../vectors/certificate.pem").to_vec());
    assert!(paypal.verify_at(now, &any).is_err(), "somebody else's");
    paypal.document = None;
    assert_eq!(paypal.verify_at(now, &any), Err(Refused::Unavailable));
}

#[test]
fn vectors_of_another_implementation() {
    for vector in Vector::all(ROWS) {
        let verdict = vector.verify();
        assert_eq!(verdict.is_ok(), vector.valid, "{}: {verdict:?}", vector.id);
    }
}

#[test]
fn every_row_has_a_vector() {
    let vectors = [Vector::all(PUBLISHED), Vector::all(ROWS)].concat_names();
    for row in catalogue::all() {
        assert!(vectors.contains(row.name), "{}", row.name);
    }
}

trait Names {
    fn concat_names(self) -> HashSet<&'static str>;
}

impl Names for [Vec<Vector>; 2] {
    fn concat_names(self) -> HashSet<&'static str> {
        let all = self.into_iter().flatten().filter(|vector| vector.valid);
        all.map(|vector| vector.provider.name).collect()
    }
}

#[test]
fn strangers_are_refused() {
    for mut vector in Vector::all(ROWS) {
        // Without a secret of their own: nothing to know, or the key comes from elsewhere.
        let open = matches!(vector.provider.check, Check::Unsigned) || vector.document.is_some();
        if open {
            continue;
        }
        vector.secrets = Secret::new(*b"00ff00ff00ff00ff").into_iter().collect();
        let verdict = vector.verify();
        assert!(verdict.is_err(), "{}", vector.id);
        vector.secrets.clear();
        let verdict = vector.verify();
        assert!(verdict.is_err(), "{}", vector.id);
    }
}

#[test]
fn another_body_is_refused() {
    for mut vector in Vector::all(ROWS) {
        if vector.provider.integrity != Integrity::Full {
            continue;
        }
        for at in 0..vector.body.len().min(400) {
            vector.body[at] ^= 1;
            // Two things are no part of what they stand in: the spelling of an escape in a form,
            // and members that a scheme reads the signature from.
            let verdict = vector.verify();
            let form = vector.headers.get("content-type").is_some();
            assert!(verdict.is_err() || form, "{} at {at}", vector.id);
            vector.body[at] ^= 1;
        }
        let whole = vector.body.clone();
        vector.body.clear();
        assert!(vector.verify().is_err() || whole.is_empty(), "{}: empty", vector.id);
        vector.body = whole;
        vector.body.push(b' ');
        // A token in the body may have space around it.
        let padded = matches!(vector.provider.check, Check::Jwt(Jwt { place: JwtPlace::Body, .. }));
        let form = vector.headers.get("content-type").is_some();
        assert!(vector.verify().is_err() || padded || form, "{}: longer", vector.id);
    }
}

#[test]
fn requests_of_another_time_are_refused() {
    for vector in Vector::all(ROWS) {
        let mut tolerance = 0;
        schemes(&vector.provider.check, &mut |scheme| {
            tolerance = tolerance.max(scheme.stamp.map_or(0, |stamp| stamp.tolerance));
        });
        let (now, default) = (vector.now.unwrap(), Policy::default());
        if tolerance == 0 || vector.id == "grafana-computed" || vector.id.starts_with("ms_teams") {
            continue;
        }
        let id = &vector.id;
        let late = UnixTime(now.0 + tolerance + 2);
        let early = UnixTime(now.0 - tolerance - 2);
        assert_eq!(vector.verify_at(late, &default).unwrap_err().label(), "too_old", "{id}");
        assert_eq!(vector.verify_at(early, &default).unwrap_err().label(), "too_new", "{id}");
        let edge = UnixTime(now.0 + tolerance);
        assert!(vector.verify_at(edge, &default).is_ok(), "{id}");
        assert!(vector.verify_at(late, &Policy::tolerating(Some(0))).is_ok(), "{id}");
        assert!(vector.verify_at(late, &Policy::tolerating(Some(tolerance + 9))).is_ok(), "{id}");
    }
}

/// Whoever renews the time of an old request has to sign it again.
#[test]
fn another_time_is_refused() {
    let mut renewed = 0;
    for mut vector in Vector::all(ROWS) {
        let mut checked = false;
        schemes(&vector.provider.check, &mut |scheme| {
            checked |= scheme.stamp.is_some_and(|stamp| 0 < stamp.tolerance);
        });
        let newer =
            |value: &str| value.replace("1700000000", "1700000001").replace("22:13:20", "22:13:21");
        let lines = vector.headers.iter();
        let lines: Headers = lines.map(|(name, value)| (name.to_owned(), newer(value))).collect();
        let body = String::from_utf8(vector.body.clone()).unwrap();
        let body = if body.contains("1700000000") { newer(&body) } else { body }.into_bytes();
        if checked && (lines != vector.headers || body != vector.body) {
            renewed += 1;
            (vector.headers, vector.body) = (lines, body);
            assert!(vector.verify().is_err(), "{}", vector.id);
        }
    }
    assert!(100 < renewed, "{renewed}");
}

#[test]
fn parameters_that_carry_secrets_are_named() {
    let named = |name: &str| {
        let provider = catalogue::find(name).unwrap();
        Verifier::Provider { provider, secrets: Vec::new() }.credential_parameters()
    };
    assert_eq!(named("mailchimp"), ["secret"]);
    assert_eq!(named("azure_event_grid"), ["code"]);
    assert_eq!(named("pandadoc"), ["signature"]);
    assert_eq!(named("cloudevents_http"), ["access_token"]);
    assert!(named("github").is_empty());
}

#[test]
fn no_header_that_carries_a_signature_is_forgotten() {
    for vector in Vector::all(ROWS) {
        let (provider, secrets) = (vector.provider, vector.secrets.clone());
        let named = Verifier::Provider { provider, secrets }.credential_headers();
        let shown = |name: &str| named.iter().any(|have| have == name);
        for (name, _) in vector.headers.iter() {
            let secretive = name.contains("signature")
                && !["timestamp", "nonce", "input"].iter().any(|part| name.contains(part));
            assert!(!secretive || shown(name), "{}: {name}", vector.id);
        }
    }
}

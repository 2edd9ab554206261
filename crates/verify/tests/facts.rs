//! The catalogue against what was written down about each provider apart from it, `vectors/facts.txt`: a row that is
//! changed by mistake says something else than its line.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it fails")]

use inlet_verify::{
    Confidence, Encoding, Hash, Place, catalogue,
    scheme::{Algorithm, Check, Jwt, JwtPlace, Part, Signed, StampAt},
};

const FACTS: &str = include_str!("../vectors/facts.txt");

/// One way in which requests of a row prove themselves, in the words of the file.
#[derive(Debug, Default)]
struct Shape {
    algorithm: String,
    encoding: String,
    headers: Vec<String>,
    messages: Vec<String>,
    tolerance: String,
}

fn shapes(check: &Check<'static>) -> Vec<Shape> {
    let named = |algorithm: &str| Shape {
        algorithm: algorithm.to_owned(),
        tolerance: "-".to_owned(),
        ..Shape::default()
    };
    match check {
        Check::Signed(scheme) => vec![signed(scheme)],
        Check::Jwt(jwt) => vec![token(jwt)],
        Check::Token { place, .. } => {
            vec![Shape { headers: headers(std::slice::from_ref(place)), ..named("token") }]
        }
        Check::NamedHeader => vec![named("token")],
        Check::Basic => {
            vec![Shape { headers: vec!["authorization".to_owned()], ..named("basic") }]
        }
        Check::Either(one, other) => [shapes(one), shapes(other)].into_iter().flatten().collect(),
        Check::Case { cases, .. } => cases.iter().flat_map(|(_, check)| shapes(check)).collect(),
        Check::AdyenItems => {
            vec![Shape { encoding: "base64".to_owned(), ..named("HMAC-SHA256") }]
        }
        Check::Unsigned => vec![named("none")],
        other => panic!("{other:?} has no words here"),
    }
}

fn signed(scheme: &Signed<'static>) -> Shape {
    let algorithm = match scheme.algorithm {
        Algorithm::Hmac(of) => format!("HMAC-{}", of.name()),
        Algorithm::Digest(of) => format!("digest-{}", of.name()),
        Algorithm::Rsa(of) => format!("RSA-{}", of.name()),
        Algorithm::Ecdsa(of) => format!("ECDSA-{}", of.name()),
        Algorithm::Ed25519 => "Ed25519".to_owned(),
    };
    let encoding = scheme.encoding.name().to_owned();
    let tolerance = match scheme.stamp {
        Some(stamp) if 0 < stamp.tolerance => stamp.tolerance.to_string(),
        _ => "-".to_owned(),
    };
    let mut headers = headers(scheme.places);
    if let Some(StampAt::Place(place)) = scheme.stamp.map(|stamp| stamp.at) {
        headers.extend(self::headers(&[place]));
    }
    let messages = scheme.messages.iter().map(|parts| parts.iter().map(part).collect()).collect();
    Shape { algorithm, encoding, headers, messages, tolerance }
}

fn part(part: &Part<'static>) -> String {
    match part {
        Part::Text(text) => text.replace('\n', "\\n"),
        Part::Body => "{body}".to_owned(),
        Part::BodyDigest(Hash::Sha256, Encoding::Hex) => "{hex(sha256(body))}".to_owned(),
        Part::Stamp => "{ts}".to_owned(),
        Part::Url(_) => "{url}".to_owned(),
        Part::At(_) | Part::Field(_) => "{id}".to_owned(),
        other => format!("{{{other:?}}}"),
    }
}

fn token(jwt: &Jwt<'static>) -> Shape {
    let headers = match jwt.place {
        JwtPlace::Header(name, _) => vec![name.to_owned()],
        JwtPlace::Body => Vec::new(),
    };
    let algorithm = format!("JWT-{}", jwt.algorithms.first().unwrap().name());
    let tolerance = if jwt.max_age == 0 { "-".to_owned() } else { jwt.max_age.to_string() };
    Shape { algorithm, headers, tolerance, ..Shape::default() }
}

fn headers(places: &[Place<'static>]) -> Vec<String> {
    let names = |place: &Place<'static>| match place {
        Place::Header(name) => vec![(*name).to_owned()],
        Place::Numbered(name) => vec![format!("{name}1")],
        Place::All(places) | Place::First(places) => headers(places),
        _ => Vec::new(),
    };
    places.iter().flat_map(names).collect()
}

/// A line is `name confidence algorithm encoding header signed tolerance`: `-` for none, `*` and `?` for what has no
/// short form or is not said.
#[test]
fn every_row_is_what_was_written_down_of_it() {
    let mut names = Vec::new();
    let mut wrong = Vec::new();
    for line in FACTS.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [name, confidence, algorithm, encoding, header, message, tolerance] = words[..] else {
            panic!("{line}");
        };
        names.push(name);
        let Some(row) = catalogue::find(name).filter(|row| row.name == name) else {
            wrong.push(format!("{name} has no row"));
            continue;
        };
        let known = match row.confidence {
            Confidence::High => "H",
            Confidence::Medium => "M",
            Confidence::Low => "L",
        };
        let is = |shape: &Shape| {
            let open = |word: &str| ["-", "*", "?"].contains(&word);
            shape.algorithm == algorithm
                && (open(encoding) || shape.encoding == encoding)
                && (open(header) || shape.headers.iter().any(|have| have == header))
                && (open(message) || shape.messages.iter().any(|have| have == message))
                && (tolerance == "?" || shape.tolerance == tolerance)
        };
        let shapes = shapes(&row.check);
        if known != confidence || !shapes.iter().any(is) {
            wrong.push(format!("{line}\n    {known} {shapes:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let rows: Vec<_> = catalogue::all().iter().map(|row| row.name).collect();
    assert_eq!(names, rows, "a line for each row, in their order");
}

//! Requests that are questions about the endpoint, not events.
//!
//! A few providers ask for an HMAC of a text that the asker chooses. Answered blindly, that is a
//! machine for forging signatures: ask about the body one wants to send. So texts that could be
//! a body, or part of what is signed around one, are refused; see [`harmless`].

use subtle::ConstantTimeEq;

use crate::{
    Encoding, Hash, Place, Policy, Provider, Request, Secret, UnixTime, challenge::BASIC, digest,
    extract, hmac, json, keys, message::quote, scheme::UrlForm, uri,
};

/// In front of a secret that is only compared with the token of a question, never used as a key.
pub(crate) const TOKEN_LABEL: &[u8] = b"verify_token:";

/// The answer to a question about the endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Handshake {
    Reply {
        status: u16,
        content_type: &'static str,
        body: Vec<u8>,
        headers: Vec<(&'static str, String)>,
    },
    Refuse {
        status: u16,
        /// For the operator's log.
        reason: &'static str,
    },
    /// The provider hands over a signing secret, and nothing proves that it is the provider.
    ///
    /// To be accepted only while an operator has armed the source for it, for a short time, and
    /// never over a secret that is there. Else: answer 403.
    Capture { secret: Secret, status: u16, headers: Vec<(&'static str, String)> },
}

/// A kind of question. The rows of the catalogue say who asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Question {
    /// `GET ?hub.mode=subscribe&hub.challenge=…&hub.verify_token=…`, answered with the challenge.
    Hub,
    /// The question of [`Question::Hub`], answered with the challenge in JSON.
    HubJson,
    /// `GET ?hub.mode=…&hub.topic=…&hub.challenge=…` without a token (`WebSub`), answered with the challenge.
    HubOpen,
    /// `GET ?crc_token=…`, answered with its HMAC.
    CrcToken,
    /// `GET ?challenge_code=…`, answered with a digest of it, a token and the endpoint.
    ChallengeCode,
    /// `GET ?challengeCode=…`, answered with its HMAC.
    ChallengeHmac,
    /// `GET` with this parameter, answered with its value.
    Echo(&'static str),
    /// `POST ?validationToken=…`, answered with its value.
    ValidationToken,
    /// `GET ?bt_challenge=…`, answered with the public key and an HMAC.
    Braintree,
    /// `GET ?verify=…`: 204 where it is the token, else 404.
    Verify,
    /// `GET ?verification_token=…&challenge=…`, answered with JSON.
    TokenAndChallenge,
    /// `GET` with `X-Okta-Verification-Challenge`.
    Okta,
    /// Signed `POST` of `{"type":"url_verification"}`, answered with its challenge.
    UrlVerification,
    /// `POST` of `{"challenge":…}` without a type, answered with the same.
    JsonChallenge,
    /// `POST` of `endpoint.url_validation`, answered with the token and its HMAC.
    UrlValidation,
    /// Signed `POST` with this header and value, answered with the challenge in the body.
    SignedChallenge(&'static str, &'static str),
    /// `POST` of `{"eventName":"verify"}`, answered with an HMAC of its challenge.
    VerifyEvent,
    /// `POST` with `aeg-event-type: SubscriptionValidation`, answered with the code in it.
    EventGrid,
    /// `OPTIONS` with `WebHook-Request-Origin` (CloudEvents).
    CloudEvents,
    /// `POST` with `X-Hook-Secret`: the secret to come, to be echoed.
    HookSecret,
    /// `POST` of `{"verification_token":…}`: the secret to come.
    VerificationToken,
    /// `POST` with this header, answered with the same header.
    EchoHeader(&'static str),
    /// `GET` with `X-AdobeSign-ClientId`, answered with the same header.
    AdobeSign,
    /// `POST` with this header, answered with its value in a JSON member.
    HeaderToJson(&'static str, &'static str),
    /// `POST` with this header, answered with its value.
    HeaderToText(&'static str),
    /// Signed `{"type":1}`, answered with the same; `{"type":0}`, answered with nothing.
    Ping,
    /// `{"type":"validation.webhook","id":…}`, answered with the id.
    ValidationEvent,
    /// `HEAD`, or `GET` without a body: is anybody there?
    Reachability,
    /// A request with nothing in it: answered with the verify token in this header, which every other answer carries, too.
    Known(&'static str),
    /// A first request without credentials expects to be asked for them.
    AskForBasic,
    /// A header with this value marks a message that is no event.
    Notice(&'static str, &'static str),
    /// A body of exactly these bytes is a test.
    TestBody(&'static str),
    /// A form of this one field is a test.
    TestForm(&'static str),
    /// Signed `POST` whose list of this name is empty: is the secret right?
    NoEvents(&'static str),
}

/// Answers `request` if it is a question about the endpoint. `None`: it is not, or it lacks the
/// signature that the real question would carry; go on as with a delivery. What our own answer to
/// somebody's question would sign is refused, too.
pub fn handshake(
    provider: &Provider,
    secrets: &[Secret],
    request: &Request<'_>,
    now: UnixTime,
) -> Option<Handshake> {
    answered(Ask { provider, secrets, request, now, observed: false })
}

/// Answers `request` as [`handshake`], for a source that only observes: it believes what comes as a delivery, so it believes who
/// asks, too. Whoever sets up a source this way has perhaps not the right secret yet, and without an answer its provider would
/// send nothing.
pub fn observed_handshake(
    provider: &Provider,
    secrets: &[Secret],
    request: &Request<'_>,
    now: UnixTime,
) -> Option<Handshake> {
    answered(Ask { provider, secrets, request, now, observed: true })
}

fn answered(ask: Ask<'_>) -> Option<Handshake> {
    let questions = || ask.provider.questions.iter().copied();
    questions().find_map(|question| answer(question, ask)).or_else(|| {
        let forged = ask.post() && questions().any(|question| could_be_ours(question, ask));
        forged.then(|| refuse("the body is what we would sign for whoever asks, and no event"))?
    })
}

/// Whether the signature of this delivery could be one that we gave as the answer to a question.
fn could_be_ours(question: Question, ask: Ask<'_>) -> bool {
    match question {
        Question::CrcToken | Question::ChallengeHmac | Question::VerifyEvent => {
            std::str::from_utf8(ask.request.body).is_ok_and(harmless)
        }
        Question::Braintree => {
            extract(&Place::Form("bt_payload"), ask.request).is_some_and(|text| is_code(&text))
        }
        _ => false,
    }
}

#[derive(Clone, Copy)]
struct Ask<'r> {
    provider: &'r Provider,
    secrets: &'r [Secret],
    request: &'r Request<'r>,
    now: UnixTime,
    observed: bool,
}

impl Ask<'_> {
    fn query(&self, name: &str) -> Option<String> {
        uri::query_value(self.request.url, name)
    }

    fn get(&self, name: &str) -> Option<String> {
        (self.request.method == "GET").then(|| self.query(name))?
    }

    fn post(&self) -> bool {
        self.request.method == "POST"
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name).map(str::trim).filter(|value| !value.is_empty())
    }

    fn member(&self, path: &[&str]) -> Option<String> {
        self.post().then(|| json::text(json::find(self.request.body, path)?))?
    }

    /// Whether the request is a believed delivery.
    fn signed(&self) -> bool {
        // A secret the row cannot use is no reason to skip the others.
        self.observed
            || crate::verifier::check(
                self.provider,
                self.secrets,
                self.request,
                self.now,
                &Policy::default(),
            )
    }

    /// The secrets that a token of a question may equal: those labelled so, or all.
    fn tokens(&self) -> Vec<&[u8]> {
        let exposed = self.secrets.iter().map(Secret::expose);
        let labelled: Vec<_> =
            exposed.clone().filter_map(|secret| secret.strip_prefix(TOKEN_LABEL)).collect();
        if labelled.is_empty() { exposed.collect() } else { labelled }
    }

    fn knows(&self, token: &str) -> bool {
        let mut known = false;
        for expected in self.tokens() {
            known |= bool::from(expected.trim_ascii().ct_eq(token.as_bytes()));
        }
        known
    }

    /// The first secret that is a key.
    fn key(&self) -> Option<&[u8]> {
        let mut exposed = self.secrets.iter().map(Secret::expose);
        exposed.find(|secret| !secret.starts_with(TOKEN_LABEL))
    }
}

#[expect(clippy::too_many_lines, reason = "one arm a question, none of them long")]
fn answer(question: Question, ask: Ask<'_>) -> Option<Handshake> {
    match question {
        Question::Hub | Question::HubJson => hub(question, ask),
        Question::HubOpen => {
            let mode = ask.get("hub.mode")?;
            let topical = ask.query("hub.topic").is_some();
            if !topical || (mode != "subscribe" && mode != "unsubscribe") {
                return None;
            }
            echo(&ask.query("hub.challenge")?)
        }
        Question::CrcToken => answer_mac(&ask.get("crc_token")?, ask, |mac| {
            let response = Encoding::Base64.encode(mac);
            format!(r#"{{"response_token":"sha256={response}"}}"#)
        }),
        Question::ChallengeCode => {
            let code = ask.get("challenge_code")?;
            let Some(token) = ask.tokens().into_iter().next() else { return no_secret() };
            let endpoint = uri::form(ask.request.url, UrlForm::Base);
            let parts = [code.as_bytes(), token.trim_ascii(), endpoint.as_bytes()];
            let hash = hex::encode(digest(Hash::Sha256, &parts));
            Some(json_reply(format!(r#"{{"challengeResponse":"{hash}"}}"#)))
        }
        Question::ChallengeHmac => {
            let code = ask.get("challengeCode")?;
            answer_mac(&code, ask, |mac| {
                let (code, mac) = (quote(&code), hex::encode(mac));
                format!(r#"{{"challengeCode":{code},"challengeResponse":"{mac}"}}"#)
            })
        }
        Question::Echo(name) => echo(&ask.get(name)?),
        Question::ValidationToken => {
            ask.post().then_some(())?;
            echo(&ask.query("validationToken")?)
        }
        Question::Braintree => braintree(ask),
        Question::Verify => {
            let status = if ask.knows(&ask.get("verify")?) { 204 } else { 404 };
            Some(reply(status, "text/plain", Vec::new()))
        }
        Question::TokenAndChallenge => {
            let token = ask.get("verification_token")?;
            let challenge = ask.query("challenge")?;
            if !ask.knows(&token) {
                return refuse("the verification token is not ours");
            }
            Some(json_reply(format!(r#"{{"challenge":{}}}"#, quote(&challenge))))
        }
        Question::Okta => {
            let challenge = ask.header("x-okta-verification-challenge")?;
            (ask.request.method == "GET").then_some(())?;
            Some(json_reply(format!(r#"{{"verification":{}}}"#, quote(challenge))))
        }
        Question::UrlVerification => {
            let kind = ask.member(&["type"])?;
            (kind == "url_verification" && ask.signed()).then_some(())?;
            echo(&ask.member(&["challenge"])?)
        }
        Question::JsonChallenge => {
            let challenge = ask.member(&["challenge"])?;
            let typed = json::find(ask.request.body, &["type"]).is_some();
            (!typed).then(|| json_reply(format!(r#"{{"challenge":{}}}"#, quote(&challenge))))
        }
        Question::UrlValidation => {
            (ask.member(&["event"])? == "endpoint.url_validation").then_some(())?;
            let token = ask.member(&["payload", "plainToken"])?;
            // Zoom signs this too; where a signature came along it has to be right.
            if ask.header("x-zm-signature").is_some() && !ask.signed() {
                return None;
            }
            answer_mac(&token, ask, |mac| {
                let (token, mac) = (quote(&token), hex::encode(mac));
                format!(r#"{{"plainToken":{token},"encryptedToken":"{mac}"}}"#)
            })
        }
        Question::SignedChallenge(header, value) => {
            (ask.header(header)? == value && ask.signed()).then_some(())?;
            echo(&ask.member(&["challenge"])?)
        }
        Question::VerifyEvent => {
            let name = ask.member(&["eventName"]).or_else(|| ask.member(&["eventType"]))?;
            (name.eq_ignore_ascii_case("verify")).then_some(())?;
            let challenge = ask
                .member(&["payload", "challenge"])
                .or_else(|| ask.member(&["data", "challenge"]))?;
            answer_mac(&challenge, ask, |mac| format!(r#"{{"challenge":"{}"}}"#, hex::encode(mac)))
        }
        Question::EventGrid => {
            let kind = ask.header("aeg-event-type")?;
            kind.eq_ignore_ascii_case("SubscriptionValidation").then_some(())?;
            let code = ask.member(&["0", "data", "validationCode"])?;
            Some(json_reply(format!(r#"{{"validationResponse":{}}}"#, quote(&code))))
        }
        Question::CloudEvents => {
            (ask.request.method == "OPTIONS").then_some(())?;
            let origin = printable(ask.header("webhook-request-origin")?)?;
            let headers =
                vec![("webhook-allowed-origin", origin), ("webhook-allowed-rate", "*".to_owned())];
            Some(with_headers(200, headers))
        }
        Question::HookSecret => {
            let text = ask.post().then(|| ask.header("x-hook-secret"))??;
            capture(text, ask, vec![("x-hook-secret", printable(text)?)])
        }
        Question::VerificationToken => {
            let token = ask.member(&["verification_token"])?;
            capture(&token, ask, Vec::new())
        }
        Question::EchoHeader(name) => {
            let value = ask.post().then(|| ask.header(name))??;
            Some(with_headers(200, vec![(name, printable(value)?)]))
        }
        Question::AdobeSign => {
            let client = (ask.request.method == "GET").then(|| ask.header(ADOBE))??;
            if !ask.knows(client) {
                return refuse("the client id is not ours");
            }
            Some(with_headers(200, vec![(ADOBE, printable(client)?)]))
        }
        Question::HeaderToJson(header, member) => {
            let value = ask.post().then(|| ask.header(header))??;
            Some(json_reply(format!(r#"{{"{member}":{}}}"#, quote(value))))
        }
        Question::HeaderToText(header) => echo(ask.post().then(|| ask.header(header))??),
        Question::Ping => {
            let kind = ask.member(&["type"])?;
            // Interactions ask with 1, which is the kind of all webhook events; these ask with 0.
            let is_event = json::find(ask.request.body, &["event"]).is_some();
            match kind.as_str() {
                "1" if !is_event && ask.signed() => Some(json_reply(r#"{"type":1}"#.to_owned())),
                "0" if ask.signed() => Some(reply(204, "text/plain", Vec::new())),
                _ => None,
            }
        }
        Question::ValidationEvent => {
            (ask.member(&["type"])? == "validation.webhook" && ask.signed()).then_some(())?;
            let id = ask.member(&["id"])?;
            Some(json_reply(format!(r#"{{"id":{}}}"#, quote(&id))))
        }
        Question::NoEvents(name) => {
            let list = ask.post().then(|| json::find(ask.request.body, &[name]))??;
            let inside = list.strip_prefix(b"[")?.strip_suffix(b"]")?;
            let empty = inside.trim_ascii().is_empty() && ask.signed();
            empty.then(|| reply(200, "text/plain", Vec::new()))
        }
        Question::Reachability => {
            let method = ask.request.method;
            let asks = method == "HEAD" || (method == "GET" && ask.request.body.is_empty());
            asks.then(|| reply(200, "text/plain", Vec::new()))
        }
        Question::Known(header) => {
            // A test without anything in it may come by `POST`, unsigned.
            let bare = matches!(ask.request.body.trim_ascii(), b"" | b"[]" | b"{}");
            let asks = bare && (matches!(ask.request.method, "GET" | "HEAD") || ask.post());
            let token = asks.then(|| labelled(ask.secrets))??;
            Some(with_headers(200, vec![(header, printable(&token)?)]))
        }
        Question::AskForBasic => {
            let bare = ask.request.headers.get("authorization").is_none();
            bare.then(|| with_headers(401, vec![("www-authenticate", BASIC.to_owned())]))
        }
        Question::Notice(header, value) => {
            (ask.header(header)? == value && ask.signed()).then_some(())?;
            Some(reply(200, "text/plain", Vec::new()))
        }
        Question::TestBody(test) => {
            let same = ask.post() && ask.request.body.trim_ascii() == test.as_bytes();
            same.then(|| reply(200, "text/plain", Vec::new()))
        }
        Question::TestForm(field) => {
            let pairs = if ask.post() { uri::pairs(ask.request.body) } else { Vec::new() };
            let test = matches!(pairs.as_slice(), [(name, _)] if name == field);
            test.then(|| reply(200, "text/plain", Vec::new()))
        }
    }
}

/// The first secret that is a verify token.
fn labelled(secrets: &[Secret]) -> Option<String> {
    let token = secrets.iter().find_map(Secret::verify_token)?;
    Some(std::str::from_utf8(token).ok()?.to_owned())
}

const ADOBE: &str = "x-adobesign-clientid";

fn hub(question: Question, ask: Ask<'_>) -> Option<Handshake> {
    let mode = ask.get("hub.mode")?;
    let challenge = ask.query("hub.challenge")?;
    (mode == "subscribe").then_some(())?;
    if !ask.knows(&ask.query("hub.verify_token").unwrap_or_default()) {
        return refuse("the verify token is not ours");
    }
    match question {
        Question::HubJson => {
            Some(json_reply(format!(r#"{{"hub.challenge":{}}}"#, quote(&challenge))))
        }
        _ => echo(&challenge),
    }
}

fn braintree(ask: Ask<'_>) -> Option<Handshake> {
    let challenge = ask.get("bt_challenge")?;
    if !is_code(&challenge) {
        return refuse("the challenge is not 20 to 32 hex digits");
    }
    let Some(secret) = ask.secrets.first() else { return no_secret() };
    let (public, _) = keys::pair(secret.expose());
    let Ok(key) = keys::mac_key(crate::scheme::KeyForm::Sha1, secret) else { return no_secret() };
    let mac = hex::encode(hmac(Hash::Sha1, &key, &[challenge.as_bytes()]));
    let body = format!("{}|{mac}", String::from_utf8_lossy(public));
    Some(reply(200, "text/plain", body.into_bytes()))
}

/// What Braintree asks us to sign.
fn is_code(text: &str) -> bool {
    let hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    hex && (20..=32).contains(&text.len())
}

/// JSON around the HMAC of a text that the asker chose.
fn answer_mac(text: &str, ask: Ask<'_>, write: impl Fn(&[u8]) -> String) -> Option<Handshake> {
    if !harmless(text) {
        return refuse("the challenge could be part of a body, and we would sign it");
    }
    let Some(key) = ask.key() else { return no_secret() };
    Some(json_reply(write(&hmac(Hash::Sha256, key, &[text.as_bytes()]))))
}

/// Whether signing `text` signs nothing that could be an event: no JSON, no form with a second
/// field, no `v0:time:body`.
fn harmless(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+/=".contains(&byte);
    !text.is_empty() && text.len() <= 256 && text.bytes().all(plain)
}

fn capture(text: &str, ask: Ask<'_>, headers: Vec<(&'static str, String)>) -> Option<Handshake> {
    let secret = Secret::new(text.as_bytes())?;
    if ask.knows(text) {
        return Some(with_headers(200, headers));
    }
    if !ask.secrets.is_empty() {
        return refuse("the source has a secret already, and nothing proves who sends this one");
    }
    Some(Handshake::Capture { secret, status: 200, headers })
}

/// The text back, in a way that no browser takes for a page.
fn echo(text: &str) -> Option<Handshake> {
    if text.len() > 2048 {
        return refuse("the challenge is longer than any that is known");
    }
    Some(reply(200, "text/plain", text.as_bytes().to_vec()))
}

fn reply(status: u16, content_type: &'static str, body: Vec<u8>) -> Handshake {
    let headers = vec![("x-content-type-options", "nosniff".to_owned())];
    Handshake::Reply { status, content_type, body, headers }
}

fn json_reply(body: String) -> Handshake {
    reply(200, "application/json", body.into_bytes())
}

fn with_headers(status: u16, headers: Vec<(&'static str, String)>) -> Handshake {
    Handshake::Reply { status, content_type: "text/plain", body: Vec::new(), headers }
}

/// `None` for what may not stand in a header.
fn printable(text: &str) -> Option<String> {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte)).then(|| text.to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the last word of functions that answer or do not")]
fn refuse(reason: &'static str) -> Option<Handshake> {
    Some(Handshake::Refuse { status: 403, reason })
}

fn no_secret() -> Option<Handshake> {
    refuse("the source has no secret")
}

/// How a believed and durable event is acknowledged, where the provider cares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledgement {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    pub headers: Vec<(&'static str, String)>,
}

/// What `provider` expects in the reply to an event. `None`: any 2xx will do.
pub fn acknowledge(
    provider: &Provider,
    secrets: &[Secret],
    request: &Request<'_>,
) -> Option<Acknowledgement> {
    if provider.name == "discord" {
        return Some(discord(request.body));
    }
    let body = provider.reply.as_bytes().to_vec();
    let content_type = match body.as_slice() {
        [b'<', ..] => "text/xml",
        [b'{', ..] | b"[]" => "application/json",
        _ => "text/plain",
    };
    let mut headers = Vec::new();
    if provider.questions.contains(&Question::AdobeSign) {
        let client = request.headers.get(ADOBE).and_then(printable);
        headers.extend(client.map(|client| (ADOBE, client)));
    }
    for question in provider.questions {
        if let Question::Known(header) = question {
            headers.extend(
                labelled(secrets).and_then(|text| printable(&text)).map(|text| (*header, text)),
            );
        }
    }
    let any = body.is_empty() && headers.is_empty();
    (!any).then_some(Acknowledgement { status: 200, content_type, body, headers })
}

/// Discord wants no body for an event. Of an interaction it shows the answer, and a failure where there is none: what
/// says that the answer follows depends on what happened.
/// <https://docs.discord.com/developers/interactions/receiving-and-responding#interaction-response-object-interaction-callback-type>
fn discord(body: &[u8]) -> Acknowledgement {
    let is_event = json::find(body, &["event"]).is_some();
    let kind = json::find(body, &["type"]).and_then(json::text).filter(|_| !is_event);
    let answer = match kind.as_deref() {
        Some("2" | "5") => r#"{"type":5}"#,
        Some("3") => r#"{"type":6}"#,
        Some("4") => r#"{"type":8,"data":{"choices":[]}}"#,
        _ => "",
    };
    let (status, content_type) =
        if answer.is_empty() { (204, "text/plain") } else { (200, "application/json") };
    Acknowledgement { status, content_type, body: answer.into(), headers: Vec::new() }
}

/// The URL that a verified Amazon SNS subscription wants to be confirmed with a `GET`.
/// Only to be called after the request was believed.
pub fn confirmation(provider: &Provider, request: &Request<'_>) -> Option<String> {
    // First: looking into a body costs more than all else that is done to a request.
    if provider.name != "aws_sns" {
        return None;
    }
    let kind = extract(&Place::Body("Type"), request)?;
    if kind != "SubscriptionConfirmation" {
        return None;
    }
    let url = extract(&Place::Body("SubscribeURL"), request)?;
    let host = uri::https_host(&url)?;
    crate::public::trusted(&host, crate::catalogue::SNS_HOSTS).then_some(url)
}

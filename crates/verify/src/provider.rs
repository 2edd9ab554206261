//! A kind of sender, as data.

use crate::{
    Location, Request, Secret,
    handshake::Question,
    naming,
    scheme::{Check, Integrity},
};

/// A kind of sender: a row of the [`catalogue`](crate::catalogue).
#[derive(Debug)]
#[non_exhaustive]
pub struct Provider {
    /// Lower case, unique: `stripe`.
    pub name: &'static str,
    /// Where the provider documents its scheme.
    pub docs: &'static str,
    /// The HTTP status with which the provider expects a failed verification to be answered.
    pub failure_status: u16,
    /// What the provider calls this event; the default key for dropping duplicates. `None`: it
    /// has no name, or none that is the same on every retry.
    pub event_id: Option<Location>,
    /// Why there is no `event_id`. Empty where there is one.
    pub no_event_id: &'static str,
    pub event_type: Option<Location>,
    /// Why there is no `event_type`. Empty where there is one.
    pub no_event_type: &'static str,
    pub check: Check<'static>,
    /// What a believed request proves about its body.
    pub integrity: Integrity,
    /// How well the row is supported by sources.
    pub confidence: Confidence,
    /// Whether nothing we could read says where `event_id` or `event_type` stands: they are from memory, or from others'
    /// code.
    pub unconfirmed: bool,
    /// What a reader would get wrong. Empty where nothing is odd.
    pub note: &'static str,
    /// The questions about the endpoint that this provider asks.
    pub questions: &'static [Question],
    /// The body with which the provider wants an event acknowledged. Empty: anything will do.
    pub reply: &'static str,
    /// Whether the provider wants no body in any answer.
    pub silent: bool,
    /// What a secret has to look like beyond the check's own form, and the words for one that does not.
    pub secret_form: Option<SecretRule>,
    /// Whether events also come by `GET`, with their fields in the query, which the signature covers.
    pub by_get: bool,
}

/// Whether a secret fits, and what to say of one that does not.
pub type SecretRule = (fn(&[u8]) -> bool, &'static str);

/// How well a row is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// By the provider's documentation, library or tests, or by two independent verifiers.
    High,
    /// By one third party.
    Medium,
    /// By hearsay. See [`Provider::observe`].
    Low,
}

impl Provider {
    /// How a signature is written; `None` where there is none, or more than one way.
    pub const fn encoding(&self) -> Option<crate::Encoding> {
        match &self.check {
            Check::Signed(signed) => Some(signed.encoding),
            _ => None,
        }
    }

    /// Whether a failed verification should be recorded rather than refused, until a live
    /// delivery has shown that the row is right.
    ///
    /// Where the provider signs nothing there is no verification of its own to be wrong.
    pub const fn observe(&self) -> bool {
        matches!(self.confidence, Confidence::Low) && !self.is_unsigned()
    }

    /// Whether the provider signs nothing, so that anybody could send in its name.
    pub const fn is_unsigned(&self) -> bool {
        matches!(self.check, Check::Unsigned)
    }

    /// Whether the crate can check a request of this provider alone: without a key that has to be fetched, and
    /// without a signature that only the shell can check ([`Step`](crate::Step)).
    pub fn is_self_contained(&self) -> bool {
        self.check.is_self_contained()
    }

    /// Whether a request can only be checked with something that the operator gives: no, where the provider publishes its
    /// keys.
    pub fn needs_secret(&self) -> bool {
        self.check.needs_secret()
    }

    /// Whether a question of the provider holds a token that the operator has chosen.
    pub fn asks_for_token(&self) -> bool {
        let asks = |question: &Question| {
            matches!(
                question,
                Question::Hub
                    | Question::HubJson
                    | Question::ChallengeCode
                    | Question::Verify
                    | Question::TokenAndChallenge
                    | Question::AdobeSign
                    | Question::Known(_)
            )
        };
        self.questions.iter().any(asks)
    }

    /// Whether the provider may hand over its secret in a first request: [`Handshake::Capture`](crate::Handshake).
    pub fn hands_over_secret(&self) -> bool {
        let hands_over = |question: &Question| {
            matches!(question, Question::HookSecret | Question::VerificationToken)
        };
        self.questions.iter().any(hands_over)
    }

    /// Whether a request says when it was made, and that is checked.
    pub fn checks_time(&self) -> bool {
        checks_time(&self.check)
    }

    /// Whether a secret is a public key, or the URL of one.
    pub fn takes_public_key(&self) -> bool {
        self.check.takes_public_key()
    }

    /// Whether the operator has to tell the provider the secret that it handed over: by that it proves that the URL is
    /// the operator's.
    pub fn wants_secret_back(&self) -> bool {
        self.questions.contains(&Question::VerificationToken)
    }

    /// What tells the event of a believed request from every other of its source:
    /// [`event_parts`](crate::event_parts).
    pub fn event_parts(&self, request: &Request<'_>) -> Option<Vec<String>> {
        naming::event_parts(self.event_id.as_ref()?, request)
    }

    /// The type of the event of a believed request: [`event_type`](crate::event_type).
    pub fn event_type(&self, request: &Request<'_>) -> Option<String> {
        naming::event_type(self.event_type.as_ref()?, request)
    }

    /// Why `secret` cannot be one of this provider's: the form that is expected.
    pub fn check_secret(&self, secret: &Secret) -> Result<(), &'static str> {
        if let Some(token) = secret.verify_token() {
            return match token {
                [] => Err("holds no token behind `verify_token:`"),
                _ if self.asks_for_token() => Ok(()),
                _ => Err("is a verify token, and this provider asks for none"),
            };
        }
        match self.secret_form {
            Some((fits, why)) if !fits(secret.expose()) => Err(why),
            _ => self.check.check_secret(secret),
        }
    }

    const fn new(name: &'static str, docs: &'static str, confidence: Confidence) -> Self {
        Self {
            name,
            docs,
            failure_status: 401,
            event_id: None,
            no_event_id: "",
            event_type: None,
            no_event_type: "",
            check: Check::Unsigned,
            integrity: Integrity::None,
            confidence,
            unconfirmed: matches!(confidence, Confidence::Low),
            note: "",
            questions: &[],
            reply: "",
            silent: false,
            secret_form: None,
            by_get: false,
        }
    }

    pub(crate) const fn high(name: &'static str, docs: &'static str) -> Self {
        Self::new(name, docs, Confidence::High)
    }

    pub(crate) const fn medium(name: &'static str, docs: &'static str) -> Self {
        Self::new(name, docs, Confidence::Medium)
    }

    pub(crate) const fn low(name: &'static str, docs: &'static str) -> Self {
        Self::new(name, docs, Confidence::Low)
    }

    pub(crate) const fn check(mut self, check: Check<'static>) -> Self {
        self.integrity = match check {
            Check::Signed(_) | Check::Jwt(_) | Check::Either(..) | Check::Case { .. } => {
                Integrity::Full
            }
            Check::AdyenItems => Integrity::Partial,
            _ => Integrity::None,
        };
        self.check = check;
        self
    }

    pub(crate) const fn signed(self, scheme: crate::scheme::Signed<'static>) -> Self {
        self.check(Check::Signed(scheme))
    }

    /// The secret itself, in one place.
    pub(crate) const fn token(self, place: Location, prefix: &'static str) -> Self {
        self.check(Check::Token { place, prefix })
    }

    /// For schemes that do not sign the body, or not all of it.
    pub(crate) const fn partial(mut self) -> Self {
        self.integrity = Integrity::Partial;
        self
    }

    /// For rows of which some alternative proves nothing about the body.
    pub(crate) const fn unproven(mut self) -> Self {
        self.integrity = Integrity::None;
        self
    }

    pub(crate) const fn id(mut self, place: Location) -> Self {
        self.event_id = Some(place);
        self
    }

    pub(crate) const fn kind(mut self, place: Location) -> Self {
        self.event_type = Some(place);
        self
    }

    /// For events that cannot be told from a second try of another.
    pub(crate) const fn no_id(mut self, why: &'static str) -> Self {
        self.no_event_id = why;
        self
    }

    pub(crate) const fn no_kind(mut self, why: &'static str) -> Self {
        self.no_event_type = why;
        self
    }

    /// For rows of which an event's id or type stands where no page says so.
    pub(crate) const fn unconfirmed(mut self) -> Self {
        self.unconfirmed = true;
        self
    }

    pub(crate) const fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    pub(crate) const fn asks(mut self, questions: &'static [Question]) -> Self {
        self.questions = questions;
        self
    }

    pub(crate) const fn fails_with(mut self, status: u16) -> Self {
        self.failure_status = status;
        self
    }

    pub(crate) const fn replies(mut self, body: &'static str) -> Self {
        self.reply = body;
        self
    }

    pub(crate) const fn wants_silence(mut self) -> Self {
        self.silent = true;
        self
    }

    pub(crate) const fn secret_like(mut self, fits: fn(&[u8]) -> bool, why: &'static str) -> Self {
        self.secret_form = Some((fits, why));
        self
    }

    /// Events come by `GET`, too.
    pub(crate) const fn also_by_get(mut self) -> Self {
        self.by_get = true;
        self
    }
}

/// Whether a check looks at the age of a request, so that a tolerance has an effect.
fn checks_time(check: &Check<'_>) -> bool {
    match check {
        Check::Signed(signed) => signed.stamp.is_some(),
        // The ends that a token names itself are not for us to move.
        Check::Jwt(jwt) => 0 < jwt.max_age,
        Check::Either(one, other) => checks_time(one) || checks_time(other),
        Check::Case { cases, .. } => cases.iter().any(|(_, check)| checks_time(check)),
        Check::Token { .. }
        | Check::NamedHeader
        | Check::Basic
        | Check::AdyenItems
        | Check::Unsigned => false,
    }
}

//! Checks that need the world: a key from the network, RSA or ECDSA from the platform.
//!
//! The engine does not perform these. It says what it needs, the shell does it and answers, and
//! so on until there is a verdict.

use std::{collections::VecDeque, fmt};

use subtle::ConstantTimeEq;

use crate::{
    Hash, Refused, UnixTime, Verified, ed25519,
    hash::Sum,
    keys::{self, Kind, PublicKey},
    x509,
};

/// Pairs of key and signature that are tried at most: each may cost the shell a call.
const MOST: usize = 64;

/// Where a verification stands.
#[derive(Debug)]
pub enum Outcome {
    Done(Result<Verified, Refused>),
    /// Perform [`Pending::step`], then [`Pending::resume`].
    Need(Box<Pending>),
}

/// A verification that waits for the shell.
#[derive(Debug)]
pub struct Pending {
    step: Step,
    rest: Rest,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Fetch a document that holds public keys. Worth caching by URL (and body, if any), for an
    /// hour or as the response says; worth fetching again, once, when the signature does not
    /// match. Redirects are not to be followed: only this host is trusted.
    NeedKey {
        /// Always `https`, always a host that a row of the catalogue or the operator names.
        url: String,
        /// `POST` this JSON instead of `GET`. Holds the operator's credentials: not for logs.
        body: Option<String>,
    },
    NeedSignatureCheck(SignatureCheck),
    /// Compute an HMAC, which the platform does faster than we do. Only asked for where the
    /// [`Policy`](crate::Policy) says so. Should the platform fail, [`hmac`](crate::hmac) does not.
    NeedMac(Mac),
}

/// The HMAC of a message: the body of the request with something before and after it. The body is
/// long, so it is not copied.
#[derive(Clone, PartialEq, Eq)]
pub struct Mac {
    pub hash: Hash,
    /// A secret: not for logs.
    pub key: Vec<u8>,
    pub before: Vec<u8>,
    pub after: Vec<u8>,
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mac").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// One signature to be checked with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureCheck {
    pub algorithm: SignatureAlgorithm,
    /// DER of a `SubjectPublicKeyInfo`: WebCrypto's `spki`.
    pub key: Vec<u8>,
    pub message: Vec<u8>,
    /// As WebCrypto takes it: for ECDSA that is r and s, 32 bytes each, not DER.
    pub signature: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// `RSASSA-PKCS1-v1_5`
    RsaPkcs1(Hash),
    /// `ECDSA` with `namedCurve: "P-256"`
    EcdsaP256(Hash),
}

impl SignatureAlgorithm {
    pub const fn hash(self) -> Hash {
        match self {
            Self::RsaPkcs1(hash) | Self::EcdsaP256(hash) => hash,
        }
    }

    /// WebCrypto's name of the hash: `SHA-256`.
    pub fn web_hash(self) -> &'static str {
        self.hash().web_name().unwrap_or("SHA-256")
    }

    /// WebCrypto's name of the algorithm.
    pub const fn web_name(self) -> &'static str {
        match self {
            Self::RsaPkcs1(_) => "RSASSA-PKCS1-v1_5",
            Self::EcdsaP256(_) => "ECDSA",
        }
    }
}

/// What came of a [`Step`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Step::NeedKey`]: the document.
    Key(Vec<u8>),
    /// To [`Step::NeedSignatureCheck`]: whether the signature is right. A key that the platform
    /// does not take is `false`.
    Checked(bool),
    /// To [`Step::NeedMac`].
    Mac(Vec<u8>),
    /// The network or the platform failed. The sender should try again.
    Unavailable,
    /// To [`Step::NeedKey`]: it was not asked for, as requests that prove nothing yet have named too many documents.
    NotAsked,
}

#[derive(Debug)]
enum Rest {
    Keys(Search),
    Checks { secret: Option<usize>, queue: VecDeque<Queued>, missed: Refused },
    Macs(Macs),
}

/// Signatures that are compared with HMACs the platform computes.
#[derive(Debug)]
pub(crate) struct Macs {
    /// The HMACs that are still to be made, each with its secret.
    pub(crate) queue: VecDeque<(usize, Mac)>,
    /// The secret of the one under way.
    pub(crate) secret: usize,
    pub(crate) claimed: Vec<Sum>,
    pub(crate) matching: Option<usize>,
    pub(crate) missed: Refused,
    /// What is to be said about the time, once the signature is right.
    pub(crate) age: Result<(), Refused>,
}

impl Macs {
    /// All of them are made, whichever matches.
    pub(crate) fn next(mut self) -> Outcome {
        match self.queue.pop_front() {
            Some((secret, mac)) => {
                self.secret = secret;
                let step = Step::NeedMac(mac);
                Outcome::Need(Box::new(Pending { step, rest: Rest::Macs(self) }))
            }
            None => Outcome::Done(match self.matching.take() {
                Some(index) => self.age.map(|()| Verified { secret_index: Some(index) }),
                None => Err(self.missed),
            }),
        }
    }

    fn compare(mut self, made: &[u8]) -> Outcome {
        let mut right = false;
        for claimed in &self.claimed {
            right |= bool::from(made.ct_eq(claimed));
        }
        self.matching = self.matching.or(right.then_some(self.secret));
        self.next()
    }
}

type Queued = (Option<usize>, SignatureCheck);

/// Signatures in search of a key.
#[derive(Debug)]
pub(crate) struct Job {
    /// `None`: Ed25519.
    pub(crate) algorithm: Option<SignatureAlgorithm>,
    pub(crate) kind: Kind,
    pub(crate) key_id: Option<String>,
    /// What may have been signed, with the secret that is part of it, if one is.
    pub(crate) messages: Vec<(Option<usize>, Vec<u8>)>,
    pub(crate) signatures: Vec<Vec<u8>>,
}

impl Job {
    pub(crate) fn fetch(self, url: String, body: Option<String>) -> Outcome {
        let step = Step::NeedKey { url, body };
        let (found, urls) = (Vec::new(), VecDeque::new());
        let search = Search { job: self, found, urls, of: None, failed: None, wanted: None };
        Outcome::Need(Box::new(Pending { step, rest: Rest::Keys(search) }))
    }

    pub(crate) fn fetch_certificate(self, url: String, wanted: Wanted) -> Outcome {
        let step = Step::NeedKey { url, body: None };
        let (found, urls) = (Vec::new(), VecDeque::new());
        let wanted = Some(wanted);
        let search = Search { job: self, found, urls, of: None, failed: None, wanted };
        Outcome::Need(Box::new(Pending { step, rest: Rest::Keys(search) }))
    }

    /// Tries every key on every signature.
    pub(crate) fn with_keys(self, found: Vec<(Option<usize>, PublicKey)>) -> Outcome {
        let missed = Refused::Signature { signatures: self.signatures.len(), secrets: found.len() };
        self.try_all(found, missed)
    }

    /// As [`Job::with_keys`], `missed` being what is said where none fits.
    fn try_all(self, found: Vec<(Option<usize>, PublicKey)>, missed: Refused) -> Outcome {
        let mut queue = VecDeque::new();
        let mut matching = None;
        for (of_key, key) in found {
            for (of_message, message) in &self.messages {
                let secret = of_key.or(*of_message);
                let most = if self.algorithm.is_none() { ed25519::MOST } else { usize::MAX };
                for signature in self.signatures.iter().take(most) {
                    match (&key, self.algorithm) {
                        (PublicKey::Ed25519(key), None) => {
                            let right = ed25519::verify(key, &[message], signature);
                            matching = matching.or(right.then_some(secret));
                        }
                        (PublicKey::Spki(key), Some(algorithm)) if queue.len() < MOST => {
                            let (key, message) = (key.clone(), message.clone());
                            let signature = signature.clone();
                            let check = SignatureCheck { algorithm, key, message, signature };
                            queue.push_back((secret, check));
                        }
                        _ => {}
                    }
                }
            }
        }
        match matching {
            Some(secret_index) => Outcome::Done(Ok(Verified { secret_index })),
            None => next(queue, missed),
        }
    }
}

/// A job whose keys are elsewhere: in one document, or in those that the operator's secrets name.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) job: Job,
    /// What is there already, each with its secret.
    pub(crate) found: Vec<(Option<usize>, PublicKey)>,
    /// Where else to look, each with its secret.
    pub(crate) urls: VecDeque<(usize, String)>,
    /// The secret whose document is under way.
    pub(crate) of: Option<usize>,
    /// What went wrong with a document.
    pub(crate) failed: Option<Refused>,
    /// For certificates: whose.
    pub(crate) wanted: Option<Wanted>,
}

/// What a certificate has to say of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) subjects: &'static [&'static str],
    pub(crate) now: UnixTime,
}

impl Search {
    /// Asks for the next document, or tries what is there.
    pub(crate) fn next(mut self) -> Outcome {
        if let Some((secret, url)) = self.urls.pop_front() {
            self.of = Some(secret);
            let step = Step::NeedKey { url, body: None };
            return Outcome::Need(Box::new(Pending { step, rest: Rest::Keys(self) }));
        }
        match self.failed {
            None => self.job.with_keys(self.found),
            Some(failed) => self.job.try_all(self.found, failed),
        }
    }

    fn take(mut self, document: &[u8]) -> Outcome {
        let keys = match self.wanted {
            Some(wanted) => x509::keys(document, self.job.kind, wanted),
            None => keys::public_keys(document, self.job.kind, self.job.key_id.as_deref()),
        };
        if keys.is_empty() {
            return self.fail(Refused::NoKey);
        }
        self.found.extend(keys.into_iter().map(|key| (self.of, key)));
        self.next()
    }

    /// Another secret may do. If none does, the sender is to come again where that can help.
    fn fail(mut self, cause: Refused) -> Outcome {
        if self.failed.as_ref().is_none_or(|failed| !failed.is_temporary()) {
            self.failed = Some(cause);
        }
        self.next()
    }
}

fn next(mut queue: VecDeque<Queued>, missed: Refused) -> Outcome {
    match queue.pop_front() {
        None => Outcome::Done(Err(missed)),
        Some((secret, check)) => Outcome::Need(Box::new(Pending {
            step: Step::NeedSignatureCheck(check),
            rest: Rest::Checks { secret, queue, missed },
        })),
    }
}

impl Pending {
    /// What the shell has to do now.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// Goes on with what came of the step.
    pub fn resume(self, answer: Answer) -> Outcome {
        match (self.rest, answer) {
            (Rest::Keys(search), Answer::Key(document)) => search.take(&document),
            (Rest::Keys(search), Answer::Unavailable) => search.fail(Refused::Unavailable),
            (Rest::Keys(search), Answer::NotAsked) => search.fail(Refused::NotAsked),
            (Rest::Checks { secret, .. }, Answer::Checked(true)) => {
                Outcome::Done(Ok(Verified { secret_index: secret }))
            }
            (Rest::Checks { queue, missed, .. }, Answer::Checked(false)) => next(queue, missed),
            (Rest::Macs(macs), Answer::Mac(made)) => macs.compare(&made),
            (_, Answer::Unavailable) => Outcome::Done(Err(Refused::Unavailable)),
            _ => Outcome::Done(Err(Refused::NeedsShell)),
        }
    }
}

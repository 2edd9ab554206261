//! Why a request was not believed.

/// Why a request was not believed, in words for the operator's log.
///
/// Never holds a secret or the signature that would have been right: what is logged is read by
/// people who may not forge. What the sender sees is another matter and says less.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    // What the request lacks or garbles.
    /// `what` names the place: ``header `x-hub-signature-256` ``.
    #[error("{what} is missing")]
    Missing { what: String },
    #[error("{what} is empty")]
    Empty { what: String },
    #[error("{what} is present {times} times with different values")]
    Ambiguous { what: String, times: usize },
    #[error("{what} {why}")]
    Malformed { what: String, why: &'static str },

    // What the request shows and does not prove.
    #[error("the signature matches none of {secrets} secrets ({signatures} signatures tried)")]
    Signature { signatures: usize, secrets: usize },
    #[error("{what} does not hold the expected value")]
    Credential { what: String },
    #[error("{what} does not match the request")]
    Claim { what: String },

    // When it was sent. Seconds.
    #[error("the timestamp is {age} s old, {tolerance} s are allowed")]
    TooOld { age: u64, tolerance: u64 },
    #[error("the timestamp is {ahead} s ahead of our clock, {tolerance} s are allowed")]
    TooNew { ahead: u64, tolerance: u64 },

    // What the source lacks.
    #[error("the source has no secret")]
    NoSecret,
    #[error("secret {index} {why}")]
    Secret { index: usize, why: &'static str },
    #[error("the document at the key's address holds no usable key")]
    NoKey,
    #[error("the address of the signing key is not one of this provider's")]
    Host,
    /// With [`Refused::NotAsked`] the only cause that the sender can cure by sending again.
    #[error("the signing key could not be fetched, or the platform could not check with it")]
    Unavailable,
    #[error(
        "the signing key was not asked for: requests of the last minute named too many keys that are not known here"
    )]
    NotAsked,
    #[error("this scheme needs a key or a check that only the shell can perform")]
    NeedsShell,
}

impl Refused {
    /// A word for metrics: one per group of causes.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Empty { .. } => "empty",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Malformed { .. } => "malformed",
            Self::Signature { .. } => "signature",
            Self::Credential { .. } => "credential",
            Self::Claim { .. } => "claim",
            Self::TooOld { .. } => "too_old",
            Self::TooNew { .. } => "too_new",
            Self::NoSecret => "no_secret",
            Self::Secret { .. } => "bad_secret",
            Self::NoKey => "no_key",
            Self::Host => "host",
            Self::Unavailable => "unavailable",
            Self::NotAsked => "not_asked",
            Self::NeedsShell => "needs_shell",
        }
    }

    /// Whether the same request may be believed later: answer with 503, not with 401.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable | Self::NotAsked)
    }
}

/// How [`Refused`] names a header.
pub(crate) fn header(name: &str) -> String {
    format!("header `{}`", name.to_ascii_lowercase())
}

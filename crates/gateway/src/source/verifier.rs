//! How a source believes: its verifier and secrets, as they are sent, stored and opened.

use super::input::HmacInput;
use super::*;

impl Source {
    /// The row of a provider that signs: it says how a request is verified.
    pub(crate) fn signing_row(&self) -> Option<&'static Provider> {
        catalogue::find(&self.provider).filter(|row| !row.is_unsigned())
    }

    /// Whoever sends in the name of a provider that signs nothing cannot be told by its row: the operator has to
    /// choose, and to say so where nobody is to be told apart.
    pub(super) fn check_unsigned(&self, input: &SourceInput) -> Result<(), ApiError> {
        let chosen = input.verifier.as_ref().is_some_and(VerifierInput::is_chosen);
        let text = || {
            format!(
                "verifier:{} signs nothing, so choose what protects the source: basic_auth, api_key, hmac or scheme \
                 (with the algorithm token for a secret in the URL); or the type noop, which believes whoever knows the URL",
                self.provider
            )
        };
        if chosen { Ok(()) } else { Err(ApiError::bad_request(text())) }
    }

    /// What would have no effect, because the provider's row says how it signs.
    pub(super) fn check_provider_verifier(&self, input: &VerifierInput) -> Result<(), ApiError> {
        let kind = input.kind.as_deref().unwrap_or_default();
        for (field, given) in [
            ("scheme", input.trust.scheme.is_some() || kind == "scheme"),
            ("basic_auth", input.basic_auth.is_some() || kind == "basic_auth"),
            ("api_key", input.api_key.is_some() || kind == "api_key"),
            ("type", kind == "noop" && self.verifier.kind != "noop"),
        ] {
            if given {
                return Err(ApiError::bad_request(format!(
                    "verifier.{field}:has no effect, because the provider {} has a scheme of its own; give its secret in \
                     hmac.secret or secrets, or leave out the provider",
                    self.provider
                )));
            }
        }
        self.check_provider_hmac(input.hmac.as_ref())
    }

    /// Convoy's callers have to say with a provider, too, how it signs. What is as the provider does it is taken, and so is what was
    /// stored before this was asked.
    fn check_provider_hmac(&self, given: Option<&HmacInput>) -> Result<(), ApiError> {
        let (Some(given), Some(row)) = (given, self.signing_row()) else { return Ok(()) };
        let (described, stored) = (row.describe(), self.verifier.hmac.as_ref());
        let signature = described.algorithm.strip_prefix("HMAC-");
        let encoding = row.encoding().map(Encoding::name);
        let is_hash =
            |name: &str| Hash::from_name(name).is_some_and(|hash| signature == Some(hash.name()));
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        let fields = [
            ("hash", &given.hash, stored.map(|hmac| &hmac.hash), signature.map(str::to_owned)),
            (
                "encoding",
                &given.encoding,
                stored.map(|hmac| &hmac.encoding),
                encoding.map(str::to_owned),
            ),
            (
                "header",
                &given.header,
                stored.map(|hmac| &hmac.header),
                Some(described.headers.join(", ")),
            ),
        ];
        for (field, given, stored, used) in fields {
            let given = given.as_deref().unwrap_or_default().trim();
            let fits = match field {
                "hash" => is_hash(given),
                "encoding" => used.as_deref().is_none_or(|used| same(used, given)),
                _ => described.headers.iter().any(|have| same(have, given)),
            };
            if given.is_empty() || fits || stored.is_some_and(|stored| stored == given) {
                continue;
            }
            let used = used.map(|used| format!(" ({used})")).unwrap_or_default();
            return Err(ApiError::bad_request(format!(
                "verifier.hmac.{field}:{given} has no effect, because the provider {} says itself how it signs{used}; leave it out",
                self.provider
            )));
        }
        Ok(())
    }

    pub(super) fn stored_verifier(
        &self,
        mut input: VerifierInput,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<StoredVerifier, ApiError> {
        let old = &self.verifier;
        let mut trust = old.trust.clone();
        if let Some(secrets) = input.trust.secrets.take() {
            trust.secrets = self.stored_secrets(secrets, vault, now_ms, &mut *fill)?;
        }
        let hearsay = catalogue::find(&self.provider).is_some_and(Provider::observe);
        let gives_scheme = input.trust.scheme.is_some();
        trust.apply(input.trust, hearsay)?;
        let mut keep = |field: &str, given: Option<String>, stored: Option<&Sealed>| {
            let given = given.unwrap_or_default();
            match stored {
                Some(stored) if given.is_empty() || given == stored.hint => {
                    return Ok(stored.clone());
                }
                _ if is_hint(&given) => {
                    return Err(ApiError::bad_request(format!(
                        "{field}:this is the mask of a secret; send the secret itself"
                    )));
                }
                _ => {}
            }
            if is_weak(&given) {
                return Err(ApiError::bad_request(format!(
                    "{field}:must not be blank or all zeros"
                )));
            }
            vault
                .seal(&given, &self.place(field), &mut *fill)
                .map_err(|error| ApiError::new(500, error.to_string()))
        };
        let text = |value: Option<String>| value.unwrap_or_default().trim().to_owned();
        let hmac = input
            .hmac
            .map(|hmac| {
                let stored = old.hmac.as_ref().map(|hmac| &hmac.secret);
                Ok(StoredHmac {
                    header: text(hmac.header),
                    hash: text(hmac.hash),
                    encoding: text(hmac.encoding),
                    secret: keep("secret", hmac.secret, stored)?,
                })
            })
            .transpose()?;
        let basic_auth = input
            .basic_auth
            .map(|basic| {
                let stored = old.basic_auth.as_ref().map(|basic| &basic.password);
                Ok(StoredBasicAuth {
                    username: basic.username.unwrap_or_default(),
                    password: keep("password", basic.password, stored)?,
                })
            })
            .transpose()?;
        let api_key = input
            .api_key
            .map(|key| {
                let stored = old.api_key.as_ref().map(|key| &key.header_value);
                Ok(StoredApiKey {
                    header_name: text(key.header_name),
                    header_value: keep("header_value", key.header_value, stored)?,
                })
            })
            .transpose()?;
        let unsigned = catalogue::find(&self.provider).filter(|row| row.is_unsigned());
        if !self.provider.is_empty() && unsigned.is_none() {
            let hmac = hmac.or_else(|| old.hmac.clone());
            let kind = text(input.kind);
            return Ok(StoredVerifier {
                kind: if kind.is_empty() { old.kind.clone() } else { kind },
                hmac,
                basic_auth: None,
                api_key: None,
                trust: Trust { scheme: None, ..trust },
            });
        }
        let named = text(input.kind);
        let has_scheme = gives_scheme || (named == "scheme" && trust.scheme.is_some());
        let given = [hmac.is_some(), basic_auth.is_some(), api_key.is_some(), has_scheme];
        let Some(kind) = verifier_kind(&named, given)? else {
            return Ok(StoredVerifier { trust, ..old.clone() });
        };
        let hmac = hmac.filter(|_| kind == "hmac");
        let basic_auth = basic_auth.filter(|_| kind == "basic_auth");
        let api_key = api_key.filter(|_| kind == "api_key");
        if kind != "scheme" {
            trust.scheme = None;
        }
        let for_questions = unsigned.is_some_and(Provider::asks_for_token);
        if !matches!(kind, "scheme" | "hmac") && !for_questions && !trust.secrets.is_empty() {
            return Err(ApiError::bad_request(
                "verifier.secrets:are for providers, hmac and schemes; send an empty list",
            ));
        }
        if kind == "scheme" && trust.secrets.is_empty() {
            return Err(ApiError::bad_request("verifier.secrets:a scheme needs a secret"));
        }
        Ok(StoredVerifier { kind: kind.to_owned(), hmac, basic_auth, api_key, trust })
    }

    /// The list of further secrets, whole. What is named by its uid, or sent back as its mask, stays.
    fn stored_secrets(
        &self,
        inputs: Vec<SecretInput>,
        vault: &Vault,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<Vec<StoredSecret>, ApiError> {
        if SECRETS_MAX < inputs.len() {
            let text = format!("verifier.secrets:at most {SECRETS_MAX}");
            return Err(ApiError::bad_request(text));
        }
        let mut secrets = Vec::with_capacity(inputs.len());
        let named = named_secrets(&self.verifier.trust.secrets, &inputs)?;
        for (input, stored) in inputs.into_iter().zip(named) {
            let expires_at = input.expiry()?;
            let label = input.label.clone().unwrap_or_default().trim().to_owned();
            check_length("verifier.secrets.label", &label, 64)?;
            let value = input.value.unwrap_or_default();
            let keeps = value.is_empty() || is_hint(&value);
            let secret = match stored {
                Some(stored) if keeps => StoredSecret { label, expires_at, ..stored.clone() },
                None if keeps => {
                    return Err(ApiError::bad_request(
                        "verifier.secrets.value:send the secret itself; there is none of this uid or mask, or another entry has it",
                    ));
                }
                _ if is_weak(&value) => {
                    return Err(ApiError::bad_request(
                        "verifier.secrets.value:must not be blank or all zeros",
                    ));
                }
                _ => {
                    let uid = ids::uid(now_ms, &mut *fill);
                    let place = self.place(&format!("secrets/{uid}"));
                    let value = vault
                        .seal(&value, &place, &mut *fill)
                        .map_err(|error| ApiError::new(500, error.to_string()))?;
                    StoredSecret {
                        uid,
                        label,
                        value,
                        expires_at,
                        created_at: now_ms,
                        shown_until: None,
                    }
                }
            };
            secrets.push(secret);
        }
        Ok(secrets)
    }

    /// A tolerance is for a time that the sender signs.
    pub(super) fn check_tolerance(&self, provider: Option<&Provider>) -> Result<(), ApiError> {
        let trust = &self.verifier.trust;
        if trust.tolerance_seconds.is_none_or(|seconds| seconds == 0) {
            return Ok(());
        }
        let why = match (provider, trust.scheme()) {
            (Some(row), _) if row.checks_time() => return Ok(()),
            (Some(row), _) => {
                format!(
                    "has no effect, because {} signs no time whose age is checked; leave it out, or 0",
                    row.name
                )
            }
            (None, Some(scheme)) => match scheme.check_tolerance() {
                Ok(()) => return Ok(()),
                Err(error) => error.to_string(),
            },
            (None, None) => {
                "has no effect, because this verifier reads no time; leave it out, or 0".to_owned()
            }
        };
        Err(ApiError::bad_request(format!("verifier.tolerance_seconds:{why}")))
    }

    /// A key of the wrong form is found now, and not by the provider's first event.
    pub(super) fn check_secrets(
        &self,
        provider: Option<&Provider>,
        vault: &Vault,
    ) -> Result<(), ApiError> {
        let scheme = self.verifier.trust.scheme();
        if provider.is_none() && scheme.is_none() {
            return Ok(());
        }
        let secrets =
            self.open_secrets(vault).map_err(|error| ApiError::new(500, error.to_string()))?;
        let only_tokens = !secrets.is_empty()
            && secrets.iter().all(|(secret, ..)| secret.verify_token().is_some());
        if only_tokens && provider.is_some_and(Provider::needs_secret) {
            return Err(ApiError::bad_request(
                "secret:a verify_token answers questions and proves nothing; give the signing secret, too",
            ));
        }
        for (secret, name, _) in secrets {
            let fits = match (provider, &scheme) {
                (Some(row), _) => row.check_secret(&secret),
                (None, Some(scheme)) => scheme.check_secret(&secret),
                (None, None) => Ok(()),
            };
            fits.map_err(|why| ApiError::bad_request(format!("secret:{name} {why}")))?;
            let is_public = match (provider, &scheme) {
                (Some(row), _) => row.takes_public_key(),
                (None, scheme) => scheme.as_ref().is_some_and(Scheme::takes_public_key),
            };
            // Whether it may be fetched is asked again when it is.
            let url = secret.key_url().filter(|_| is_public);
            if let Some(Err(bad)) = url.map(|url| address::check(url, false)) {
                let text = format!("secret:{name} names a URL from which no key is fetched: {bad}");
                return Err(ApiError::bad_request(text));
            }
        }
        Ok(())
    }

    /// The secrets that prove a request, each with its name and its end: those that last longest first.
    pub fn open_secrets(
        &self,
        vault: &Vault,
    ) -> Result<Vec<(Secret, String, Option<u64>)>, VaultError> {
        let mut all = Vec::new();
        if let Some(hmac) = &self.verifier.hmac {
            let secret = vault.open(&hmac.secret, &self.place("secret"))?;
            all.push((secret, "primary".to_owned(), None));
        }
        for stored in &self.verifier.trust.secrets {
            let secret =
                vault.open(&stored.value, &self.place(&format!("secrets/{}", stored.uid)))?;
            let name = if stored.label.is_empty() { &stored.uid } else { &stored.label };
            all.push((secret, name.clone(), stored.expires_at));
        }
        all.sort_by_key(|(_, _, expires_at)| std::cmp::Reverse(expires_at.unwrap_or(u64::MAX)));
        Ok(all)
    }

    /// The verifier with its secrets in clear, ready to be used.
    pub fn open_verifier(&self, vault: &Vault) -> Result<Verifier, VaultError> {
        let open = |field: &str, sealed: &Sealed| vault.open(sealed, &self.place(field));
        if let Some(provider) = self.signing_row() {
            return Ok(Verifier::Provider { provider, secrets: bare(self.open_secrets(vault)?) });
        }
        if let Some(scheme) = self.verifier.trust.scheme() {
            return Ok(Verifier::Scheme { scheme, secrets: bare(self.open_secrets(vault)?) });
        }
        // What is not understood is no reason to believe everybody.
        if self.verifier.trust.scheme.is_some() && self.verifier.kind == "scheme" {
            return Err(VaultError::DoesNotOpen);
        }
        let verifier = &self.verifier;
        match (verifier.kind.as_str(), &verifier.hmac, &verifier.basic_auth, &verifier.api_key) {
            ("hmac", Some(hmac), ..) => Ok(Verifier::Hmac {
                header: hmac.header.to_ascii_lowercase(),
                hash: Hash::from_name(&hmac.hash).unwrap_or(Hash::Sha256),
                encoding: Encoding::from_name(&hmac.encoding).unwrap_or(Encoding::Hex),
                secrets: bare(self.open_secrets(vault)?),
            }),
            ("basic_auth", _, Some(basic), _) => Ok(Verifier::BasicAuth {
                username: Secret::new(basic.username.as_bytes()).ok_or(VaultError::DoesNotOpen)?,
                password: open("password", &basic.password)?,
            }),
            ("api_key", _, _, Some(key)) => Ok(Verifier::ApiKey {
                header: key.header_name.to_ascii_lowercase(),
                value: open("header_value", &key.header_value)?,
            }),
            _ => Ok(Verifier::Noop),
        }
    }
}

/// The stored secret that each entry names, by its uid or else its mask; each of them once.
fn named_secrets<'a>(
    stored: &'a [StoredSecret],
    inputs: &[SecretInput],
) -> Result<Vec<Option<&'a StoredSecret>>, ApiError> {
    let mut free: Vec<&StoredSecret> = stored.iter().collect();
    let mut named = Vec::with_capacity(inputs.len());
    for input in inputs {
        let of_uid = |one: &&StoredSecret| input.uid() == Some(&one.uid);
        named.push(free.iter().position(of_uid).map(|at| free.remove(at)));
    }
    for (at, (input, slot)) in inputs.iter().zip(&mut named).enumerate() {
        let Some(mask) = input.mask() else { continue };
        let fits = |one: &&&StoredSecret| one.value.hint == mask;
        let left = inputs.iter().skip(at).filter(|input| input.mask() == Some(mask)).count();
        let (label, end) = (input.label.as_deref().unwrap_or_default().trim(), input.expiry()?);
        let has_label = |one: &&StoredSecret| one.label == label;
        let is_same = |one: &&StoredSecret| one.label == label && one.expires_at == end;
        // As many as there are: in their order, unless a label or an end says another.
        let first = free.iter().find(fits);
        let any = |of: &dyn Fn(&&StoredSecret) -> bool| free.iter().filter(fits).any(of);
        let moved = first.is_some_and(|first| {
            (!has_label(first) && any(&has_label)) || (!is_same(first) && any(&is_same))
        });
        if left < free.iter().filter(fits).count() || moved {
            return Err(ApiError::bad_request(format!(
                "verifier.secrets.value:several secrets have the mask {mask}; name by its uid which is meant"
            )));
        }
        *slot = free.iter().position(|one| fits(&one)).map(|at| free.remove(at));
    }
    Ok(named)
}

/// The kind of verifier that is meant: the one that `named` says, or the only one that is given. Convoy's example gives several.
/// `given`, in this order: `hmac`, `basic_auth`, `api_key`, `scheme`. `None`: the update does not touch it.
fn verifier_kind(named: &str, given: [bool; 4]) -> Result<Option<&'static str>, ApiError> {
    Ok(Some(match (named, given) {
        ("", [false, false, false, false]) => return Ok(None),
        ("", [true, false, false, false])
        | ("hmac", [true, _, _, false] | [false, false, false, false]) => "hmac",
        ("", [false, true, false, false])
        | ("basic_auth", [_, true, _, false] | [false, false, false, false]) => "basic_auth",
        ("", [false, false, true, false])
        | ("api_key", [_, _, true, false] | [false, false, false, false]) => "api_key",
        ("" | "scheme", [false, false, false, true]) => "scheme",
        ("noop", [false, false, false, false]) => "noop",
        ("scheme", [false, false, false, false]) => {
            return Err(ApiError::bad_request(
                "verifier.scheme:say what is signed, for example {\"preset\":\"timestamped\",\"header\":\"X-Signature\"}",
            ));
        }
        _ => {
            return Err(ApiError::bad_request(
                "verifier:give one of hmac, basic_auth, api_key and scheme, and the type that goes with it; noop goes with none",
            ));
        }
    }))
}

fn bare(secrets: Vec<(Secret, String, Option<u64>)>) -> Vec<Secret> {
    secrets.into_iter().map(|(secret, ..)| secret).collect()
}

//! `verification_…` and `template`, made into the `verifier` of a source.

use inlet_verify::{Provider, catalogue};
use serde_json::{Map, Value, json};

use super::{HookstreamSource, bad, show};
use crate::api::ApiError;
use crate::source::{Source, StoredVerifier};
use crate::trust::Mode;

/// Both a row of the catalogue and a `verification_type`.
const STANDARD: &str = "standard_webhooks";

/// What is asked for, beside what is there.
struct Asked<'a> {
    source: &'a Source,
    input: &'a HookstreamSource,
    /// `verification_type`, in one of its spellings.
    kind: Option<&'a str>,
    /// A secret that is not the mask of the one that is there.
    secret: Option<&'a str>,
    verifier: Map<String, Value>,
}

/// `verifier`, as our sources read it. A template that is named for the first time takes the place of all that was checked
/// before.
pub(super) fn verification(
    source: &mut Source,
    input: &HookstreamSource,
) -> Result<Value, ApiError> {
    let kind = input.verification_type.as_deref();
    let kind = kind.map(|text| text.trim().to_ascii_lowercase().replace('-', "_"));
    // What is empty leaves alone.
    let kind = kind.as_deref().filter(|kind| !kind.is_empty());
    let template = input.template.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let (checked, enforced) = (show::kind_of(source).is_some(), show::enforces(source));
    choose_template(source, template, kind)?;
    let secret = input.verification_secret.as_deref();
    if secret == Some("") {
        return Err(bad(
            "verification_secret: must not be empty; verification_enabled switches the check off",
        ));
    }
    let mask = show::secret_hint(source);
    let secret = secret.filter(|secret| Some(*secret) != mask.as_deref());
    let mut asked = Asked { source, input, kind, secret, verifier: Map::new() };
    let checks = match source.signing_row() {
        Some(row) => asked.of_template(row).map(|()| true)?,
        None => asked.of_ones_own(mask)?,
    };
    let says_off = input.verification_enabled == Some(false) || kind == Some("none");
    if let Some(template) = template.filter(|_| !says_off) {
        // Whoever names a template expects to be protected, and whoever was protected to stay it.
        let signs_nothing = !checks && !source.provider.is_empty();
        let why = if signs_nothing {
            "signs nothing; say by verification_type what protects the source, or none"
        } else if checked && !checks {
            "would open the source and forget its secret; say by verification_type what protects it, or none"
        } else if enforced && source.verifier.trust.mode == Mode::Observe {
            "is known by hearsay only, so it would open the source; say so with verification_enabled: false"
        } else {
            ""
        };
        if !why.is_empty() {
            return Err(bad(format!("template: {template} {why}")));
        }
    }
    match input.verification_enabled {
        Some(true) if !checks => {
            return Err(bad(
                "verification_enabled: there is nothing to check; give a template, or verification_type, verification_header and verification_secret",
            ));
        }
        Some(true) => asked.put("mode", json!("enforce")),
        Some(false) if checks => asked.put("mode", json!("observe")),
        _ => {}
    }
    Ok(Value::Object(asked.verifier))
}

fn choose_template(
    source: &mut Source,
    template: Option<&str>,
    kind: Option<&str>,
) -> Result<(), ApiError> {
    let current = catalogue::find(&source.provider);
    let chosen = match template {
        None | Some("custom") if kind == Some(STANDARD) => {
            // One that speaks Standard Webhooks already stays.
            let speaks = |row: &&Provider| template.is_none() && show::type_of(row) == STANDARD;
            Some(current.filter(speaks).map_or(STANDARD, |row| row.name))
        }
        None => return Ok(()),
        // So it is called by whoever described it by its type.
        Some("custom") if kind.is_none() && source.provider == STANDARD => return Ok(()),
        Some("custom") => None,
        Some(name) => match catalogue::find(name) {
            Some(row) => Some(row.name),
            None => {
                return Err(bad(format!(
                    "template: {name} is not in the catalogue; GET /api/v1/providers has it, and custom is what you describe yourself"
                )));
            }
        },
    };
    if chosen == current.map(|row| row.name) {
        return Ok(());
    }
    chosen.unwrap_or_default().clone_into(&mut source.provider);
    source.verifier = StoredVerifier::default();
    source.armed_until = None;
    if catalogue::find(&source.provider).is_some_and(Provider::observe) {
        source.verifier.trust.mode = Mode::Observe;
    }
    Ok(())
}

impl Asked<'_> {
    fn put(&mut self, name: &str, value: Value) {
        self.verifier.insert(name.to_owned(), value);
    }

    fn configured(&self, name: &str) -> Option<Value> {
        let given = self.input.verification_config.as_ref()?.get(name)?;
        Some(given.clone()).filter(|given| !given.is_null())
    }

    /// `verification_config` may hold these alone.
    fn allow(&self, names: &[&str]) -> Result<(), ApiError> {
        let given = self.input.verification_config.iter().flatten();
        let mut other =
            given.filter(|(name, value)| !value.is_null() && !names.contains(&name.as_str()));
        match other.next() {
            Some((name, _)) => Err(bad(format!(
                "verification_config.{name}: has no effect on this verification_type"
            ))),
            None => Ok(()),
        }
    }

    fn of_template(&mut self, row: &'static Provider) -> Result<(), ApiError> {
        let own = "leave it out, or use the template custom";
        let says = show::type_of(row);
        if let Some(kind) = self.kind.filter(|kind| *kind != says) {
            return Err(bad(format!(
                "verification_type: the template {} says {says}, not {kind}; {own}",
                row.name
            )));
        }
        let headers = row.describe().headers;
        if let Some(header) = self.input.verification_header.as_deref()
            && !headers.iter().any(|own| own.eq_ignore_ascii_case(header.trim()))
        {
            let says = show::header_of(row);
            return Err(bad(format!(
                "verification_header: the template {} says {}; {own}",
                row.name,
                says.as_deref().unwrap_or("none")
            )));
        }
        if self.input.verification_enabled == Some(true) && row.observe() {
            return Err(bad(
                "verification_enabled: this template is known by hearsay only, and its requests could be refused wrongly",
            ));
        }
        self.times_and_urls(&[])?;
        if let Some(secret) = self.secret {
            self.put("hmac", json!({"secret": secret}));
            self.put("secrets", json!([]));
        }
        Ok(())
    }

    fn times_and_urls(&mut self, more: &[&str]) -> Result<(), ApiError> {
        self.allow(&[&["tolerance_seconds", "public_url"], more].concat())?;
        for name in ["tolerance_seconds", "public_url"] {
            if let Some(value) = self.configured(name) {
                self.put(name, value);
            }
        }
        Ok(())
    }

    /// Without a template. Whether there is anything to check.
    fn of_ones_own(&mut self, mask: Option<String>) -> Result<bool, ApiError> {
        let stored = &self.source.verifier;
        let has = show::own_type(self.source);
        let gives = self.secret.is_some() || self.input.verification_header.is_some();
        let kind = self.kind.or(has.as_deref()).or(gives.then_some("hmac_sha256"));
        let needs = |what: &str| bad(format!("{what}: {} needs it", kind.unwrap_or_default()));
        let header = self.input.verification_header.clone();
        let header = header.or_else(|| show::own_header(self.source));
        let header = || header.clone().ok_or_else(|| needs("verification_header"));
        // What stays is sent as its mask.
        let secret = self.secret.map(str::to_owned).or(mask.filter(|_| kind == has.as_deref()));
        let secret = || secret.clone().ok_or_else(|| needs("verification_secret"));
        // Those of another kind go with it; a token that answers questions stays.
        let drop_further = |asked: &mut Self| {
            if kind != has.as_deref() {
                asked.put("secrets", json!([]));
            }
        };
        match kind {
            None => {
                self.allow(&[])?;
                return Ok(false);
            }
            Some("none") => {
                self.allow(&[])?;
                self.put("type", json!("noop"));
                if has.is_some() {
                    self.put("secrets", json!([]));
                }
                self.put("mode", json!("enforce"));
                return Ok(false);
            }
            Some("basic_auth") => {
                self.allow(&["username"])?;
                let username = stored.basic_auth.as_ref().map(|basic| json!(basic.username));
                let username = self.configured("username").or(username);
                let username = username.ok_or_else(|| needs("verification_config.username"))?;
                let basic = json!({"username": username, "password": secret()?});
                self.put("type", json!("basic_auth"));
                self.put("basic_auth", basic);
                drop_further(self);
            }
            Some("api_key") => {
                self.allow(&[])?;
                let key = json!({"header_name": header()?, "header_value": secret()?});
                self.put("type", json!("api_key"));
                self.put("api_key", key);
                drop_further(self);
            }
            Some("scheme") => {
                self.times_and_urls(&["scheme"])?;
                self.put("type", json!("scheme"));
                self.put("scheme", self.configured("scheme").unwrap_or_default());
                if let Some(secret) = self.secret {
                    self.put("secrets", json!([{"value": secret}]));
                }
            }
            Some(kind) => {
                let hash = kind.strip_prefix("hmac_").and_then(show::hash_of).ok_or_else(|| {
                    bad(format!(
                        "verification_type: {kind:?} is not one of hmac_sha256, hmac_sha1, hmac_sha512 (or another hash), \
                         standard_webhooks, api_key, basic_auth, scheme and none"
                    ))
                })?;
                self.allow(&["encoding"])?;
                let encoding = stored.hmac.as_ref().map(|hmac| json!(hmac.encoding));
                let encoding = self.configured("encoding").or(encoding).unwrap_or(json!("hex"));
                let hmac = json!({"header": header()?, "hash": hash, "encoding": encoding, "secret": secret()?});
                self.put("type", json!("hmac"));
                self.put("hmac", hmac);
                if self.secret.is_some() {
                    self.put("secrets", json!([]));
                }
            }
        }
        Ok(true)
    }
}

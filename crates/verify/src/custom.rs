//! What no other part of the engine can say, one function a peculiarity.

use subtle::ConstantTimeEq;

use crate::{
    Encoding, Hash, Place, Refused, Request, Secret, Verified, engine::Ask, hmac, json, keys,
    place, scheme::KeyForm, scheme::UrlForm, syntax, uri,
};

/// Adyen: every item signs eight of its fields.
/// <https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures/>
pub(crate) fn adyen_items(ask: Ask<'_>) -> Result<Verified, Refused> {
    if ask.secrets.is_empty() {
        return Err(Refused::NoSecret);
    }
    let missing = |what: &str| Refused::Missing { what: what.to_owned() };
    let body = ask.request.body;
    let items = json::find_only(body, &["notificationItems"])?;
    let items = json::items(items).ok_or_else(|| missing("`notificationItems` of the body"))?;
    if items.is_empty() {
        return Err(missing("an item of `notificationItems`"));
    }
    let mut signed = Vec::new();
    for item in items {
        let item = json::find_only(item, &["NotificationRequestItem"])?;
        let signature = json::find_only(item, &["additionalData", "hmacSignature"])?;
        let what = || "`hmacSignature` of an item".to_owned();
        let text = json::text(signature).ok_or_else(|| Refused::Empty { what: what() })?;
        let claimed = Encoding::Base64.decode(text.as_bytes());
        let malformed = Refused::Malformed { what: what(), why: "is not base64" };
        signed.push((adyen_fields(item)?, claimed.ok_or(malformed)?));
    }
    let mut matching = None;
    let mut unusable = None;
    for (index, secret) in ask.secrets.iter().enumerate() {
        let key = match keys::mac_key(KeyForm::Hex, secret) {
            Ok(key) => key,
            Err(why) => {
                unusable = unusable.or(Some(Refused::Secret { index, why }));
                continue;
            }
        };
        let mut right = true;
        for (message, claimed) in &signed {
            let mac = hmac(Hash::Sha256, &key, &[message.as_bytes()]);
            right &= bool::from(mac.ct_eq(claimed));
        }
        matching = matching.or(right.then_some(index));
    }
    let missed = Refused::Signature { signatures: signed.len(), secrets: ask.secrets.len() };
    let refused = unusable.filter(|_| ask.secrets.len() == 1).unwrap_or(missed);
    matching.map(|index| Verified { secret_index: Some(index) }).ok_or(refused)
}

fn adyen_fields(item: &[u8]) -> Result<String, Refused> {
    const FIELDS: [&[&str]; 8] = [
        &["pspReference"],
        &["originalReference"],
        &["merchantAccountCode"],
        &["merchantReference"],
        &["amount", "value"],
        &["amount", "currency"],
        &["eventCode"],
        &["success"],
    ];
    let mut texts = Vec::new();
    for path in FIELDS {
        texts.push(match json::find_only(item, path) {
            Ok(raw) => json::text(raw).unwrap_or_default(),
            Err(Refused::Missing { .. }) => String::new(),
            Err(refused) => return Err(refused),
        });
    }
    Ok(texts.join(":"))
}

/// Amazon SNS: the names and values of some members, one a line.
/// <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>
pub(crate) fn sns(request: &Request<'_>) -> Option<Vec<u8>> {
    let text = |name: &str| json::text(json::find_only(request.body, &[name]).ok()?);
    let names: &[&str] = match text("Type")?.as_str() {
        "Notification" => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => {
            &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        }
        _ => return None,
    };
    let mut lines = Vec::new();
    for name in names {
        match text(name) {
            Some(value) => lines.push(format!("{name}\n{value}\n")),
            None if *name == "Subject" => {}
            None => return None,
        }
    }
    Some(lines.concat().into_bytes())
}

/// Contentful: method, path, the headers that `x-contentful-signed-headers` names, body.
/// <https://www.contentful.com/developers/docs/webhooks/request-verification/>
pub(crate) fn contentful(request: &Request<'_>) -> Option<Vec<u8>> {
    let names = place::one(&Place::Header("x-contentful-signed-headers"), request).ok()?;
    let mut headers = Vec::new();
    for name in names.split(',').map(|name| name.trim().to_ascii_lowercase()) {
        let value = place::one(&Place::Header(&name), request).ok()?;
        headers.push(format!("{name}:{value}"));
    }
    // The timestamp has to be among them, or its age would prove nothing.
    headers.iter().find(|line| line.starts_with("x-contentful-timestamp:"))?;
    let path = uri::form(request.url, UrlForm::Path);
    let head = format!("{}\n{path}\n{}\n", request.method, headers.join(";"));
    Some([head.as_bytes(), request.body].concat())
}

/// Hook0, version 1: the values of the headers that `h=` names, joined by dots.
/// <https://documentation.hook0.com/docs/verifying-webhook-signatures>
pub(crate) fn hook0(
    request: &Request<'_>,
    fields: &syntax::Fields<'_>,
    _: &Secret,
) -> Option<Vec<u8>> {
    let field = |name: &str| fields.iter().find(|(have, _)| have == name).map(|(_, value)| value);
    let (stamp, names) = (field("t")?, field("h")?);
    let values: Option<Vec<_>> =
        names.split(' ').map(|name| request.headers.get(name).map(str::trim)).collect();
    let head = format!("{stamp}.{names}.{}.", values?.join("."));
    Some([head.as_bytes(), request.body].concat())
}

/// Plivo, version 3: the URL with its query sorted, then the form sorted, then the nonce.
/// <https://www.plivo.com/docs/messaging/concepts/signature-validation>
pub(crate) fn plivo(request: &Request<'_>) -> Option<Vec<u8>> {
    let nonce = place::one(&Place::Header("x-plivo-signature-v3-nonce"), request).ok()?;
    let base = uri::form(request.url, UrlForm::Base);
    let query = uri::sorted(uri::query(request.url).as_bytes());
    let query: Vec<_> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let query = query.join("&");
    let form = if request.method == "GET" { Vec::new() } else { uri::sorted(request.body) };
    let form: String = form.into_iter().flat_map(|(name, value)| [name, value]).collect();
    let signed = match (query.is_empty(), form.is_empty()) {
        (true, true) => base,
        (true, false) => format!("{base}?{form}"),
        (false, true) => format!("{base}?{query}"),
        (false, false) => format!("{base}?{query}.{form}"),
    };
    Some(format!("{signed}.{nonce}").into_bytes())
}

/// Paddle Classic: the form, sorted, as PHP would serialise an array of strings.
/// <https://developer.paddle.com/classic/reference/zg9joji1mzu0mdi2-verifying-webhooks>
#[expect(clippy::unnecessary_wraps, reason = "has the type of its siblings")]
pub(crate) fn paddle_classic(request: &Request<'_>) -> Option<Vec<u8>> {
    let mut pairs = uri::sorted(request.body);
    pairs.retain(|(name, _)| name != "p_signature");
    let string = |text: &str| format!("s:{}:\"{text}\";", text.len());
    let inner: String = pairs.iter().map(|(name, value)| string(name) + &string(value)).collect();
    Some(format!("a:{}:{{{inner}}}", pairs.len()).into_bytes())
}

/// Alipay: the form, sorted, without the signature, as `name=value` joined by `&`. Empty values are not signed, so a name that
/// comes twice would let anybody put an empty one before that which is.
/// <https://opendocs.alipay.com/common/02mse7>
pub(crate) fn alipay(request: &Request<'_>) -> Option<Vec<u8>> {
    let mut pairs = uri::sorted(request.body);
    if pairs.windows(2).any(|two| matches!(two, [(a, _), (b, _)] if a == b)) {
        return None;
    }
    pairs.retain(|(name, value)| name != "sign" && name != "sign_type" && !value.is_empty());
    let lines: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Some(lines.join("&").into_bytes())
}

/// MailChannels: the subset of RFC 9421 that covers `content-digest` alone, which has to be the
/// body's. <https://docs.mailchannels.net/email-api/webhook-verification/>
pub(crate) fn content_digest(request: &Request<'_>) -> Option<Vec<u8>> {
    let input = place::one(&Place::Header("signature-input"), request).ok()?;
    let claimed = place::one(&Place::Header("content-digest"), request).ok()?;
    let (_, parameters) = input.split_once('=')?;
    if !parameters.starts_with("(\"content-digest\");") {
        return None;
    }
    let (name, value) = claimed.split_once("=:")?;
    let hash = match name {
        "sha-256" => Hash::Sha256,
        "sha-512" => Hash::Sha512,
        _ => return None,
    };
    let encoded = Encoding::Base64.encode(&crate::digest(hash, &[request.body]));
    if value.strip_suffix(':')? != encoded {
        return None;
    }
    let lines = format!("\"content-digest\": {claimed}\n\"@signature-params\": {parameters}");
    Some(lines.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Headers;

    #[test]
    fn alipay_signs_what_is_there_once_and_not_empty() {
        let headers = Headers::default();
        let signed = |body: &str| {
            let body = body.as_bytes();
            alipay(&Request { method: "POST", url: "https://e.com/", headers: &headers, body })
        };
        let expect = b"notify_id=1&total=2".to_vec();
        assert_eq!(signed("total=2&sign=x&notify_id=1&note=&sign_type=RSA2"), Some(expect));
        assert_eq!(
            signed("notify_id=&total=2&notify_id=1&sign=x"),
            None,
            "the first would be read"
        );
    }
}

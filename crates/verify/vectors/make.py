#!/usr/bin/env python3
"""Writes rows.json: one signed request for each row of the catalogue that signs.

This is a second implementation, written from the providers' documentation and not from the Rust
code: a mistake has to be made twice to go unseen. Keys and secrets are made up here.

    python3 crates/verify/vectors/make.py

Needs the `cryptography` package. The output is the same on every run.
"""

import base64
import hashlib
import json
import pathlib
import zlib
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes

from signing import (
    EC_KEY,
    EC_PEM,
    ED_KEY,
    ED_RAW,
    P,
    RSA_PEM,
    SECRET,
    b64mac,
    b64url,
    certificate,
    ec_der,
    hexmac,
    jwt,
    mac,
    pem,
    rsa_b64,
    sha,
    spki,
)

T = 1700000000
RFC = "2023-11-14T22:13:20Z"
IMF = "Tue, 14 Nov 2023 22:13:20 GMT"
URL = "https://hooks.example.com/ingest/abc?x=1"
B64 = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
HEX = "00112233445566778899aabbccddeeff" * 2
BODY = '{"id":"evt_1","type":"test.event","data":{"id":7,"amount":12.50,"name":"Zo\\u00eb \u2665"}}'
FORM = "b=2&a=1+%2B&a=1+%2B&c=%C3%A9"
FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}

rows = []


def add(provider, headers, *, secret=SECRET, body=BODY, url=URL, method="POST", time=T):
    rows.append(
        {
            "id": f"{provider}-computed",
            "provider": provider,
            "secret": secret,
            "method": method,
            "url": url,
            "headers": headers,
            "body": body,
            "timestamp": time,
            "valid": True,
        }
    )


# --- Standard Webhooks -----------------------------------------------------------------------

STANDARD = """standard_webhooks svix lithic clerk resend stytch vanta loops supabase_auth_hooks
render brex openai anthropic replicate gemini etsy incident_io recall_ai dodo_payments beehiiv
guesty nash pleo safebase sardine psi_fi drata liveblocks novu yoco zapier_outbound warp daytona
crossmint gitlab_signing_token""".split()
SVIX = "svix clerk resend stytch vanta beehiiv guesty nash pleo safebase sardine psi_fi".split()

for name in STANDARD:
    prefix = "svix" if name in SVIX else "webhook"
    signature = b64mac(f"msg_1.{T}.{BODY}", base64.b64decode(B64))
    headers = {f"{prefix}-id": "msg_1", f"{prefix}-timestamp": str(T)}
    headers[f"{prefix}-signature"] = f"v2,xxxx v1,{b64mac('other')} v1,{signature}"
    add(name, headers, secret=f"whsec_{B64}")
for name in ("polar", "bigcommerce"):
    signature = b64mac(f"msg_1.{T}.{BODY}")
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(T)}
    add(name, headers | {"webhook-signature": f"v1,{signature}"})
signature = b64mac(f"msg_1.{T}.{BODY}", base64.b64decode(B64))
headers = {"Finch-Event-Id": "msg_1", "Finch-Timestamp": str(T)}
add("finch", headers | {"Finch-Signature": f"v1,{signature}"}, secret=B64)
signature = base64.b64encode(ED_KEY.sign(f"msg_1.{T}.{BODY}".encode())).decode()
headers = {"webhook-id": "msg_1", "webhook-timestamp": str(T)}
public = "whpk_" + base64.b64encode(ED_RAW).decode()
add("standard_webhooks_v1a", headers | {"webhook-signature": f"v1a,{signature}"}, secret=public)

# --- HMAC over the body alone ------------------------------------------------------------------

# name: header, hash, encoding, how it is written, how the secret becomes the key
PLAIN = {
    "paystack": ("x-paystack-signature", "sha512", "hex", "{}"),
    "flutterwave_v4": ("flutterwave-signature", "sha256", "base64", "{}"),
    "monnify": ("monnify-signature", "sha512", "hex", "{}"),
    "razorpay": ("X-Razorpay-Signature", "sha256", "hex", "{}"),
    "mollie": ("X-Mollie-Signature", "sha256", "hex", "sha256={}"),
    "adyen_platform": ("HmacSignature", "sha256", "base64", "{}", "hex"),
    "gocardless": ("Webhook-Signature", "sha256", "hex", "{}"),
    "coinbase_commerce": ("X-CC-Webhook-Signature", "sha256", "hex", "{}"),
    "checkout_com": ("Cko-Signature", "sha256", "hex", "{}"),
    "authorize_net": ("X-ANET-Signature", "sha512", "HEX", "sha512={}", "hex"),
    "dwolla": ("X-Request-Signature-SHA-256", "sha256", "hex", "{}"),
    "chargify": ("X-Chargify-Webhook-Signature-Hmac-Sha-256", "sha256", "hex", "{}"),
    "lemonsqueezy": ("X-Signature", "sha256", "hex", "{}"),
    "fastspring": ("X-FS-Signature", "sha256", "base64", "{}"),
    "bolt": ("X-Bolt-Hmac-Sha256", "sha256", "base64", "{}"),
    "primer": ("X-Signature-Secondary", "sha256", "base64", "{}"),
    "modern_treasury": ("X-Signature", "sha256", "hex", "{}"),
    "ramp": ("X-Ramp-Signature", "sha256", "hex", "{}"),
    "klarna": ("Klarna-Signature", "sha256", "hex", "{}"),
    "squad": ("x-squad-encrypted-body", "sha512", "HEX", "{}"),
    "rutter": ("X-Rutter-Signature", "sha256", "base64", "sha256={}"),
    "shopify": ("X-Shopify-Hmac-Sha256", "sha256", "base64", "{}"),
    "woocommerce": ("X-WC-Webhook-Signature", "sha256", "base64", "{}"),
    "commercelayer": ("X-CommerceLayer-Signature", "sha256", "base64", "{}"),
    "squarespace": ("Squarespace-Signature", "sha256", "hex", "{}", "hex"),
    "aftership": ("aftership-hmac-sha256", "sha256", "base64", "{}"),
    "onfleet": ("X-Onfleet-Signature", "sha512", "hex", "{}", "hex"),
    "patreon": ("X-Patreon-Signature", "md5", "hex", "{}"),
    "fourthwall": ("X-Fourthwall-Hmac-SHA256", "sha256", "base64", "{}"),
    "picqer": ("X-Picqer-Signature", "sha256", "base64", "{}"),
    "nuvemshop": ("x-linkedstore-hmac-sha256", "sha256", "hex", "{}"),
    "github": ("X-Hub-Signature-256", "sha256", "hex", "sha256={}"),
    "github_legacy": ("X-Hub-Signature", "sha1", "hex", "sha1={}"),
    "github_marketplace": ("X-Hub-Signature-256", "sha256", "hex", "sha256={}"),
    "bitbucket": ("X-Hub-Signature", "sha256", "hex", "sha256={}"),
    "gitea": ("X-Hub-Signature-256", "sha256", "hex", "sha256={}"),
    "forgejo": ("X-Forgejo-Signature", "sha256", "hex", "{}"),
    "jira": ("X-Hub-Signature", "sha256", "hex", "sha256={}"),
    "confluence": ("X-Hub-Signature", "sha256", "hex", "sha256={}"),
    "circleci": ("circleci-signature", "sha256", "hex", "v1={},v2=00"),
    "terraform_cloud": ("X-TFE-Notification-Signature", "sha512", "hex", "{}"),
    "vercel": ("x-vercel-signature", "sha1", "hex", "{}"),
    "heroku": ("Heroku-Webhook-Hmac-SHA256", "sha256", "base64", "{}"),
    "sentry": ("Sentry-Hook-Signature", "sha256", "hex", "{}"),
    "pagerduty": ("X-PagerDuty-Signature", "sha256", "hex", "v1=00,v1={}"),
    "launchdarkly": ("X-LD-Signature", "sha256", "hex", "{}"),
    "grafana": ("X-Grafana-Alerting-Signature", "sha256", "hex", "{}"),
    "snyk": ("X-Hub-Signature", "sha256", "hex", "sha256={}"),
    "sonarcloud": ("X-Sonar-Webhook-HMAC-SHA256", "sha256", "hex", "{}"),
    "npm": ("x-npm-signature", "sha256", "hex", "sha256={}"),
    "expo_eas": ("expo-signature", "sha1", "hex", "sha1={}"),
    "cursor": ("X-Webhook-Signature", "sha256", "hex", "sha256={}"),
    "doppler": ("x-doppler-signature", "sha256", "hex", "sha256={}"),
    "hcp_radar": ("X-HCP-Radar-Signature", "sha512", "hex", "sha512={}"),
    "autodesk": ("x-adsk-signature", "sha1", "hex", "sha1hash={}"),
    "mongodb_atlas": ("X-MMS-Signature", "sha1", "base64", "{}"),
    "sonatype_nexus": ("X-Nexus-Webhook-Signature", "sha1", "hex", "{}"),
    "castle": ("X-Castle-Signature", "sha256", "base64", "{}"),
    "signal_sciences": ("X-SigSci-Signature", "sha256", "hex", "{}"),
    "trendmicro_conformity": ("x-cc-signature", "sha256", "hex", "{}"),
    "ms_teams_outgoing": ("Authorization", "sha256", "base64", "HMAC {}", "base64"),
    "line": ("X-Line-Signature", "sha256", "base64", "{}"),
    "viber": ("X-Viber-Content-Signature", "sha256", "hex", "{}"),
    "meta": ("X-Hub-Signature-256", "sha256", "hex", "sha256={}"),
    "whatsapp": ("X-Hub-Signature-256", "sha256", "hex", "sha256={}"),
    "instagram": ("X-Hub-Signature-256", "sha256", "hex", "sha256={}"),
    "webex": ("X-Spark-Signature", "sha1", "hex", "{}"),
    "x": ("x-twitter-webhooks-signature", "sha256", "base64", "sha256={}"),
    "youtube": ("X-Hub-Signature", "sha1", "hex", "sha1={}"),
    "websub": ("X-Hub-Signature", "sha384", "hex", "sha384={}"),
    "fitbit": ("X-Fitbit-Signature", "sha1", "base64", "{}", "&"),
    "mailersend": ("Signature", "sha256", "hex", "{}"),
    "nylas": ("X-Nylas-Signature", "sha256", "hex", "{}"),
    "attio": ("Attio-Signature", "sha256", "hex", "{}"),
    "intercom": ("X-Hub-Signature", "sha1", "hex", "sha1={}"),
    "zoho_mail": ("X-Hook-Signature", "sha256", "base64", "{}"),
    "helpscout": ("X-HelpScout-Signature", "sha1", "base64", "{}"),
    "clearbit": ("X-Request-Signature", "sha1", "hex", "sha1={}"),
    "asana": ("X-Hook-Signature", "sha256", "hex", "{}"),
    "clio": ("X-Hook-Signature", "sha256", "hex", "{}"),
    "notion": ("X-Notion-Signature", "sha256", "hex", "sha256={}"),
    "airtable": ("X-Airtable-Content-MAC", "sha256", "hex", "hmac-sha256={}", "base64"),
    "clickup": ("X-Signature", "sha256", "hex", "{}"),
    "todoist": ("X-Todoist-Hmac-SHA256", "sha256", "base64", "{}"),
    "smartsheet": ("Smartsheet-Hmac-SHA256", "sha256", "hex", "{}"),
    "dropbox": ("X-Dropbox-Signature", "sha256", "hex", "{}"),
    "docusign": ("X-DocuSign-Signature-17", "sha256", "base64", "{}"),
    "typeform": ("Typeform-Signature", "sha256", "base64", "sha256={}"),
    "tally": ("Tally-Signature", "sha256", "base64", "{}"),
    "cal_com": ("X-Cal-Signature-256", "sha256", "hex", "{}"),
    "acuity": ("X-Acuity-Signature", "sha256", "base64", "{}"),
    "xero": ("x-xero-signature", "sha256", "base64", "{}"),
    "quickbooks": ("intuit-signature", "sha256", "base64", "{}"),
    "greenhouse": ("Signature", "sha256", "hex", "sha256 {}"),
    "ashby": ("Ashby-Signature", "sha256", "hex", "sha256={}"),
    "veriff": ("x-hmac-signature", "sha256", "hex", "{}"),
    "enode": ("X-Enode-Signature", "sha1", "hex", "sha1={}"),
    "smartcar": ("SC-Signature", "sha256", "hex", "{}"),
    "storyblok": ("webhook-signature", "sha1", "hex", "{}"),
    "discourse": ("X-Discourse-Event-Signature", "sha256", "hex", "sha256={}"),
    "segment": ("X-Signature", "sha1", "hex", "{}"),
    "pusher": ("X-Pusher-Signature", "sha256", "hex", "{}"),
    "pusher_beams": ("Webhook-Signature", "sha1", "hex", "{}"),
    "ably": ("X-Ably-Signature", "sha256", "base64", "{}", "colon"),
    "alchemy": ("X-Alchemy-Signature", "sha256", "hex", "{}"),
    "vapi": ("X-Vapi-Signature", "sha256", "hex", "{}"),
    "firecrawl": ("X-Firecrawl-Signature", "sha256", "hex", "sha256={}"),
    "exa": ("x-exa-signature", "sha256", "hex", "{}"),
    "nango": ("X-Nango-Hmac-Sha256", "sha256", "hex", "{}"),
    "hookdeck_forwarded": ("x-hookdeck-signature-2", "sha256", "base64", "{}"),
    "outpost_forwarded": ("x-outpost-signature", "sha256", "hex", "v0=00,{}"),
}

for name, (header, algorithm, encoding, form, *kind) in PLAIN.items():
    secret, key = SECRET, SECRET
    match kind:
        case ["hex"]:
            secret, key = HEX, bytes.fromhex(HEX)
        case ["base64"]:
            secret, key = B64, base64.b64decode(B64)
        case ["&"]:
            key = SECRET + "&"
        case ["colon"]:
            secret, key = "app.key:" + SECRET, SECRET
    digest = mac(BODY, key, algorithm)
    text = {
        "hex": digest.hex(),
        "HEX": digest.hex().upper(),
        "base64": base64.b64encode(digest).decode(),
    }[encoding]
    add(name, {header: form.format(text)}, secret=secret)

# NFKD: the key is the decomposed form of what the operator typed.
signature = hexmac(BODY, "se\u0301cret")
add("easypost", {"X-Hmac-Signature": f"hmac-sha256-hex={signature}"}, secret="s\u00e9cret")

# --- HMAC with a time --------------------------------------------------------------------------

# name: signature header, time header, time, message, hash, encoding, how it is written
TIMED = {
    "cashfree": ("x-webhook-signature", "x-webhook-timestamp", f"{T}000", "{t}{b}", "sha256", "base64", "{}"),
    "airwallex": ("x-signature", "x-timestamp", f"{T}000", "{t}{b}", "sha256", "hex", "{}"),
    "synctera": ("Synctera-Signature", "Request-Timestamp", f"{T}", "{t}.{b}", "sha256", "hex", "00.{}"),
    "orb": ("X-Orb-Signature", "X-Orb-Timestamp", RFC, "v1:{t}:{b}", "sha256", "hex", "v1={}"),
    "pinwheel": ("x-pinwheel-signature", "x-timestamp", f"{T}", "v2:{t}:{b}", "sha256", "hex", "v2={}"),
    "lob": ("Lob-Signature", "Lob-Signature-Timestamp", f"{T}", "{t}.{b}", "sha256", "hex", "{}"),
    "akeneo": ("X-Akeneo-Request-Signature", "X-Akeneo-Request-Timestamp", f"{T}", "{t}.{b}", "sha256", "hex", "{}"),
    "port_io": ("x-port-signature", "x-port-timestamp", f"{T}000", "{t}.{b}", "sha256", "base64", "v1,{}"),
    "slack": ("X-Slack-Signature", "X-Slack-Request-Timestamp", f"{T}", "v0:{t}:{b}", "sha256", "hex", "v0={}"),
    "zoom": ("x-zm-signature", "x-zm-request-timestamp", f"{T}", "v0:{t}:{b}", "sha256", "hex", "v0={}"),
    "oura": ("X-Oura-Signature", "X-Oura-Timestamp", f"{T}", "{t}{b}", "sha256", "hex", "{}"),
    "podium": ("podium-signature", "podium-timestamp", f"{T}000", "{t}.{b}", "sha256", "hex", "{}"),
    "customerio": ("X-CIO-Signature", "X-CIO-Timestamp", f"{T}", "v0:{t}:{b}", "sha256", "hex", "{}"),
    "klaviyo": ("Klaviyo-Signature", "Klaviyo-Timestamp", IMF, "{b}{t}", "sha256", "hex", "{}"),
    "airship": ("X-UA-SIGNATURE", "X-UA-TIMESTAMP", f"{T}", "{t}:{b}", "sha256", "hex", "{}"),
    "zendesk": ("X-Zendesk-Webhook-Signature", "X-Zendesk-Webhook-Signature-Timestamp", RFC, "{t}{b}", "sha256", "base64", "{}"),
    "front": ("X-Front-Signature", "X-Front-Request-Timestamp", f"{T}000", "{t}:{b}", "sha256", "base64", "{}"),
    "crisp": ("X-Crisp-Signature", "X-Crisp-Request-Timestamp", f"{T}000", "[{t};{b}]", "sha256", "hex", "{}"),
    "chatwoot": ("X-Chatwoot-Signature", "X-Chatwoot-Timestamp", f"{T}", "{t}.{b}", "sha256", "hex", "sha256={}"),
    "box": ("BOX-SIGNATURE-SECONDARY", "BOX-DELIVERY-TIMESTAMP", RFC, "{b}{t}", "sha256", "base64", "{}"),
    "webflow": ("x-webflow-signature", "x-webflow-timestamp", f"{T}000", "{t}:{b}", "sha256", "hex", "{}"),
    "frameio": ("X-Frameio-Signature", "X-Frameio-Request-Timestamp", f"{T}", "v0:{t}:{b}", "sha256", "hex", "v0={}"),
    "hookstream_forwarded": ("X-Hookstream-Signature", "X-Hookstream-Timestamp", f"{T}", "{t}.{b}", "sha256", "hex", "sha256={}"),
}
for name, (header, at, time, message, algorithm, encoding, form) in TIMED.items():
    digest = mac(message.replace("{t}", time).replace("{b}", BODY), SECRET, algorithm)
    text = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    add(name, {header: form.format(text), at: time})

# name: header, message, hash, encoding, how it is written, the time as written
PAIRED = {
    "stripe": ("Stripe-Signature", "{t}.{b}", "sha256", "hex", "t={t},v1=" + "0" * 64 + ",v1={s},v0=1", T),
    "paddle": ("Paddle-Signature", "{t}:{b}", "sha256", "hex", "ts={t};h1={s}", T),
    "coinbase_cdp": ("X-Hook0-Signature", "{t}.{b}", "sha256", "hex", "t={t},v0={s}", T),
    "affirm": ("X-Affirm-Signature", "{t}.{b}", "sha512", "hex", "t={t},v0={s}", T),
    "recurly": ("recurly-signature", "{t}.{b}", "sha256", "hex", "{t}," + "0" * 64 + ",{s}", T * 1000),
    "fintoc": ("Fintoc-Signature", "{t}.{b}", "sha256", "hex", "t={t},v1={s}", T),
    "paymongo": ("Paymongo-Signature", "{t}.{b}", "sha256", "hex", "t={t},te=,li={s}", T),
    "shippo": ("Shippo-Auth-Signature", "{t}.{b}", "sha256", "hex", "t={t},v1={s}", T),
    "nmi": ("Webhook-Signature", "{t}.{b}", "sha256", "hex", "t={t},s={s}", "nonce"),
    "buildkite": ("X-Buildkite-Signature", "{t}.{b}", "sha256", "hex", "timestamp={t},signature={s}", T),
    "tailscale": ("Tailscale-Webhook-Signature", "{t}.{b}", "sha256", "hex", "t={t},v1={s}", T),
    "rootly": ("X-Rootly-Signature", "{t}{b}", "sha256", "hex", "t={t},v1={s}", T),
    "cloudflare_stream": ("Webhook-Signature", "{t}.{b}", "sha256", "hex", "time={t},sig1={s}", T),
    "workos": ("WorkOS-Signature", "{t}.{b}", "sha256", "hex", "t={t}, v1={s}", T * 1000),
    "tiktok": ("TikTok-Signature", "{t}.{b}", "sha256", "hex", "t={t},s={s}", T),
    "whereby": ("Whereby-Signature", "{t}.{b}", "sha256", "hex", "t={t},v1={s}", T),
    "courier": ("courier-signature", "{t}.{b}", "sha256", "hex", "t={t},signature={s}", T * 1000),
    "knock": ("x-knock-signature", "{t}.{b}", "sha256", "base64", "t={t},s={s}", T),
    "calendly": ("Calendly-Webhook-Signature", "{t}.{b}", "sha256", "hex", "t={t},v1={s}", T),
    "persona": ("Persona-Signature", "{t}.{b}", "sha256", "hex", "t={t},v1=00 t={t},v1={s}", T),
    "makeplans": ("MakePlans-Signature", "{t}.{b}", "sha256", "hex", "t={t},v1={s}", T),
    "sanity": ("sanity-webhook-signature", "{t}.{b}", "sha256", "base64url", "t={t},v1={s}", T * 1000),
    "ghost": ("X-Ghost-Signature", "{b}{t}", "sha256", "hex", "sha256={s}, t={t}", T * 1000),
    "mux": ("Mux-Signature", "{t}.{b}", "sha256", "hex", "t={t},v1={s}", T),
    "revenuecat_hmac": ("X-RevenueCat-Webhook-Signature", "{t}.{b}", "sha256", "hex", "t={t},v1={s}", T),
    "elevenlabs": ("ElevenLabs-Signature", "{t}.{b}", "sha256", "hex", "t={t},v0={s}", T),
    "retell": ("x-retell-signature", "{b}{t}", "sha256", "hex", "v={t},d={s}", T * 1000),
    "convoy_forwarded": ("X-Convoy-Signature", "{t},{b}", "sha256", "hex", "t={t},v1={s}", T),
    "checkbook": ("Signature", "{b}{t}", "sha256", "hex", "nonce={t},signature={s}", "n0"),
}
for name, (header, message, algorithm, encoding, form, time) in PAIRED.items():
    digest = mac(message.replace("{t}", str(time)).replace("{b}", BODY), SECRET, algorithm)
    text = {
        "hex": digest.hex(),
        "base64": base64.b64encode(digest).decode(),
        "base64url": b64url(digest),
    }[encoding]
    add(name, {header: form.replace("{t}", str(time)).replace("{s}", text)})

# --- what is one of a kind ---------------------------------------------------------------------

for name, algorithm, header in (
    ("square", "sha256", "x-square-hmacsha256-signature"),
    ("square_legacy", "sha1", "x-square-signature"),
):
    add(name, {header: b64mac(URL + BODY, name=algorithm)})
add("trello", {"X-Trello-Webhook": b64mac(BODY + URL, name="sha1")})
add("recharge", {"X-Recharge-Hmac-Sha256": sha(SECRET + BODY)})
add("hubspot_v1", {"X-HubSpot-Signature": sha(SECRET + BODY)})
add("hubspot_v2", {"X-HubSpot-Signature": sha(SECRET + "POST" + URL + BODY)})
escaped = "https://hooks.example.com/a%3Ab?x=%40%20"
signature = b64mac("POST" + "https://hooks.example.com/a:b?x=@%20" + BODY + f"{T}000")
headers = {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": f"{T}000"}
add("hubspot_v3", headers, url=escaped)
add("korapay", {"x-korapay-signature": hexmac('{ "b" : 1.0, "a":2 }')}, body='{"event":"x", "data" : { "b" : 1.0, "a":2 } }')
add(
    "hook0",
    {
        "X-Hook0-Signature": f"t={T},h=x-event-id x-event-type,v1="
        + hexmac(f"{T}.x-event-id x-event-type.e1.a.b.{BODY}"),
        "X-Event-Id": "e1",
        "X-Event-Type": "a.b",
    },
)
manifest = f"id:123;request-id:r-1;ts:{T};"
add(
    "mercado_pago",
    {"x-signature": f"ts={T},v1={hexmac(manifest)}", "x-request-id": "r-1"},
    url="https://hooks.example.com/?data.id=123&type=payment",
)
message = "o1" + "200" + "10.00" + SECRET
fields = {"order_id": "o1", "status_code": "200", "gross_amount": "10.00", "signature_key": sha(message, "sha512")}
add("midtrans", {}, body=json.dumps(fields))
signature = base64.b64encode(hexmac("pub" + BODY + "pub", name="sha512").encode()).decode()
add("solidgate", {"signature": signature}, secret="pub:" + SECRET)
digest = hexmac(f"{T}000.{sha(BODY)}", base64.b64decode(B64))
add("ripple_collections", {"X-Webhook-Signature": f"t={T}000,v1={digest}"}, secret=B64)
add("tebex", {"X-Signature": hexmac(sha(BODY))})
item = {
    "pspReference": "p:1",
    "originalReference": "",
    "merchantAccountCode": "m",
    "merchantReference": "r\u00e9",
    "amount": {"value": 1000, "currency": "EUR"},
    "eventCode": "AUTHORISATION",
    "success": "true",
}
signature = b64mac("p:1::m:r\u00e9:1000:EUR:AUTHORISATION:true", bytes.fromhex(HEX))
item["additionalData"] = {"hmacSignature": signature}
add("adyen", {}, secret=HEX, body=json.dumps({"notificationItems": [{"NotificationRequestItem": item}]}))
payload = base64.b64encode(b"<notification/>").decode()
key = hashlib.sha1(SECRET.encode()).digest()
pairs = f"other|{'0' * 40}&pub|{hexmac(payload + chr(10), key, 'sha1')}"
add("braintree", FORM_TYPE, secret="pub:" + SECRET, body=urlencode({"bt_signature": pairs, "bt_payload": payload}))
headers = {"X-ConfigCat-Webhook-ID": "7", "X-ConfigCat-Webhook-Timestamp": str(T)}
add("configcat", headers | {"X-ConfigCat-Webhook-Signature-V1": f"{b64mac('x')},{b64mac(f'7{T}{BODY}')}"})
sorted_form = "a1 +b2c\u00e9"
for name, header in (("twilio", "X-Twilio-Signature"), ("signalwire", "X-SignalWire-Signature"), ("mandrill", "X-Mandrill-Signature")):
    add(name, FORM_TYPE | {header: b64mac(URL + sorted_form, name="sha1")}, body=FORM)
url = f"https://hooks.example.com/?bodySHA256={sha(BODY)}"
add("twilio_json", {"X-Twilio-Signature": b64mac(url, name="sha1"), "Content-Type": "application/json"}, url=url)
nonce = {"X-Plivo-Signature-V3-Nonce": "n1"}
signature = b64mac("https://hooks.example.com/p?a=1&b=2.x1y2.n1")
add("plivo_v3", nonce | FORM_TYPE | {"X-Plivo-Signature-V3": f"{b64mac('x')},{signature}"}, url="https://hooks.example.com/p?b=2&a=1", body="y=2&x=1")
nonce = {"X-Plivo-Signature-V2-Nonce": "n1"}
add("plivo_v2", nonce | {"X-Plivo-Signature-V2": b64mac("https://hooks.example.com/ingest/abcn1")})
headers = {"x-sinch-webhook-signature-nonce": "n1", "x-sinch-webhook-signature-timestamp": str(T)}
add("sinch", headers | {"x-sinch-webhook-signature": b64mac(f"{BODY}.n1.{T}")})
add("linkedin", {"X-LI-Signature": hexmac("hmacsha256=" + BODY)})
stamp = "2023-11-14T22:13:20.464757833Z"
headers = {"Twitch-Eventsub-Message-Id": "m1", "Twitch-Eventsub-Message-Timestamp": stamp}
add("twitch", headers | {"Twitch-Eventsub-Message-Signature": "sha256=" + hexmac(f"m1{stamp}{BODY}")})
digest = b64mac(f"{T}.{BODY}", base64.b64decode(B64))
add("daily", {"X-Webhook-Signature": digest, "X-Webhook-Timestamp": str(T)}, secret=B64)
fields = {"timestamp": str(T), "token": "tok", "signature": hexmac(f"{T}tok")}
add("mailgun", {}, body=json.dumps({"signature": fields, "event-data": {"id": "1"}}))
digest = hexmac(f"{T}{BODY}", bytes.fromhex(HEX))
add("close", {"close-sig-hash": digest, "close-sig-timestamp": str(T)}, secret=HEX)
body = json.dumps({"type": "Issue", "webhookTimestamp": T * 1000})
add("linear", {"Linear-Signature": hexmac(body)}, body=body)
event = {"event_time": str(T), "event_type": "sent", "event_hash": hexmac(f"{T}sent")}
add("dropbox_sign", FORM_TYPE, body=urlencode({"json": json.dumps({"event": event})}))
add("pandadoc", {}, url=f"https://hooks.example.com/?signature={hexmac(BODY)}")
add("lever", {}, body=json.dumps({"token": "t1", "triggeredAt": T, "signature": hexmac(f"t1{T}")}))
add("favro", {"X-Favro-Webhook": b64mac("p1" + URL, name="sha1")}, body='{"payloadId":"p1"}')
signed_headers = "x-contentful-signed-headers,x-contentful-timestamp,x-contentful-topic"
lines = f"x-contentful-signed-headers:{signed_headers};x-contentful-timestamp:{T}000;x-contentful-topic:a.b"
headers = {
    "X-Contentful-Signed-Headers": signed_headers,
    "X-Contentful-Timestamp": f"{T}000",
    "X-Contentful-Topic": "a.b",
    "X-Contentful-Signature": hexmac(f"POST\n/ingest/abc?x=1\n{lines}\n{BODY}"),
}
add("contentful", headers)
wrapped = json.dumps({"Body": BODY, "EnvironmentName": "main", "TimeStamp": T}, separators=(",", ":"), ensure_ascii=False)
add("hygraph", {"gcms-signature": f"sign={b64mac(wrapped)}, env=main, t={T}"})

# --- tokens, in themselves or signed -------------------------------------------------------------

for name, header, form in (
    ("flutterwave_v3", "verif-hash", "{}"),
    ("mono", "mono-webhook-secret", "{}"),
    ("xendit", "x-callback-token", "{}"),
    ("gitlab", "X-Gitlab-Token", "{}"),
    ("buildkite_token", "X-Buildkite-Token", "{}"),
    ("huggingface", "X-Webhook-Secret", "{}"),
    ("telegram", "X-Telegram-Bot-Api-Secret-Token", "{}"),
    ("ringcentral", "Verification-Token", "{}"),
    ("google_channel", "X-Goog-Channel-Token", "{}"),
    ("cloudflare_notifications", "cf-webhook-auth", "{}"),
    ("okta", "Authorization", "{}"),
    ("auth0", "Authorization", "Bearer {}"),
    ("brevo", "Authorization", "Bearer {}"),
    ("adobe_sign", "X-AdobeSign-ClientId", "{}"),
    ("revenuecat", "Authorization", "{}"),
    ("deepgram", "dg-token", "{}"),
    ("cloudevents_http", "Authorization", "Bearer {}"),
):
    add(name, {header: form.format(SECRET)})
for name in ("aws_eventbridge_apidest", "assemblyai"):
    add(name, {"X-My-Key": "v a l"}, secret="x-my-key: v a l")
for name, path in (("aircall", "token"), ("figma", "passcode"), ("meraki", "sharedSecret"), ("zoho_crm", "token")):
    add(name, {}, body=json.dumps({path: SECRET}))
add("kofi", FORM_TYPE, body=urlencode({"data": json.dumps({"verification_token": SECRET})}))
add("ms_graph", {}, body=json.dumps({"value": [{"clientState": SECRET}, {"clientState": SECRET}]}))
add("mailchimp", {}, url="https://hooks.example.com/?secret=plain", secret="plain")
add("azure_event_grid", {}, url="https://hooks.example.com/?code=plain", secret="plain")
for name in ("chargebee", "azure_devops", "postmark", "pipedrive", "bandwidth"):
    add(name, {"Authorization": "Basic " + base64.b64encode(b"user:pa:ss").decode()}, secret="user:pa:ss")
for name in "mollie_classic bitpay gumroad docker_hub strava salesforce_om jotform zapier".split():
    add(name, {})

FRESH = {"iat": T - 5, "nbf": T - 5, "exp": T + 60}
add("netlify", {"X-Webhook-Signature": jwt({"iss": "netlify", "sha256": sha(BODY)})})
add("vonage", {"Authorization": "Bearer " + jwt(FRESH | {"payload_hash": sha(BODY)})})
claims = FRESH | {"iss": "MessageBird", "url_hash": sha(URL), "payload_hash": sha(BODY)}
add("messagebird", {"MessageBird-Signature-JWT": jwt(claims, "HS512")})
digest = base64.b64encode(hashlib.sha256(BODY.encode()).digest()).decode()
add("livekit", {"Authorization": jwt(FRESH | {"sha256": digest})})
add("monday", {"Authorization": jwt(FRESH)})
add("dialpad", {}, body=jwt({"call_id": 1}))
add("wix", {}, body=jwt(FRESH | {"data": "{}"}, "RS256"), secret=RSA_PEM)
claims = FRESH | {"webhook_url": URL, "body_sha256": sha(BODY)}
add("gong", {"Authorization": "Bearer " + jwt(claims, "RS256")}, secret=RSA_PEM)
add("fusionauth", {"X-FusionAuth-Signature-JWT": jwt({"request_body_sha256": digest}, "ES256")}, secret=EC_PEM)
add("zoho_desk", {"X-ZDesk-JWT": jwt(FRESH, "RS256")}, secret=RSA_PEM)

# --- public keys -----------------------------------------------------------------------------

add("wise", {"X-Signature-SHA256": rsa_b64(BODY)}, secret=RSA_PEM)
add("fireblocks", {"Fireblocks-Signature": rsa_b64(BODY, "sha512")}, secret=RSA_PEM)
add("freshchat", {"X-Freshchat-Signature": rsa_b64(BODY)}, secret=RSA_PEM)
headers = {"Wechatpay-Timestamp": str(T), "Wechatpay-Nonce": "n1"}
add("wechat_pay", headers | {"Wechatpay-Signature": rsa_b64(f"{T}\nn1\n{BODY}\n")}, secret=RSA_PEM)
stamp = "2023-11-14T22:13:20Z"
headers = {"Kick-Event-Message-Id": "m1", "Kick-Event-Message-Timestamp": stamp}
add("kick", headers | {"Kick-Event-Signature": rsa_b64(f"m1.{stamp}.{BODY}")}, secret=RSA_PEM)
payload = '{"id":1,"state":"passed"}'
add("travis_ci", FORM_TYPE | {"Signature": rsa_b64(payload, "sha1")}, secret=RSA_PEM, body=urlencode({"payload": payload}))
fields = {"alert_id": "7", "alert_name": "z\u00e9"}
serialised = 'a:2:{s:8:"alert_id";s:1:"7";s:10:"alert_name";s:3:"z\u00e9";}'
add("paddle_classic", FORM_TYPE, secret=RSA_PEM, body=urlencode(fields | {"p_signature": rsa_b64(serialised, "sha1")}))
fields = {"trade_status": "OK", "notify_id": "7", "empty": ""}
signed = "notify_id=7&trade_status=OK"
add("alipay", FORM_TYPE, secret=RSA_PEM, body=urlencode(fields | {"sign": rsa_b64(signed), "sign_type": "RSA2"}))
stamp = str(T)
headers = {"X-Twilio-Email-Event-Webhook-Timestamp": stamp}
signature = base64.b64encode(ec_der(stamp + BODY + "\r\n")).decode()
key = base64.b64encode(spki(EC_KEY.public_key())).decode()
add("sendgrid", headers | {"X-Twilio-Email-Event-Webhook-Signature": signature}, secret=key, body=BODY + "\r\n")
add("circle", {"X-Circle-Signature": base64.b64encode(ec_der(BODY)).decode()}, secret=key)
envelope = {"alg": "ecdsa", "kid": "k1", "signature": base64.b64encode(ec_der(BODY, hashes.SHA1())).decode(), "digest": "SHA1"}
add("ebay", {"X-EBAY-SIGNATURE": base64.b64encode(json.dumps(envelope).encode()).decode()}, secret=EC_PEM)
headers = {"X-Signature-Timestamp": str(T)}
add("discord", headers | {"X-Signature-Ed25519": ED_KEY.sign(f"{T}{BODY}".encode()).hex()}, secret=ED_RAW.hex())
headers = {"telnyx-timestamp": str(T)}
signature = base64.b64encode(ED_KEY.sign(f"{T}|{BODY}".encode())).decode()
add("telnyx", headers | {"telnyx-signature-ed25519": signature}, secret=base64.b64encode(ED_RAW).decode())
headers = {"X-Fal-Webhook-Request-Id": "r1", "X-Fal-Webhook-User-Id": "u1", "X-Fal-Webhook-Timestamp": str(T)}
signature = ED_KEY.sign(f"r1\nu1\n{T}\n{sha(BODY)}".encode()).hex()
add("fal_ai", headers | {"X-Fal-Webhook-Signature": signature}, secret=json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": b64url(ED_RAW)}]}))
digest = f"sha-256=:{base64.b64encode(hashlib.sha256(BODY.encode()).digest()).decode()}:"
parameters = f'("content-digest");created={T};alg="ed25519";keyid="k1"'
signature = base64.b64encode(ED_KEY.sign(f'"content-digest": {digest}\n"@signature-params": {parameters}'.encode())).decode()
headers = {"Content-Digest": digest, "Signature-Input": f"sig_1={parameters}", "Signature": f"sig_1=:{signature}:"}
add("mailchannels", headers, secret=base64.b64encode(ED_RAW).decode())

digest = base64.b64encode(hashlib.sha256(BODY.encode()).digest()).decode()
signed = f"(request-target): post /ingest/abc?x=1\nhost: hooks.example.com\ndate: {IMF}\ndigest: sha-256={digest}"
signature = base64.b64encode(ED_KEY.sign(signed.encode())).decode()
pairs = f'keyid="a1", algorithm="ed25519", signature="{signature}", headers="(request-target) host date digest"'
add("keygen", {"Date": IMF, "Digest": f"sha-256={digest}", "Keygen-Signature": pairs}, secret=ED_RAW.hex())

# Rows whose key is fetched for the request: what is signed is checked with a document beside it.
transmission = f"t1|{RFC}|WH-1|{zlib.crc32(BODY.encode())}"
headers = {
    "PAYPAL-TRANSMISSION-ID": "t1",
    "PAYPAL-TRANSMISSION-TIME": RFC,
    "PAYPAL-CERT-URL": "https://api.paypal.com/v1/notifications/certs/CERT-1",
    "PAYPAL-TRANSMISSION-SIG": rsa_b64(transmission),
}
add("paypal", headers, secret="WH-1")
message = {"Type": "Notification", "MessageId": "m1", "TopicArn": "arn", "Message": "hi\n\u00eb", "Timestamp": "2023-11-14T22:13:20.123Z"}
signed = "".join(f"{key}\n{message[key]}\n" for key in sorted(message))
message |= {
    "SignatureVersion": "2",
    "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
    "Signature": rsa_b64(signed),
}
add("aws_sns", {}, secret="unused", body=json.dumps(message))
claims = FRESH | {"iss": "https://accounts.google.com", "aud": "https://hooks.example.com/", "email_verified": True}
add("google_pubsub", {"Authorization": "Bearer " + jwt(claims, "RS256")}, secret="https://hooks.example.com/")
claims = FRESH | {"request_body_sha256": sha(BODY)}
add("plaid", {"Plaid-Verification": jwt(claims, "ES256")}, secret="client:secret")


documents = {
    "paypal": certificate("messageverificationcerts.paypal.com"),
    "aws_sns": certificate("sns.amazonaws.com"),
    "google_pubsub": RSA_PEM,
}
pathlib.Path(__file__).with_name("certificate.pem").write_text(documents["aws_sns"])
x = EC_KEY.public_key().public_numbers()
jwk = {"kty": "EC", "crv": "P-256", "x": b64url(x.x.to_bytes(32, "big")), "y": b64url(x.y.to_bytes(32, "big"))}
documents["plaid"] = json.dumps({"key": jwk, "request_id": "r"})
for row in rows:
    if row["provider"] in documents:
        row["key_document"] = documents[row["provider"]]

rows.sort(key=lambda row: row["id"])
lines = ",\n".join(" " + json.dumps(row) for row in rows)
pathlib.Path(__file__).with_name("rows.json").write_text(f"[\n{lines}\n]\n")
print(len(rows), "vectors")

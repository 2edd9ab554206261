//! Endpoints that want a token: asked for, kept, renewed, and an attempt that failed where there is none.

use inlet_tests::{Answer, Endpoint, Project};
use serde_json::{Value, json};

use crate::gateway;

fn client(at: &Endpoint) -> Value {
    json!({"type": "oauth2", "oauth2": {
        "url": at.url("/token"), "client_id": "inlet", "client_secret": "a-secret-of-the-client",
        "grant_type": "client_credentials", "scope": "write all", "audience": "them",
    }})
}

fn token(name: &str, seconds: u64) -> Answer {
    let body = json!({"access_token": name, "token_type": "bearer", "expires_in": seconds});
    Answer::ok().header("Content-Type", "application/json").body(body.to_string())
}

fn project(attempts: u32) -> Project<'static> {
    let strategy = json!({"type": "linear", "duration": 1, "retry_count": attempts});
    gateway().project_with(json!({"strategy": strategy}))
}

fn send(project: &Project<'_>, source: &Value) -> String {
    let answer = project.ingest(source, b"{}").expect(200).json();
    answer["event_id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_token_is_fetched_once_and_sent_until_it_ends() {
    let project = project(3);
    let issuer = Endpoint::answering(&[token("first", 3600)]);
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    let created =
        project.route_with(&source, &endpoint, json!({"authentication": client(&issuer)}));
    let shown = &created["authentication"]["oauth2"];
    assert_eq!(
        (&shown["client_id"], &shown["client_secret"]),
        (&json!("inlet"), &json!("********ient"))
    );
    for _ in 0..3 {
        let event = send(&project, &source);
        let delivery = project.wait_for_delivery(&event, "Success");
        let attempt = &project.attempts(delivery["uid"].as_str().expect("a uid"))[0];
        assert_eq!(attempt["request_http_header"]["authorization"], "********");
    }
    let received = endpoint.received();
    assert!(
        received.iter().all(|one| one.header("authorization") == Some("Bearer first")),
        "{received:?}"
    );
    let asked = issuer.received();
    assert_eq!(
        asked[0].text(),
        "grant_type=client_credentials&client_id=inlet&client_secret=a-secret-of-the-client&scope=write+all&audience=them"
    );
    assert_eq!(asked[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(asked.len(), 1);
}

#[test]
fn a_token_that_ends_at_once_is_fetched_for_each_call() {
    let project = project(3);
    let issuer = Endpoint::answering(&[token("first", 0), token("second", 0)]);
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    project.route_with(&source, &endpoint, json!({"authentication": client(&issuer)}));
    for name in ["Bearer first", "Bearer second"] {
        endpoint.take();
        send(&project, &source);
        assert_eq!(endpoint.wait_for_one().header("authorization"), Some(name));
    }
}

#[test]
fn a_token_that_the_endpoint_no_longer_takes_is_replaced_within_the_attempt() {
    let project = project(3);
    let issuer = Endpoint::answering(&[token("first", 3600), token("second", 3600)]);
    let endpoint = Endpoint::answering(&[Answer::ok(), Answer::status(401), Answer::ok()]);
    let source = project.open_source();
    project.route_with(&source, &endpoint, json!({"authentication": client(&issuer)}));
    let first = send(&project, &source);
    project.wait_for_delivery(&first, "Success");
    let second = send(&project, &source);
    let delivery = project.wait_for_delivery(&second, "Success");
    assert_eq!(delivery["metadata"]["num_trials"], 1);
    let tokens: Vec<_> = endpoint
        .received()
        .iter()
        .map(|one| one.header("authorization").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(tokens, ["Bearer first", "Bearer first", "Bearer second"]);
}

#[test]
fn where_there_is_no_token_the_attempt_has_failed_and_says_why() {
    let project = project(10);
    let refused = Answer::status(401).body(r#"{"error":"invalid_client"}"#);
    let issuer = Endpoint::answering(&[refused, token("late", 3600)]);
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    project.route_with(&source, &endpoint, json!({"authentication": client(&issuer)}));
    let event = send(&project, &source);
    let delivery = project.wait_for_delivery(&event, "Success");
    let attempts = project.attempts(delivery["uid"].as_str().expect("a uid"));
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    assert_eq!(
        attempts[0]["error"],
        "no OAuth token: the token endpoint answered 401: invalid_client"
    );
    assert_eq!(endpoint.count(), 1, "nothing was sent without a token");
    assert!(!json!(attempts).to_string().contains("a-secret-of-the-client"));
}

#[test]
fn a_client_can_be_tested_before_it_is_used() {
    let project = gateway().project();
    let issuer = Endpoint::answering(&[token("a-token", 60), Answer::status(500)]);
    let test = json!({"oauth2": client(&issuer)["oauth2"]});
    let data = project.post("/endpoints/oauth2/test", &test).expect(200).data();
    assert_eq!((&data["success"], &data["token_type"]), (&json!(true), &json!("Bearer")), "{data}");
    assert!(!data.to_string().contains("a-token"));
    let data = project.post("/endpoints/oauth2/test", &test).expect(200).data();
    assert_eq!(data["success"], false);
    assert_eq!(data["error"], "the token endpoint answered 500");
    for (body, expect) in [
        (json!({}), "oauth2:is required"),
        (
            json!({"oauth2": {"url": "ftp://example.com/", "client_id": "a", "client_secret": "b"}}),
            "oauth2.url:invalid",
        ),
        (json!({"oauth2": {"url": issuer.url("/"), "client_id": "a"}}), "client_secret"),
        (
            json!({"oauth2": {"url": issuer.url("/"), "client_id": "a", "client_secret": "********"}}),
            "masked",
        ),
        (
            json!({"oauth2": {"url": issuer.url("/"), "client_id": "a", "authentication_type": "client_assertion"}}),
            "signing_key",
        ),
    ] {
        let reply = project.post("/endpoints/oauth2/test", &body).expect(400);
        assert!(reply.message().contains(expect), "{body}: {}", reply.message());
    }
}

/// The example key of RFC 7515, appendix A.3.
const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

/// Whether Node, which is not us, believes a JWT that this public key is to have signed.
fn is_believed(jwt: &str, algorithm: &str, key: &Value) -> bool {
    let code = "const [jwt, algorithm, key] = process.argv.slice(1); const [h, c, s] = jwt.split('.'); const crypto = require('crypto'); \
        const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = crypto.constants; \
        const how = {E: {dsaEncoding: 'ieee-p1363'}, R: {}, P: {padding, saltLength}}[algorithm[0]]; \
        const said = JSON.parse(Buffer.from(h, 'base64url')).alg === algorithm; \
        console.log(said && crypto.verify('sha' + algorithm.slice(2), Buffer.from(h + '.' + c), \
        {key: crypto.createPublicKey({key: JSON.parse(key), format: 'jwk'}), ...how}, Buffer.from(s, 'base64url')))";
    node(code, &[jwt, algorithm, &key.to_string()]) == "true"
}

/// What a script prints.
fn node(code: &str, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new("node");
    let done = command.args(["-e", code]).args(arguments).output().expect("node");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// A key that Node makes: the private one, and the public one.
fn new_key(kind: &str) -> [Value; 2] {
    let code = "const kind = process.argv[1]; const crypto = require('crypto'); \
        const made = kind === 'rsa' ? crypto.generateKeyPairSync('rsa', {modulusLength: 2048}) \
        : crypto.generateKeyPairSync('ec', {namedCurve: kind}); \
        console.log(JSON.stringify([made.privateKey, made.publicKey].map((key) => key.export({format: 'jwk'}))))";
    serde_json::from_str(&node(code, &[kind])).expect("two keys")
}

#[test]
fn a_client_may_sign_in_place_of_a_secret() {
    let project = project(3);
    let issuer = Endpoint::answering(&[token("signed-for", 3600)]);
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    let key = json!({"kty": "EC", "crv": "P-256", "kid": "one", "x": X, "y": Y, "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"});
    let with = json!({"authentication": {"type": "oauth2", "oauth2": {"url": issuer.url("/token"), "client_id": "inlet",
        "authentication_type": "client_assertion", "signing_key": key, "subject": "me"}}});
    let created = project.route_with(&source, &endpoint, with);
    let shown = created["authentication"].clone();
    assert_eq!(shown["oauth2"]["signing_key"], json!({"kty": "EC", "kid": "one", "d": "********"}));
    let at = format!("/endpoints/{}", created["uid"].as_str().expect("a uid"));
    assert!(!project.get(&at).text().contains("jpsQ"));
    // What was read can be sent back.
    project.put(&at, &json!({"authentication": shown})).expect(202);
    let event = send(&project, &source);
    project.wait_for_delivery(&event, "Success");
    assert_eq!(endpoint.received()[0].header("authorization"), Some("Bearer signed-for"));
    let asked = issuer.received()[0].text();
    let jwt = asked.split('&').find_map(|pair| pair.strip_prefix("client_assertion="));
    let jwt = jwt.expect("an assertion");
    assert!(!asked.contains("client_secret") && asked.contains("jwt-bearer"), "{asked}");
    assert!(
        is_believed(jwt, "ES256", &json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y})),
        "{jwt}"
    );
    assert!(!is_believed(
        jwt,
        "ES256",
        &json!({"kty": "EC", "crv": "P-256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"})
    ));

    let mut other = shown;
    other["oauth2"]["signing_algorithm"] = json!("ES384");
    let refused = project.put(&at, &json!({"authentication": other})).expect(400).message();
    assert!(refused.contains("send it whole"), "{refused}");
    let test = json!({"oauth2": {"url": issuer.url("/token"), "client_id": "inlet", "authentication_type": "client_assertion",
        "signing_key": {"kty": "EC", "crv": "P-256", "x": X, "y": X, "d": "AAAA"}}});
    let tested = project.post("/endpoints/oauth2/test", &test).expect(200).data();
    assert_eq!(tested["success"], false);
    assert!(
        tested["error"].as_str().is_some_and(|error| error.contains("signing_key")),
        "{tested}"
    );
}

#[test]
fn a_client_signs_by_the_algorithm_that_it_names() {
    let project = project(3);
    for (algorithm, kind) in [
        ("ES256", "prime256v1"),
        ("ES384", "secp384r1"),
        ("ES512", "secp521r1"),
        ("RS256", "rsa"),
        ("RS512", "rsa"),
        ("PS256", "rsa"),
        ("PS384", "rsa"),
    ] {
        let [private, public] = new_key(kind);
        let issuer = Endpoint::answering(&[token("signed-for", 3600)]);
        let test = json!({"oauth2": {"url": issuer.url("/token"), "client_id": "inlet",
            "authentication_type": "client_assertion", "signing_algorithm": algorithm, "signing_key": private}});
        let tested = project.post("/endpoints/oauth2/test", &test).expect(200).data();
        assert_eq!(tested["success"], true, "{algorithm}: {tested}");
        let asked = issuer.received()[0].text();
        let jwt = asked.split('&').find_map(|pair| pair.strip_prefix("client_assertion="));
        let jwt = jwt.expect("an assertion");
        assert!(is_believed(jwt, algorithm, &public), "{algorithm}: {jwt}");
        let [_, of_another] = new_key(kind);
        assert!(
            !is_believed(jwt, algorithm, &of_another),
            "{algorithm}: the test believes anybody"
        );

        // A key of the other kind is refused with what is needed.
        let (other, needs) = if kind == "rsa" { ("prime256v1", "RSA") } else { ("rsa", "EC") };
        let mut wrong = test.clone();
        wrong["oauth2"]["signing_key"] = new_key(other)[0].clone();
        let refused = project.post("/endpoints/oauth2/test", &wrong).expect(400).message();
        let expect = format!("{algorithm} needs a key of the type {needs}");
        assert!(refused.contains(&expect), "{refused}");
    }
}

//! Portal links: what the owner who holds a token sees and may do, and that it is nothing of others.

use inlet_tests::{Endpoint, Project, Reply, poll_until, uid};
use serde_json::{Value, json};

use crate::gateway;

fn outgoing() -> Project<'static> {
    gateway().outgoing(json!({}))
}

/// An owner with one endpoint and a link to it.
struct Tenant<'p> {
    project: &'p Project<'static>,
    server: Endpoint,
    endpoint: String,
    token: String,
}

impl<'p> Tenant<'p> {
    #[track_caller]
    fn new(project: &'p Project<'static>, owner: &str, can_manage: bool) -> Self {
        let server = Endpoint::ok();
        let body = json!({"name": owner, "url": server.url("/hook"), "owner_id": owner});
        let endpoint = uid(&project.endpoint(body));
        let link = link(project, json!({"owner_id": owner, "can_manage_endpoint": can_manage}));
        let token = link["token"].as_str().expect("a token").to_owned();
        Self { project, server, endpoint, token }
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Reply {
        let call = gateway().call(method, &format!("/portal-api{path}")).bearer(&self.token);
        if method == "GET" { call.send() } else { call.json(body).send() }
    }

    fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &Value::Null)
    }

    #[track_caller]
    fn list(&self, path: &str) -> Vec<Value> {
        self.get(path).expect(200).data()["content"].as_array().expect("a list").clone()
    }

    /// An event for the tenant's endpoint, delivered.
    #[track_caller]
    fn event(&self, data: Value) -> (String, String) {
        let body = json!({"endpoint_id": self.endpoint, "event_type": "t", "data": data,
            "custom_headers": {"Authorization": "Bearer of-the-sender", "X-Own": "1"}});
        let event = uid(&self.project.post("/events", &body).expect(201).data());
        let delivery = self.project.wait_for_delivery(&event, "Success");
        (event, uid(&delivery))
    }
}

#[track_caller]
fn link(project: &Project<'_>, fields: Value) -> Value {
    let mut body = json!({"name": "portal"});
    for (name, value) in fields.as_object().expect("fields") {
        body[name] = value.clone();
    }
    let reply = project.post("/portal-links", &body).expect(201);
    assert_eq!(reply.message(), "Portal link created successfully");
    reply.data()
}

#[test]
fn portal_links_are_created_listed_changed_and_revoked() {
    let project = outgoing();
    let tenant = Tenant::new(&project, "o1", false);
    let created = link(&project, json!({"owner_id": "o1"}));
    let path = format!("/portal-links/{}", uid(&created));
    assert_eq!(
        (&created["endpoint_count"], &created["auth_type"]),
        (&json!(1), &json!("static_token"))
    );
    let token = created["token"].as_str().unwrap();
    assert_eq!(created["url"], format!("{}/portal?token={token}", gateway().url()));

    let shown = project.get(&path).expect(200);
    assert_eq!(shown.message(), "Portal link fetched successfully");
    assert_eq!(shown.data()["url"], created["url"], "the URL can be read again");
    link(&project, json!({"owner_id": "o2"}));
    assert_eq!(project.list("/portal-links").len(), 3);
    assert_eq!(project.list("/portal-links?ownerId=o1").len(), 2);
    assert_eq!(project.list("/portal-links?perPage=2").len(), 2);
    assert_eq!(project.list("/portal-links?ownerId=o1")[0]["endpoints"], json!([tenant.endpoint]));

    // What was read can be sent back, as clients do that change a name; another list cannot.
    let mut back = shown.data();
    back["name"] = json!("named");
    assert_eq!(project.put(&path, &back).expect(202).data()["name"], "named");
    back["endpoints"] = json!(["none"]);
    assert!(project.put(&path, &back).expect(400).message().starts_with("endpoints:"));

    let reply = project.put(&path, &json!({"name": "other", "owner_id": "o2"})).expect(202);
    assert_eq!(reply.message(), "Portal link updated successfully");
    assert_eq!(
        (&reply.data()["name"], &reply.data()["endpoint_count"]),
        (&json!("other"), &json!(0))
    );

    let opens = |token: &str| gateway().call("GET", "/portal-api/endpoints").bearer(token).send();
    assert_eq!(opens(token).expect(401).message(), "authorization failed", "it was o1's");
    let data = reply.data();
    let token = data["token"].as_str().unwrap();
    assert_eq!(opens(token).expect(200).data()["content"], json!([]), "o2 has none");
    let same = json!({"name": "third", "owner_id": "o2", "can_manage_endpoint": true});
    assert_eq!(project.put(&path, &same).expect(202).data()["token"], token);
    let endpoints = || opens(token);
    endpoints().expect(200);
    let reply = project.put(&format!("{path}/revoke"), &json!({})).expect(200);
    assert_eq!(reply.message(), "Portal link revoked successfully");
    assert_eq!(endpoints().expect(401).message(), "authorization failed");
    assert_eq!(project.get(&path).expect(404).message(), "Resource not found");
    project.put(&format!("{path}/revoke"), &json!({})).expect(404);
    assert_eq!(project.list("/portal-links").len(), 2);

    for body in [
        json!({}),
        json!({"name": "a"}),
        json!({"owner_id": "o"}),
        json!([]),
        json!({"name": "a", "owner_id": "o", "auth_type": "magic"}),
        json!({"name": "a", "owner_id": "o", "endpoints": ["e"]}),
        json!({"name": 1, "owner_id": "o"}),
    ] {
        project.post("/portal-links", &body).expect(400);
    }
    let foreign = outgoing();
    foreign
        .get(&format!("/portal-links/{}", uid(&link(&project, json!({"owner_id": "o"})))))
        .expect(404);
}

#[test]
fn the_url_of_a_link_leads_to_a_page_that_needs_nothing_else() {
    let project = outgoing();
    let created = link(&project, json!({"owner_id": "o"}));
    let url = created["url"].as_str().unwrap();
    let page = gateway().get(url.strip_prefix(gateway().url()).unwrap()).expect(200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").expect("a policy");
    let nonce = policy.split("script-src 'nonce-").nth(1).and_then(|rest| rest.split('\'').next());
    let nonce = nonce.expect("a nonce");
    let text = page.text();
    assert!(text.contains(&format!("<script nonce=\"{nonce}\">")) && !text.contains("{nonce}"));
    for outside in ["http://", "https://", "src=", "href=", "@import", "url("] {
        assert!(!text.contains(outside), "the page asks for {outside}");
    }
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "the token stands in the URL");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let again = gateway().get("/portal").expect(200);
    assert!(!again.text().contains(nonce), "a nonce is for once");
}

#[test]
fn stored_tokens_open_nothing() {
    let project = outgoing();
    let created = link(&project, json!({"owner_id": "o"}));
    let token = created["token"].as_str().unwrap();
    for table in ["portal_links", "portal_tokens"] {
        let rows = gateway().sql(
            "DB",
            &format!("SELECT * FROM {table} WHERE project_id = ?1"),
            &[json!(project.uid)],
        );
        assert_eq!(rows.len(), 1);
        let text = json!(rows).to_string();
        assert!(!text.contains(&token[4..]), "{text}");
        let hash = rows[0]["hash"].as_str().unwrap_or("PRT.x.y");
        gateway().call("GET", "/portal-api/endpoints").bearer(hash).send().expect(401);
    }
}

#[test]
fn refreshed_tokens_open_the_portal_until_they_end() {
    let project = outgoing();
    let created = link(&project, json!({"owner_id": "o", "auth_type": "refresh_token"}));
    let path = format!("/portal-links/{}", uid(&created));
    let first = created["auth_key"].as_str().expect("a token").to_owned();
    assert!(created["url"].as_str().unwrap().ends_with(&format!("&auth_token={first}")));
    let opens =
        |token: &str| gateway().call("GET", "/portal-api/endpoints").bearer(token).send().status;
    assert_eq!(opens(&first), 200);
    assert_eq!(opens(created["token"].as_str().unwrap()), 401, "the link's own name is no key");
    let shown = project.get(&path).expect(200).text();
    assert!(!shown.contains(&first), "{shown}");
    let second = project.get(&format!("{path}/refresh_token")).expect(200).data();
    let second = second.as_str().expect("a token");
    assert_eq!((opens(&first), opens(second)), (200, 200));
    let end = "UPDATE portal_tokens SET expires_at = 1 WHERE project_id = ?1";
    gateway().sql("DB", end, &[json!(project.uid)]);
    assert_eq!((opens(&first), opens(second)), (401, 401));
    let third = project.get(&format!("{path}/refresh_token")).expect(200).data();
    assert_eq!(opens(third.as_str().unwrap()), 200);
    let count = gateway().sql(
        "DB",
        "SELECT * FROM portal_tokens WHERE project_id = ?1",
        &[json!(project.uid)],
    );
    assert_eq!(count.len(), 1, "those that have ended are forgotten");
    let update = json!({"auth_type": "static_token"});
    let fixed = project.put(&path, &update).expect(202).data();
    assert_eq!(
        (opens(third.as_str().unwrap()), opens(fixed["token"].as_str().unwrap())),
        (401, 200)
    );
    project.get(&format!("{path}/refresh_token")).expect(400);
}

#[test]
fn an_owner_sees_their_own_by_both_paths_and_by_query() {
    let project = outgoing();
    let (a, b) = (Tenant::new(&project, "a", false), Tenant::new(&project, "b", false));
    let (event, delivery) = a.event(json!({"n": 1}));
    b.event(json!({"n": 2}));
    let ids = |list: Vec<Value>| list.iter().map(uid).collect::<Vec<_>>();
    assert_eq!(ids(a.list("/endpoints")), [a.endpoint.as_str()]);
    assert_eq!(ids(a.list("/endpoints?ownerId=a")), [a.endpoint.as_str()]);
    assert_eq!(ids(a.list("/events")), [event.as_str()]);
    assert_eq!(ids(a.list("/events?ownerId=a")), [event.as_str()]);
    assert_eq!(ids(a.list("/eventdeliveries?ownerId=a")), [delivery.as_str()]);
    let sources = gateway().call("GET", "/v1/sources").bearer(&a.token).send().expect(403);
    assert!(
        sources.text().contains("the token of a portal link opens no sources"),
        "{}",
        sources.text()
    );
    for path in ["/endpoints", "/events", "/eventdeliveries", "/subscriptions"] {
        a.get(&format!("{path}?ownerId=b")).expect(401);
    }
    let all = project.list("/eventdeliveries").len();
    assert_eq!(all, 2, "the project sees both");
    assert_eq!(ids(project.list("/eventdeliveries?ownerId=a")), [delivery.as_str()]);
    let retried = "/eventdeliveries/countbatchretryevents?ownerId=nobody";
    assert_eq!(project.get(retried).expect(200).data()["num"], 0);
    assert_eq!(ids(a.list("/events?query=n")), [event.as_str()]);
    assert_eq!(ids(a.list("/eventdeliveries")), [delivery.as_str()]);
    a.get("/event-types").expect(200);
    assert_eq!(a.get("/portal_link").expect(200).data()["owner_id"], "a");
    assert_eq!(
        a.get("/eventdeliveries/countbatchretryevents?status=Success").expect(200).data()["num"],
        0
    );

    let shown = a.get(&format!("/events/{event}")).expect(200).data();
    assert_eq!(shown["headers"]["Authorization"], json!(["********"]));
    assert_eq!(shown["headers"]["X-Own"], json!(["1"]));
    assert_eq!(a.list("/events")[0]["headers"]["Authorization"], json!(["********"]));
    let attempts =
        a.get(&format!("/eventdeliveries/{delivery}/deliveryattempts")).expect(200).data();
    assert_eq!(attempts[0]["request_http_header"]["authorization"], "********");

    let in_project = format!("/api/v1/projects/{}/endpoints", project.uid);
    let with_bearer = gateway().call("GET", &in_project).bearer(&a.token).send().expect(200).data();
    assert_eq!(with_bearer["content"].as_array().unwrap().len(), 1);
    let in_query = gateway().get(&format!("/portal-api/endpoints?token={}", a.token)).expect(200);
    assert_eq!(in_query.data()["content"].as_array().unwrap().len(), 1);
    // A key of the API in a URL would end up in logs.
    gateway().get(&format!("{in_project}?token={}", project.key)).expect(401);
    gateway().call("GET", "/portal-api/endpoints").bearer(&project.key).send().expect(401);
    let other = format!("/api/v1/projects/{}/endpoints", outgoing().uid);
    gateway().call("GET", &other).bearer(&a.token).send().expect(403);
}

#[test]
fn nothing_of_another_tenant_can_be_read_or_sent_again() {
    let project = outgoing();
    let (a, b) = (Tenant::new(&project, "a", true), Tenant::new(&project, "b", true));
    let (_, own) = a.event(json!(1));
    let (event, delivery) = b.event(json!(2));
    let subscription = project.subscription(json!({"name": "b", "endpoint_id": b.endpoint}));
    let (sub, end) =
        (format!("/subscriptions/{}", uid(&subscription)), format!("/endpoints/{}", b.endpoint));
    let at = format!("/eventdeliveries/{delivery}");
    let attempt = uid(&project.attempts(&delivery)[0]);
    let seen = b.server.count();
    let body = json!({"name": "x", "url": "https://example.com/", "endpoint_id": b.endpoint});
    for (method, path, body) in [
        ("GET", format!("/events/{event}"), json!({})),
        ("GET", at.clone(), json!({})),
        ("GET", format!("{at}/deliveryattempts"), json!({})),
        ("GET", format!("{at}/deliveryattempts/{attempt}"), json!({})),
        ("PUT", format!("{at}/resend"), json!({})),
        ("POST", "/eventdeliveries/forceresend".into(), json!({"ids": [delivery]})),
        ("POST", "/eventdeliveries/forceresend".into(), json!({"ids": [own, delivery]})),
        ("GET", sub.clone(), json!({})),
        ("PUT", sub.clone(), json!({"name": "mine", "endpoint_id": a.endpoint})),
        ("GET", format!("{sub}/filters"), json!({})),
        ("POST", format!("{sub}/filters"), json!({"event_type": "t"})),
        ("POST", format!("{sub}/filters/test/t"), json!({})),
        ("PUT", format!("{sub}/toggle_status"), json!({})),
        ("DELETE", sub, json!({})),
        ("POST", "/subscriptions".into(), body.clone()),
        ("GET", end.clone(), json!({})),
        ("PUT", end.clone(), body.clone()),
        ("DELETE", end.clone(), json!({})),
        ("PUT", format!("{end}/pause"), json!({})),
        ("PUT", format!("{end}/expire_secret"), json!({})),
        ("GET", format!("/events?endpointId={}", b.endpoint), json!({})),
        ("GET", format!("/eventdeliveries?endpointId={}", b.endpoint), json!({})),
        (
            "POST",
            "/events".into(),
            json!({"endpoint_id": b.endpoint, "event_type": "t", "data": 1}),
        ),
        ("POST", "/events/fanout".into(), json!({"owner_id": "a", "event_type": "t", "data": 1})),
        ("POST", "/events/broadcast".into(), json!({"event_type": "t", "data": 1})),
        (
            "POST",
            "/events/dynamic".into(),
            json!({"url": a.server.url("/"), "event_type": "t", "data": 1}),
        ),
        ("POST", "/events/batch".into(), json!([])),
        ("PUT", format!("/events/{event}/replay"), json!({})),
        ("GET", "/sources".into(), json!({})),
        ("GET", "/portal-links".into(), json!({})),
        ("GET", "/eventdeliveries/no-such".into(), json!({})),
    ] {
        let reply = a.call(method, &path, &body);
        assert_eq!(
            (reply.status, reply.message().as_str()),
            (401, "unauthorized"),
            "{method} {path}: {}",
            reply.text()
        );
    }
    let retried = a.call("POST", "/eventdeliveries/batchretry", &json!({})).expect(200).data();
    assert_eq!(retried["num"], 0);
    assert_eq!(b.list("/subscriptions").len(), 1);
    assert_eq!(a.list("/subscriptions").len(), 0);
    let resent = a.call("POST", "/eventdeliveries/forceresend", &json!({"ids": [own]})).expect(200);
    assert_eq!(resent.message(), "1 successful, 0 failed");
    poll_until("the forced call", || (a.server.count() == 2).then_some(()));
    assert_eq!(b.server.count(), seen);
    let project_path = format!("/api/v1/projects/{}", project.uid);
    for method in ["GET", "PUT"] {
        gateway().call(method, &project_path).bearer(&a.token).json(&json!({})).send().expect(401);
    }
    gateway().call("POST", "/api/v1/projects").bearer(&a.token).json(&json!({})).send().expect(403);
}

#[test]
fn endpoints_are_managed_only_where_the_link_says_so_and_stay_with_their_owner() {
    let project = outgoing();
    let (reader, manager) = (Tenant::new(&project, "r", false), Tenant::new(&project, "m", true));
    let body = json!({"name": "new", "url": "http://127.0.0.1:9/", "owner_id": "r"});
    reader.call("POST", "/endpoints", &body).expect(403);
    let own = format!("/endpoints/{}", reader.endpoint);
    for (method, path) in [
        ("PUT", own.clone()),
        ("DELETE", own.clone()),
        ("PUT", format!("{own}/pause")),
        ("POST", format!("{own}/activate")),
        ("PUT", format!("{own}/expire_secret")),
    ] {
        reader.call(method, &path, &json!({})).expect(403);
    }
    let created = manager.call("POST", "/endpoints", &body).expect(201).data();
    assert_eq!(created["owner_id"], "m", "whatever the body says");
    let path = format!("/endpoints/{}", uid(&created));
    let updated =
        manager.call("PUT", &path, &json!({"name": "n2", "owner_id": "r"})).expect(202).data();
    assert_eq!((&updated["owner_id"], &updated["name"]), (&json!("m"), &json!("n2")));
    assert_eq!(manager.list("/endpoints").len(), 2);
    let secret = |endpoint: &Value| {
        let all = endpoint["secrets"].as_array().unwrap();
        all.last().unwrap()["value"].as_str().unwrap().to_owned()
    };
    let exchange = format!("{path}/expire_secret");
    let exchanged = manager.call("PUT", &exchange, &json!({"expiration": 1})).expect(200).data();
    assert_ne!(secret(&created), secret(&exchanged));
    let seen =
        manager.list("/endpoints").into_iter().chain([manager.get(&path).expect(200).data()]);
    for endpoint in seen {
        assert!(secret(&endpoint).starts_with("********"), "a secret is shown once: {endpoint}");
    }
    let subscribed = json!({"name": "s", "endpoint_id": uid(&created)});
    let subscription = manager.call("POST", "/subscriptions", &subscribed).expect(201).data();
    manager.call("PUT", &format!("/subscriptions/{}", uid(&subscription)), &subscribed).expect(202);
    let named = json!({"name": "s", "endpoint_id": uid(&created), "filter_config": {"event_types": ["made-up"]}});
    manager.call("PUT", &format!("/subscriptions/{}", uid(&subscription)), &named).expect(202);
    let types = project.get("/event-types").expect(200).data().to_string();
    assert!(!types.contains("made-up"), "an owner adds none to the project's: {types}");
    manager
        .call(
            "PUT",
            &format!("/subscriptions/{}", uid(&subscription)),
            &json!({"filter_config": {"event_types": ["*"]}}),
        )
        .expect(202);
    let filter = json!({"event_type": "t", "body": {"a": 1}});
    let filters = format!("/subscriptions/{}/filters", uid(&subscription));
    manager.call("POST", &filters, &filter).expect(201);
    let mut sourced = subscribed;
    sourced["source_id"] = uid(&project.open_source()).into();
    manager.call("POST", "/subscriptions", &sourced).expect(403);
    let own = format!("/subscriptions/{}", uid(&subscription));
    manager.call("DELETE", &own, &json!({})).expect(200);
    // What the project lets through from a source, its filters say: they are not the owner's to change.
    let bound = format!("/subscriptions/{}", uid(&project.subscription(sourced)));
    manager.call("GET", &format!("{bound}/filters"), &json!({})).expect(200);
    for (method, path) in [
        ("PUT", bound.clone()),
        ("PUT", format!("{bound}/toggle_status")),
        ("POST", format!("{bound}/filters")),
    ] {
        manager.call(method, &path, &filter).expect(401);
    }
    manager.call("DELETE", &path, &json!({})).expect(200);
    assert_eq!(manager.list("/subscriptions").len(), 0);
    manager.call("POST", "/endpoints", &json!([])).expect(400);
    reader
        .call(
            "POST",
            "/events",
            &json!({"endpoint_id": reader.endpoint, "event_type": "t", "data": 1}),
        )
        .expect(201);
    reader.server.wait_for_one();
    let keyed = json!({"endpoint_id": reader.endpoint, "event_type": "t", "data": 1, "idempotency_key": "k"});
    reader.call("POST", "/events", &keyed).expect(403);
}

#[test]
fn a_link_that_manages_no_endpoints_subscribes_those_that_are_there() {
    let project = outgoing();
    let reader = Tenant::new(&project, "r", false);
    assert_eq!(reader.get("/portal_link").expect(200).data()["project_type"], "outgoing");
    let body = json!({"name": "s", "endpoint_id": reader.endpoint,
        "filter_config": {"event_types": ["t"], "filter": {"body": {"id": 1}}}});
    let own = uid(&reader.call("POST", "/subscriptions", &body).expect(201).data());
    let path = format!("/subscriptions/{own}");
    let filter = |body: Value| json!({"filter_config": {"filter": {"body": body}}});
    let refused = reader.call("PUT", &path, &filter(json!({"id": {"$no": 1}}))).expect(400);
    assert!(refused.message().starts_with("filter_config.filter.body.id"), "{}", refused.text());
    reader.call("PUT", &path, &filter(json!({"id": {"$gt": 1}}))).expect(202);
    let wanted = json!({"request": {"body": {"id": 2}}, "schema": {"body": {"id": {"$gt": 1}}}});
    let tried = reader.call("POST", "/subscriptions/test_filter", &wanted).expect(200);
    assert_eq!(tried.data(), json!(true));
    let of_type = reader.get(&format!("{path}/filters")).expect(200).data();
    let of_type = format!("{path}/filters/{}", uid(&of_type[0]));
    let refused = reader.call("PUT", &of_type, &json!({"headers": {"a": {"$no": 1}}})).expect(400);
    assert!(refused.message().starts_with("headers.a"), "{}", refused.text());
    reader.call("PUT", &of_type, &json!({"body": {"id": {"$gt": 5}}})).expect(200);
    for id in [3, 6] {
        let event = json!({"endpoint_id": reader.endpoint, "event_type": "t", "data": {"id": id}});
        reader.call("POST", "/events", &event).expect(201);
    }
    assert_eq!(reader.server.wait_for_one().body, br#"{"id":6}"#);
    reader.call("DELETE", &path, &json!({})).expect(200);
    assert_eq!(reader.list("/subscriptions").len(), 0);
}

#[test]
fn an_incoming_project_says_so_and_subscribes_endpoints_itself() {
    let project = gateway().project();
    let tenant = Tenant::new(&project, "o", false);
    assert_eq!(tenant.get("/portal_link").expect(200).data()["project_type"], "incoming");
    let mut body = json!({"name": "s", "endpoint_id": tenant.endpoint});
    let refused = tenant.call("POST", "/subscriptions", &body).expect(400);
    assert_eq!(refused.message(), "source_id is required for incoming projects");
    body["source_id"] = uid(&project.open_source()).into();
    let path = format!("/subscriptions/{}", uid(&project.subscription(body)));
    let event = json!({"endpoint_id": tenant.endpoint, "event_type": "t", "data": 1});
    tenant.call("POST", "/events", &event).expect(201);
    tenant.server.wait_for_one();
    tenant.call("PUT", &path, &json!({"filter_config": {"event_types": ["*"]}})).expect(401);
    tenant.call("DELETE", &path, &json!({})).expect(200);
}

#[test]
fn a_dynamic_event_does_not_go_to_an_endpoint_that_an_owner_made() {
    let project = outgoing();
    let tenant = Tenant::new(&project, "o", true);
    let target = Endpoint::ok();
    let made = json!({"name": "trap", "url": target.url("/shared")});
    tenant.call("POST", "/endpoints", &made).expect(201);
    let push = json!({"url": target.url("/shared"), "event_type": "t", "data": 1});
    let event = uid(&project.post("/events/dynamic", &push).expect(201).data());
    project.wait_for_delivery(&event, "Success");
    assert_eq!(tenant.get(&format!("/events/{event}")).status, 401);
    assert_eq!(project.list("/endpoints").len(), 3);
}

/// Each list of the portal, asked in every way that could show something of another owner.
#[test]
fn no_list_shows_anything_of_another_owner_however_it_is_asked() {
    let project = outgoing();
    let (a, b) = (Tenant::new(&project, "a", true), Tenant::new(&project, "b", true));
    let theirs = project.subscription(json!({"name": "of-b", "endpoint_id": b.endpoint,
        "filter_config": {"event_types": ["t"]}}));
    project.subscription(json!({"name": "of-a", "endpoint_id": a.endpoint}));
    let (older, own) = a.event(json!({"who": "a", "secret-word": "of-a"}));
    let body = json!({"endpoint_id": b.endpoint, "event_type": "t", "data": {"who": "secret-word"}, "idempotency_key": "key-of-b"});
    let event = uid(&project.post("/events", &body).expect(201).data());
    let delivery = uid(&project.wait_for_delivery(&event, "Success"));
    let subscription = uid(&theirs);
    let hidden = [event.as_str(), &delivery, &subscription, &b.endpoint, "of-b"];
    let cursors = |id: &str| {
        [format!("next_page_cursor={id}"), format!("direction=prev&prev_page_cursor={id}")]
    };
    let every = |more: &[String]| -> Vec<String> {
        let plain = ["", "perPage=1000", "sort=asc", "sort=ASC&perPage=1000", "direction=prev"];
        plain.map(ToOwned::to_owned).into_iter().chain(more.to_vec()).collect()
    };
    let text = |text: &str| text.to_owned();
    let mut asked = 0;
    for (path, more) in [
        ("/endpoints", [&cursors(&b.endpoint)[..], &[text("q=b"), text("ownerId=")]].concat()),
        (
            "/subscriptions",
            [
                &cursors(&subscription)[..],
                &[text("name=of-b"), text("endpointId="), text("sourceId=")],
            ]
            .concat(),
        ),
        (
            "/events",
            [
                &cursors(&event)[..],
                &[
                    text("query=secret-word"),
                    text("q=who"),
                    format!("query={event}"),
                    text("query=key-of-b"),
                    text("body=%7B%22who%22%3A%22secret-word%22%7D"),
                    text("idempotencyKey=key-of-b"),
                    text("eventType=t"),
                    text("status=Success"),
                    text("sourceId="),
                    text("brokerMessageId="),
                ],
            ]
            .concat(),
        ),
        (
            "/eventdeliveries",
            [
                &cursors(&delivery)[..],
                &[
                    format!("eventId={event}"),
                    format!("subscriptionId={subscription}"),
                    text("idempotencyKey=key-of-b"),
                    text("event_type=t"),
                    text("status=Success"),
                ],
            ]
            .concat(),
        ),
    ] {
        for query in every(&more) {
            let reply = a.get(&format!("{path}?{query}")).expect(200);
            // Cursors are what the caller said.
            let shown = json!(reply.data()["content"]).to_string();
            for id in hidden {
                assert!(!shown.contains(id), "{path}?{query} shows {id}: {shown}");
            }
            asked += 1;
        }
        let whole = a.get(&format!("{path}?perPage=1000")).expect(200).data();
        assert_eq!(whole["content"].as_array().map(Vec::len), Some(1), "{path}");
    }
    assert!(asked > 30, "{asked}");
    let count = format!("/eventdeliveries/countbatchretryevents?eventId={event}");
    assert_eq!(a.get(&count).expect(200).data()["num"], 0);
    for path in [
        format!("/subscriptions/{subscription}/filters"),
        format!("/eventdeliveries/{delivery}/deliveryattempts"),
        format!("/endpoints/period-failure-rates?endpointId={}", b.endpoint),
    ] {
        a.get(&path).expect(401);
    }
    a.get(&format!("/events/{older}")).expect(200);
    a.get(&format!("/eventdeliveries/{own}/deliveryattempts")).expect(200);
}

/// Rows of others stand before what is asked for: more than one look goes over, and then more than a page does.
#[test]
fn what_stands_behind_the_rows_of_others_is_found() {
    let project = outgoing();
    let tenant = Tenant::new(&project, "o", false);
    let (event, delivery) = tenant.event(json!({"n": 1}));
    let numbered = |from: u32, until: u32, sql: &str| {
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT CAST(?2 AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?3), \
             ids(id) AS (SELECT printf('7%09d%016d', i, 0) FROM n) {sql} FROM ids"
        );
        gateway().sql("EVENTS_0", &sql, &[json!(project.uid), json!(from), json!(until)]);
    };
    let deliveries = "INSERT INTO deliveries (project_id, id, event_id, subscription_id, endpoint_id, source_id, \
        event_type, delivery_mode, status, created_at, updated_at) \
        SELECT ?1, id, 'none', '', 'of-others', '', 't', 'at_least_once', 'Success', 1, 1";
    let events = "INSERT INTO events (project_id, id, source_id, mask_id, event_type, received_at, headers, query, body, \
        is_base64, status, failure_reason) SELECT ?1, id, '', '', 't', 1, '[]', '', '{}', 0, 'Success', ''";
    let page = |path: &str| {
        let page = tenant.get(path).expect(200).data();
        let rows: Vec<String> = page["content"].as_array().unwrap().iter().map(uid).collect();
        let next = page["pagination"]["next_page_cursor"].as_str().unwrap_or_default().to_owned();
        (rows, next)
    };
    numbered(0, 12_000, deliveries);
    numbered(0, 6_000, events);
    let all = (vec![delivery.clone()], String::new());
    assert_eq!(page("/eventdeliveries"), all);
    assert_eq!(page("/events"), (vec![event], String::new()));
    let back = "direction=prev&prev_page_cursor=7ZZZZZZZZZZZZZZZZZZZZZZZZZ&sort=asc";
    assert_eq!(page(&format!("/eventdeliveries?{back}")).0, all.0);
    let fail = "UPDATE deliveries SET status = 'Failure' WHERE project_id = ?1 AND id = ?2";
    gateway().sql("EVENTS_0", fail, &[json!(project.uid), json!(delivery)]);
    let letters: Vec<String> = project.list("/dead-letters").iter().map(uid).collect();
    assert_eq!(letters, all.0);

    numbered(12_000, 60_000, deliveries);
    let (rows, cursor) = page("/eventdeliveries");
    assert_eq!((rows.len(), cursor.is_empty()), (0, false), "that is too far for one page");
    assert_eq!(page(&format!("/eventdeliveries?next_page_cursor={cursor}")), all);
}

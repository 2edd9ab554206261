use super::*;

#[test]
fn what_hands_events_in_is_told_from_what_only_names_them() {
    for (method, path, expect) in [
        ("POST", "/api/v1/projects/p/events", true),
        ("POST", "/api/v1/projects/p/events/batch", true),
        ("POST", "/portal-api/events", true),
        ("GET", "/api/v1/projects/p/events", false),
        ("PUT", "/api/v1/projects/p/events/e/replay", false),
        ("POST", "/api/v1/projects", false),
    ] {
        let is_push = call(method, path).is_ok_and(|call| call.is_push());
        assert_eq!(is_push, expect, "{method} {path}");
    }
}

#[test]
fn companions_know_the_paths_of_their_calls() {
    for (method, one) in [
        ("GET", ConsumerCall::Sources),
        ("POST", ConsumerCall::Batch),
        ("POST", ConsumerCall::Status),
    ] {
        assert_eq!(call(method, &format!("/{}", one.path())), Ok(Call::Consumer(one)));
    }
}

#[test]
fn urls_that_take_events_in_are_known_however_they_are_written() {
    let origin = "https://hooks.example.com";
    for url in [
        "https://hooks.example.com/ingest/mask",
        "HTTPS://Hooks.Example.COM:443/ingest/mask?a=b",
        "http://hooks.example.com/v1/ingest/source",
        " https://hooks.example.com/a/../ingest/mask#x",
        "https://hooks.example.com./ingest/mask",
        "https://hooks.example.com:8443/ingest/mask",
    ] {
        assert!(is_ingest_url(origin, url), "{url}");
    }
    for url in [
        "https://hooks.example.com/api/v1/projects",
        "https://hooks.example.com:8443/hooks",
        "https://example.com/ingest/mask",
        "nothing",
    ] {
        assert!(!is_ingest_url(origin, url), "{url}");
    }
    assert!(is_ingest_url("http://127.0.0.1:8787/base", "http://127.0.0.1:8787/base/ingest/m"));
    assert!(!is_ingest_url("http://127.0.0.1:8787", "http://127.0.0.1:9000/ingest/m"));
}

#[test]
fn paths_and_methods_mean_calls() {
    let in_project = |call| Ok(Call::InProject { project: "p", call });
    for (method, path, expect) in [
        ("GET", "/healthz", Ok(Call::Health)),
        ("GET", "/healthz/events", Ok(Call::HealthOfEvents)),
        ("HEAD", "/healthz/events", Ok(Call::HealthOfEvents)),
        ("HEAD", "/portal", Ok(Call::PortalPage)),
        ("GET", "/", Ok(Call::Home)),
        ("HEAD", "/docs", Ok(Call::Docs)),
        ("GET", "/ingest/mask", Ok(Call::Ingest { mask: "mask" })),
        ("POST", "/api/v1/projects", Ok(Call::CreateProject)),
        ("POST", "/api/v1/projects/", Ok(Call::CreateProject)),
        ("GET", "/api/v1/projects/p", in_project(ProjectCall::Get)),
        ("POST", "/api/v1/projects/p/sources", in_project(ProjectCall::CreateSource)),
        ("PUT", "/api/v1/projects/p/sources/s", in_project(ProjectCall::UpdateSource("s"))),
        ("POST", "/api/v1/projects/p/events", in_project(ProjectCall::PushEvent(Kind::Single))),
        (
            "POST",
            "/api/v1/projects/p/events/dynamic",
            in_project(ProjectCall::PushEvent(Kind::Dynamic)),
        ),
        ("GET", "/api/v1/projects/p/events", in_project(ProjectCall::ListEvents)),
        ("PUT", "/api/v1/projects/p/events/e/replay", in_project(ProjectCall::ReplayEvent("e"))),
        ("POST", "/api/v1/projects/p/events/batchreplay", in_project(ProjectCall::ReplayEvents)),
        (
            "GET",
            "/api/v1/projects/p/events/countbatchreplayevents",
            in_project(ProjectCall::CountReplay),
        ),
        (
            "PUT",
            "/api/v1/projects/p/eventdeliveries/d/resend",
            in_project(ProjectCall::ResendDelivery("d")),
        ),
        (
            "POST",
            "/api/v1/projects/p/eventdeliveries/batchretry",
            in_project(ProjectCall::RetryDeliveries),
        ),
        ("GET", "/api/v1/projects/p/events/batchreplay", Err(NoCall::Method { allow: "POST" })),
        ("POST", "/api/v1/projects/p/events/batch", in_project(ProjectCall::PushEvents)),
        ("GET", "/api/v1/projects/p/events/e", in_project(ProjectCall::GetEvent("e"))),
        (
            "GET",
            "/api/v1/projects/p/eventdeliveries/d/deliveryattempts/a",
            in_project(ProjectCall::GetAttempt { delivery: "d", attempt: "a" }),
        ),
        (
            "PATCH",
            "/api/v1/projects/p/sources/s",
            Err(NoCall::Method { allow: "GET, PUT, DELETE" }),
        ),
        ("PUT", "/api/v1/projects/p/endpoints", Err(NoCall::Method { allow: "GET, POST" })),
        ("DELETE", "/api/v1/projects/p/events/e", Err(NoCall::Method { allow: "GET" })),
        ("GET", "", Ok(Call::Home)),
        ("POST", "/", Err(NoCall::Method { allow: "GET, HEAD" })),
        ("GET", "/ingest", Err(NoCall::Path)),
        ("GET", "/ingest/a/b", Err(NoCall::Path)),
        ("GET", "/api/v1/projects/p/sources/s/x", Err(NoCall::Path)),
        ("GET", "/portal-api/events", Ok(Call::InPortal { call: ProjectCall::ListEvents })),
        (
            "GET",
            "/portal-api/portal_link",
            Ok(Call::InPortal { call: ProjectCall::GetOwnPortalLink }),
        ),
        ("POST", "/v1/agent/sessions/s/claim", Ok(Call::Hookstream(SourceCall::ClaimSession("s")))),
        ("GET", "/portal-api", Err(NoCall::Path)),
        ("PUT", "/portal-api/portal_link", Err(NoCall::Method { allow: "GET" })),
    ] {
        assert_eq!(call(method, path), expect, "{method} {path}");
    }
}

fn all() -> impl Iterator<Item = (Vec<Part>, &'static [&'static str])> {
    let in_project = IN_PROJECT.iter().map(|route| {
        let mut path = [Part::Fixed("api"), Part::Fixed("v1"), Part::Fixed("projects")].to_vec();
        path.push(Part::Id("project_id"));
        path.extend(route.path);
        (path, route.methods)
    });
    GATEWAY.iter().map(|route| (route.path.to_vec(), route.methods)).chain(in_project)
}

/// A path that stands in the table twice, or that an earlier one hides, would be documented and never reached.
#[test]
fn every_path_of_the_table_is_reached_by_its_methods_and_no_others() {
    for (path, methods) in all() {
        let text: String = path
            .iter()
            .map(|part| match part {
                Part::Fixed(text) => format!("/{text}"),
                Part::Id(name) => format!("/<{name}>"),
            })
            .collect();
        for method in methods {
            let found = format!("{:?}", call(method, &text).unwrap());
            for part in &path {
                if let Part::Id(name) = part {
                    assert!(found.contains(&format!("\"<{name}>\"")), "{method} {text} is {found}");
                }
            }
        }
        let refused = call("BREW", &text);
        if methods.is_empty() {
            assert!(refused.is_ok(), "{text}");
        } else {
            let Err(NoCall::Method { allow }) = refused else { panic!("{text} is {refused:?}") };
            assert_eq!(allow.split(", ").collect::<Vec<_>>(), methods, "{text}");
        }
    }
}

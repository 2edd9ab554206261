//! Which call a method and a path mean.

use crate::push::Kind;

/// A call of the gateway. Ids are as they stand in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call<'a> {
    Health,
    /// A provider hands in a request; the method is decided by the source.
    Ingest {
        mask: &'a str,
    },
    ListProviders,
    GetProvider {
        name: &'a str,
    },
    CreateProject,
    ListProjects,
    InProject {
        project: &'a str,
        call: ProjectCall<'a>,
    },
}

/// A call that works on one project, with that project's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectCall<'a> {
    Get,
    Update,
    CreateSource,
    ListSources,
    GetSource(&'a str),
    UpdateSource(&'a str),
    DeleteSource(&'a str),
    ArmSource(&'a str),
    ListRejections(&'a str),
    CreateEndpoint,
    ListEndpoints,
    GetEndpoint(&'a str),
    UpdateEndpoint(&'a str),
    PauseEndpoint(&'a str),
    ActivateEndpoint(&'a str),
    ExpireSecret(&'a str),
    DeleteEndpoint(&'a str),
    CreateSubscription,
    ListSubscriptions,
    GetSubscription(&'a str),
    UpdateSubscription(&'a str),
    DeleteSubscription(&'a str),
    PushEvent(Kind),
    PushEvents,
    ListEvents,
    GetEvent(&'a str),
    ReplayEvent(&'a str),
    ReplayEvents,
    CountReplay,
    ListDeliveries,
    ResendDelivery(&'a str),
    ForceResend,
    RetryDeliveries,
    CountRetry,
    GetDelivery(&'a str),
    ListAttempts(&'a str),
    GetAttempt { delivery: &'a str, attempt: &'a str },
}

/// Why there is no such call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCall {
    /// Nothing is at this path.
    Path,
    /// Something is, but not for this method; these it takes.
    Method { allow: &'static str },
}

/// Reads a method and a path (without query; a slash at the end is ignored).
pub fn call<'a>(method: &str, path: &'a str) -> Result<Call<'a>, NoCall> {
    let mut parts: Vec<&str> = path.split('/').skip(1).collect();
    if parts.last() == Some(&"") {
        parts.pop();
    }
    let allow = |allow| Err(NoCall::Method { allow });
    match parts.as_slice() {
        ["healthz"] => match method {
            "GET" | "HEAD" => Ok(Call::Health),
            _ => allow("GET"),
        },
        ["ingest", mask] => Ok(Call::Ingest { mask }),
        ["api", "v1", "providers"] if method == "GET" => Ok(Call::ListProviders),
        ["api", "v1", "providers", name] if method == "GET" => Ok(Call::GetProvider { name }),
        ["api", "v1", "providers"] | ["api", "v1", "providers", _] => allow("GET"),
        ["api", "v1", "projects"] => match method {
            "POST" => Ok(Call::CreateProject),
            "GET" => Ok(Call::ListProjects),
            _ => allow("GET, POST"),
        },
        ["api", "v1", "projects", project, rest @ ..] => {
            Ok(Call::InProject { project, call: project_call(method, rest)? })
        }
        _ => Err(NoCall::Path),
    }
}

fn project_call<'a>(method: &str, rest: &[&'a str]) -> Result<ProjectCall<'a>, NoCall> {
    use ProjectCall as C;
    let found = match (rest, method) {
        ([], "GET") => C::Get,
        ([], "PUT") => C::Update,
        ([], _) => return Err(NoCall::Method { allow: "GET, PUT" }),
        (["sources"], "POST") => C::CreateSource,
        (["sources"], "GET") => C::ListSources,
        (["endpoints"], "POST") => C::CreateEndpoint,
        (["endpoints"], "GET") => C::ListEndpoints,
        (["subscriptions"], "POST") => C::CreateSubscription,
        (["subscriptions"], "GET") => C::ListSubscriptions,
        (["sources" | "endpoints" | "subscriptions"], _) => {
            return Err(NoCall::Method { allow: "GET, POST" });
        }
        (["sources", id], "GET") => C::GetSource(id),
        (["sources", id], "PUT") => C::UpdateSource(id),
        (["sources", id], "DELETE") => C::DeleteSource(id),
        (["sources", id, "arm"], "POST") => C::ArmSource(id),
        (["sources", id, "rejections"], "GET") => C::ListRejections(id),
        (["sources", _, "rejections"], _) => return Err(NoCall::Method { allow: "GET" }),
        (["sources", _, "arm"], _) => return Err(NoCall::Method { allow: "POST" }),
        (["sources", _], _) => return Err(NoCall::Method { allow: "GET, PUT, DELETE" }),
        (["endpoints", id], "GET") => C::GetEndpoint(id),
        (["endpoints", id], "PUT") => C::UpdateEndpoint(id),
        (["endpoints", id, "pause"], "PUT") => C::PauseEndpoint(id),
        (["endpoints", id, "activate"], "POST") => C::ActivateEndpoint(id),
        (["endpoints", id, "expire_secret"], "PUT") => C::ExpireSecret(id),
        (["endpoints", _, "activate"], _) => return Err(NoCall::Method { allow: "POST" }),
        (["endpoints", _, "pause" | "expire_secret"], _) => {
            return Err(NoCall::Method { allow: "PUT" });
        }
        (["subscriptions", id], "PUT") => C::UpdateSubscription(id),
        (["endpoints", id], "DELETE") => C::DeleteEndpoint(id),
        (["subscriptions", id], "GET") => C::GetSubscription(id),
        (["subscriptions", id], "DELETE") => C::DeleteSubscription(id),
        (["endpoints" | "subscriptions", _], _) => {
            return Err(NoCall::Method { allow: "GET, PUT, DELETE" });
        }
        (["events"], "POST") => C::PushEvent(Kind::Single),
        (["events", "fanout"], "POST") => C::PushEvent(Kind::Fanout),
        (["events", "broadcast"], "POST") => C::PushEvent(Kind::Broadcast),
        (["events", "dynamic"], "POST") => C::PushEvent(Kind::Dynamic),
        (["events", "batch"], "POST") => C::PushEvents,
        (["events"], "GET") => C::ListEvents,
        (["events"], _) => return Err(NoCall::Method { allow: "GET, POST" }),
        (["events", "batchreplay"], "POST") => C::ReplayEvents,
        (["events", "countbatchreplayevents"], "GET") => C::CountReplay,
        (["events", "countbatchreplayevents"], _) => return Err(NoCall::Method { allow: "GET" }),
        (["events", id, "replay"], "PUT") => C::ReplayEvent(id),
        (["events", _, "replay"], _) => return Err(NoCall::Method { allow: "PUT" }),
        (["events", "batchreplay" | "fanout" | "broadcast" | "dynamic" | "batch"], _) => {
            return Err(NoCall::Method { allow: "POST" });
        }
        (["events", id], "GET") => C::GetEvent(id),
        (["eventdeliveries"], "GET") => C::ListDeliveries,
        (["eventdeliveries", "forceresend"], "POST") => C::ForceResend,
        (["eventdeliveries", "batchretry"], "POST") => C::RetryDeliveries,
        (["eventdeliveries", "forceresend" | "batchretry"], _) => {
            return Err(NoCall::Method { allow: "POST" });
        }
        (["eventdeliveries", "countbatchretryevents"], "GET") => C::CountRetry,
        (["eventdeliveries", id, "resend"], "PUT") => C::ResendDelivery(id),
        (["eventdeliveries", _, "resend"], _) => return Err(NoCall::Method { allow: "PUT" }),
        (["eventdeliveries", id], "GET") => C::GetDelivery(id),
        (["eventdeliveries", id, "deliveryattempts"], "GET") => C::ListAttempts(id),
        (["eventdeliveries", delivery, "deliveryattempts", attempt], "GET") => {
            C::GetAttempt { delivery, attempt }
        }
        (["events" | "eventdeliveries", _] | ["eventdeliveries"], _) => {
            return Err(NoCall::Method { allow: "GET" });
        }
        (
            ["eventdeliveries", _, "deliveryattempts"]
            | ["eventdeliveries", _, "deliveryattempts", _],
            _,
        ) => {
            return Err(NoCall::Method { allow: "GET" });
        }
        _ => return Err(NoCall::Path),
    };
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods_mean_calls() {
        let in_project = |call| Ok(Call::InProject { project: "p", call });
        for (method, path, expect) in [
            ("GET", "/healthz", Ok(Call::Health)),
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
            (
                "PUT",
                "/api/v1/projects/p/events/e/replay",
                in_project(ProjectCall::ReplayEvent("e")),
            ),
            (
                "POST",
                "/api/v1/projects/p/events/batchreplay",
                in_project(ProjectCall::ReplayEvents),
            ),
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
            ("GET", "/", Err(NoCall::Path)),
            ("GET", "", Err(NoCall::Path)),
            ("GET", "/ingest", Err(NoCall::Path)),
            ("GET", "/ingest/a/b", Err(NoCall::Path)),
            ("GET", "/api/v1/projects/p/sources/s/x", Err(NoCall::Path)),
        ] {
            assert_eq!(call(method, path), expect, "{method} {path}");
        }
    }
}

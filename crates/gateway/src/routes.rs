//! Which call a method and a path mean.

use url::Url;

use crate::push::Kind;

/// A call of the gateway. Ids are as they stand in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call<'a> {
    Health,
    HealthOfEvents,
    /// Figures for Prometheus.
    Metrics,
    /// The document of the API.
    Document,
    /// The same for people.
    Docs,
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
    /// Dead letters of which nobody can tell whose they are.
    Ownerless(LettersCall<'a>),
    InProject {
        project: &'a str,
        call: ProjectCall<'a>,
    },
    /// The page that a portal link's URL leads to.
    PortalPage,
    /// The same calls for the owner who holds a portal token: which project it is, the token says.
    InPortal {
        call: ProjectCall<'a>,
    },
    /// A companion calls, with its own key.
    Consumer(ConsumerCall),
    /// The same as [`Call::Ingest`], by Hookstream's URL.
    HookstreamIngest {
        source: &'a str,
    },
    /// A call of Hookstream's API.
    Hookstream(SourceCall<'a>),
}

/// A call on the sources of a project, which the key or `org_id` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceCall<'a> {
    Create,
    List,
    Get(&'a str),
    Change(&'a str),
    Delete(&'a str),
    /// A source that ends by itself.
    OpenSession,
    GetSession(&'a str),
    ClaimSession(&'a str),
    AnswerSession(&'a str),
    DeleteSession(&'a str),
}

impl Call<'_> {
    /// Whether it hands events in. It changes nothing that is known, and may rely on it.
    pub fn is_push(&self) -> bool {
        let (Self::InProject { call, .. } | Self::InPortal { call }) = self else { return false };
        matches!(call, ProjectCall::PushEvent(_) | ProjectCall::PushEvents)
    }
}

/// A call on dead letters that no project has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LettersCall<'a> {
    List,
    Get(&'a str),
    Delete(&'a str),
}

/// A call of a companion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerCall {
    Sources,
    Batch,
    Status,
}

impl ConsumerCall {
    /// Its path, from where the gateway is.
    pub fn path(self) -> &'static str {
        match self {
            Self::Sources => "consumer/v1/sources",
            Self::Batch => "consumer/v1/batches",
            Self::Status => "consumer/v1/status",
        }
    }
}

/// A call that works on one project, with that project's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectCall<'a> {
    Get,
    Update,
    Delete,
    CreateKey,
    ListKeys,
    DeleteKey(&'a str),
    RegenerateKey,
    /// Makes many endpoints.
    Onboard,
    CreateSource,
    ListSources,
    GetSource(&'a str),
    UpdateSource(&'a str),
    DeleteSource(&'a str),
    ArmSource(&'a str),
    HandedOver(&'a str),
    ListRejections(&'a str),
    CreateEndpoint,
    ListEndpoints,
    GetEndpoint(&'a str),
    UpdateEndpoint(&'a str),
    PauseEndpoint(&'a str),
    ActivateEndpoint(&'a str),
    ExpireSecret(&'a str),
    DeleteEndpoint(&'a str),
    FailureRates,
    TestOauth2,
    /// Tries a function on a payload, and stores nothing.
    TestFunction {
        of_source: bool,
    },
    CreateSubscription,
    ListSubscriptions,
    GetSubscription(&'a str),
    UpdateSubscription(&'a str),
    DeleteSubscription(&'a str),
    CreateEventType,
    ListEventTypes,
    GetEventType(&'a str),
    UpdateEventType(&'a str),
    DeprecateEventType(&'a str),
    ImportEventTypes,
    ToggleSubscription(&'a str),
    TestFilter,
    /// A call on the filters of a subscription.
    Filters(&'a str, FilterCall<'a>),
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
    StatusTotals,
    GetDelivery(&'a str),
    ListAttempts(&'a str),
    GetAttempt {
        delivery: &'a str,
        attempt: &'a str,
    },
    CreatePortalLink,
    ListPortalLinks,
    GetPortalLink(&'a str),
    UpdatePortalLink(&'a str),
    RevokePortalLink(&'a str),
    RefreshPortalToken(&'a str),
    /// The link that the caller holds.
    GetOwnPortalLink,
    CreateConsumerKey,
    ListConsumerKeys,
    DeleteConsumerKey(&'a str),
    ListMetaEvents,
    GetMetaEvent(&'a str),
    ResendMetaEvent(&'a str),
    ListDeadLetters,
    GetDeadLetter(&'a str),
    ReplayDeadLetter(&'a str),
    DeleteDeadLetter(&'a str),
}

/// A call below `/subscriptions/{id}/filters`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterCall<'a> {
    Create,
    CreateMany,
    UpdateMany,
    List,
    Get(&'a str),
    Update(&'a str),
    Delete(&'a str),
    /// Tries the filter of an event type, written as in a URL.
    Test(&'a str),
}

/// Why there is no such call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCall {
    /// Nothing is at this path.
    Path,
    /// Something is, but not for this method; these it takes.
    Method { allow: &'static str },
}

/// One path of the gateway, as its document names it.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    pub path: &'static [Part],
    /// Empty where every method is taken in.
    pub methods: &'static [&'static str],
}

/// A part of a path, between slashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Fixed(&'static str),
    /// An id, by the name that the table gives it.
    Id(&'static str),
}

/// Makes from one table the function that reads a path, and the list that the document is checked against: they cannot
/// differ, and neither can `Allow`. The first path that fits counts.
macro_rules! routes {
    ($(#[$doc:meta])* $table:ident, $read:ident -> $Call:ident;
        $([$($part:tt),*] $methods:tt)*) => {
        $(#[$doc])*
        pub const $table: &[Route] = &[
            $(Route { path: &[$(part!($part)),*], methods: methods!($methods) },)*
        ];

        fn $read<'a>(method: &str, path: &[&'a str]) -> Result<$Call<'a>, NoCall> {
            use $Call::*;
            match path {
                $([$($part),*] => by_method!(method, $methods),)*
                _ => Err(NoCall::Path),
            }
        }
    };
}

macro_rules! part {
    ($name:ident) => {
        Part::Id(stringify!($name))
    };
    ($text:literal) => {
        Part::Fixed($text)
    };
}

macro_rules! methods {
    ({ any => $call:expr }) => { &[] };
    ({ $($method:ident => $call:expr),* }) => { &[$(stringify!($method)),*] };
}

macro_rules! by_method {
    ($given:ident, { any => $call:expr }) => { Ok($call) };
    ($given:ident, { $($method:ident => $call:expr),* }) => {
        match $given {
            $(given if given == stringify!($method) => Ok($call),)*
            _ => Err(NoCall::Method { allow: allow!($($method),*) }),
        }
    };
}

macro_rules! allow {
    ($first:ident $(, $more:ident)*) => {
        concat!(stringify!($first) $(, ", ", stringify!($more))*)
    };
}

routes! {
    /// The paths of the gateway but those of [`IN_PROJECT`].
    GATEWAY, gateway_call -> Call;

    ["ingest", mask_id] { any => Ingest { mask: mask_id } }
    ["healthz"] { GET => Health, HEAD => Health }
    ["healthz", "events"] { GET => HealthOfEvents, HEAD => HealthOfEvents }
    ["metrics"] { GET => Metrics }
    ["openapi.json"] { GET => Document }
    ["docs"] { GET => Docs }
    ["api", "v1", "providers"] { GET => ListProviders }
    ["api", "v1", "providers", provider] { GET => GetProvider { name: provider } }
    ["api", "v1", "projects"] { GET => ListProjects, POST => CreateProject }
    ["api", "v1", "dead-letters"] { GET => Ownerless(LettersCall::List) }
    ["api", "v1", "dead-letters", dead_letter_id] {
        GET => Ownerless(LettersCall::Get(dead_letter_id)), DELETE => Ownerless(LettersCall::Delete(dead_letter_id))
    }
    ["consumer", "v1", "sources"] { GET => Consumer(ConsumerCall::Sources) }
    ["consumer", "v1", "batches"] { POST => Consumer(ConsumerCall::Batch) }
    ["consumer", "v1", "status"] { POST => Consumer(ConsumerCall::Status) }
    ["portal"] { GET => PortalPage }
    ["v1", "ingest", source_id] { any => HookstreamIngest { source: source_id } }
    ["v1", "sources"] { GET => Hookstream(SourceCall::List), POST => Hookstream(SourceCall::Create) }
    ["v1", "sources", source_id] {
        GET => Hookstream(SourceCall::Get(source_id)),
        PATCH => Hookstream(SourceCall::Change(source_id)),
        DELETE => Hookstream(SourceCall::Delete(source_id))
    }
    ["v1", "test", "sessions"] { POST => Hookstream(SourceCall::OpenSession) }
    ["v1", "test", "sessions", session_id] {
        GET => Hookstream(SourceCall::GetSession(session_id)),
        DELETE => Hookstream(SourceCall::DeleteSession(session_id))
    }
    ["v1", "test", "sessions", session_id, "claim"] { POST => Hookstream(SourceCall::ClaimSession(session_id)) }
    ["v1", "test", "sessions", session_id, "response"] { PATCH => Hookstream(SourceCall::AnswerSession(session_id)) }
    ["portal-api", "portal_link"] { GET => InPortal { call: ProjectCall::GetOwnPortalLink } }
}

routes! {
    /// The paths below `/api/v1/projects/{project_id}`.
    IN_PROJECT, project_call -> ProjectCall;

    [] { GET => Get, PUT => Update, DELETE => Delete }
    ["api-keys"] { GET => ListKeys, POST => CreateKey }
    ["api-keys", key_id] { DELETE => DeleteKey(key_id) }
    ["security", "keys", "regenerate"] { PUT => RegenerateKey }

    ["onboard"] { POST => Onboard }

    ["sources"] { GET => ListSources, POST => CreateSource }
    ["sources", "test_function"] { POST => TestFunction { of_source: true } }
    ["sources", source_id] {
        GET => GetSource(source_id), PUT => UpdateSource(source_id), DELETE => DeleteSource(source_id)
    }
    ["sources", source_id, "arm"] { POST => ArmSource(source_id) }
    ["sources", source_id, "handed-over"] { GET => HandedOver(source_id) }
    ["sources", source_id, "rejections"] { GET => ListRejections(source_id) }

    ["endpoints"] { GET => ListEndpoints, POST => CreateEndpoint }
    ["endpoints", "period-failure-rates"] { GET => FailureRates }
    ["endpoints", "oauth2", "test"] { POST => TestOauth2 }
    ["endpoints", endpoint_id] {
        GET => GetEndpoint(endpoint_id), PUT => UpdateEndpoint(endpoint_id), DELETE => DeleteEndpoint(endpoint_id)
    }
    ["endpoints", endpoint_id, "pause"] { PUT => PauseEndpoint(endpoint_id) }
    ["endpoints", endpoint_id, "activate"] { POST => ActivateEndpoint(endpoint_id) }
    ["endpoints", endpoint_id, "expire_secret"] { PUT => ExpireSecret(endpoint_id) }

    ["subscriptions"] { GET => ListSubscriptions, POST => CreateSubscription }
    ["subscriptions", "test_function"] { POST => TestFunction { of_source: false } }
    ["subscriptions", "test_filter"] { POST => TestFilter }
    ["subscriptions", subscription_id] {
        GET => GetSubscription(subscription_id),
        PUT => UpdateSubscription(subscription_id),
        DELETE => DeleteSubscription(subscription_id)
    }
    ["subscriptions", subscription_id, "toggle_status"] { PUT => ToggleSubscription(subscription_id) }
    ["subscriptions", subscription_id, "filters"] {
        GET => Filters(subscription_id, FilterCall::List), POST => Filters(subscription_id, FilterCall::Create)
    }
    ["subscriptions", subscription_id, "filters", "bulk"] {
        POST => Filters(subscription_id, FilterCall::CreateMany)
    }
    ["subscriptions", subscription_id, "filters", "bulk_update"] {
        POST => Filters(subscription_id, FilterCall::UpdateMany),
        PUT => Filters(subscription_id, FilterCall::UpdateMany)
    }
    ["subscriptions", subscription_id, "filters", filter_id] {
        GET => Filters(subscription_id, FilterCall::Get(filter_id)),
        PUT => Filters(subscription_id, FilterCall::Update(filter_id)),
        DELETE => Filters(subscription_id, FilterCall::Delete(filter_id))
    }
    ["subscriptions", subscription_id, "filters", "test", event_type] {
        POST => Filters(subscription_id, FilterCall::Test(event_type))
    }

    ["event-types"] { GET => ListEventTypes, POST => CreateEventType }
    ["event-types", "import"] { POST => ImportEventTypes }
    ["event-types", event_type_id] { GET => GetEventType(event_type_id), PUT => UpdateEventType(event_type_id) }
    ["event-types", event_type_id, "deprecate"] { POST => DeprecateEventType(event_type_id) }

    ["events"] { GET => ListEvents, POST => PushEvent(Kind::Single) }
    ["events", "fanout"] { POST => PushEvent(Kind::Fanout) }
    ["events", "broadcast"] { POST => PushEvent(Kind::Broadcast) }
    ["events", "dynamic"] { POST => PushEvent(Kind::Dynamic) }
    ["events", "batch"] { POST => PushEvents }
    ["events", "batchreplay"] { POST => ReplayEvents }
    ["events", "countbatchreplayevents"] { GET => CountReplay }
    ["events", event_id] { GET => GetEvent(event_id) }
    ["events", event_id, "replay"] { PUT => ReplayEvent(event_id) }

    ["eventdeliveries"] { GET => ListDeliveries }
    ["eventdeliveries", "forceresend"] { POST => ForceResend }
    ["eventdeliveries", "batchretry"] { POST => RetryDeliveries }
    ["eventdeliveries", "countbatchretryevents"] { GET => CountRetry }
    ["eventdeliveries", "statustotals"] { GET => StatusTotals }
    ["eventdeliveries", delivery_id] { GET => GetDelivery(delivery_id) }
    ["eventdeliveries", delivery_id, "resend"] { PUT => ResendDelivery(delivery_id) }
    ["eventdeliveries", delivery_id, "deliveryattempts"] { GET => ListAttempts(delivery_id) }
    ["eventdeliveries", delivery_id, "deliveryattempts", attempt_id] {
        GET => GetAttempt { delivery: delivery_id, attempt: attempt_id }
    }

    ["consumer-keys"] { GET => ListConsumerKeys, POST => CreateConsumerKey }
    ["consumer-keys", consumer_key_id] { DELETE => DeleteConsumerKey(consumer_key_id) }

    ["dead-letters"] { GET => ListDeadLetters }
    ["dead-letters", dead_letter_id] { GET => GetDeadLetter(dead_letter_id), DELETE => DeleteDeadLetter(dead_letter_id) }
    ["dead-letters", dead_letter_id, "replay"] { POST => ReplayDeadLetter(dead_letter_id) }

    ["portal-links"] { GET => ListPortalLinks, POST => CreatePortalLink }
    ["portal-links", portal_link_id] { GET => GetPortalLink(portal_link_id), PUT => UpdatePortalLink(portal_link_id) }
    ["portal-links", portal_link_id, "revoke"] { PUT => RevokePortalLink(portal_link_id) }
    ["portal-links", portal_link_id, "refresh_token"] { GET => RefreshPortalToken(portal_link_id) }

    ["meta-events"] { GET => ListMetaEvents }
    ["meta-events", meta_event_id] { GET => GetMetaEvent(meta_event_id) }
    ["meta-events", meta_event_id, "resend"] { PUT => ResendMetaEvent(meta_event_id) }
}

/// Reads a method and a path (without query; a slash at the end is ignored).
pub fn call<'a>(method: &str, path: &'a str) -> Result<Call<'a>, NoCall> {
    let mut parts: Vec<&str> = path.split('/').skip(1).collect();
    if parts.last() == Some(&"") {
        parts.pop();
    }
    match parts.as_slice() {
        ["api", "v1", "projects", project, rest @ ..] => {
            Ok(Call::InProject { project, call: project_call(method, rest)? })
        }
        ["portal-api", rest @ ..] if !matches!(rest, [] | ["portal_link"]) => {
            Ok(Call::InPortal { call: project_call(method, rest)? })
        }
        ["v1", "agent", "sessions", rest @ ..] => {
            gateway_call(method, &[&["v1", "test", "sessions"], rest].concat())
        }
        path => gateway_call(method, path),
    }
}

/// Whether `url` is one at which this gateway, reached at `origin`, takes events in, however it is written.
pub fn is_ingest_url(origin: &str, url: &str) -> bool {
    let (Ok(origin), Ok(url)) = (Url::parse(origin), Url::parse(url.trim())) else { return false };
    // A receiver that takes https at a host takes http there, or sends it on.
    let is_here = origin.host() == url.host() && origin.port() == url.port();
    let path = url.path().strip_prefix(origin.path().trim_end_matches('/'));
    is_here
        && path.is_some_and(|path| {
            matches!(call("POST", path), Ok(Call::Ingest { .. } | Call::HookstreamIngest { .. }))
        })
}

#[cfg(test)]
mod tests {
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
        ] {
            assert!(is_ingest_url(origin, url), "{url}");
        }
        for url in [
            "https://hooks.example.com/api/v1/projects",
            "https://hooks.example.com:8443/ingest/mask",
            "https://example.com/ingest/mask",
            "nothing",
        ] {
            assert!(!is_ingest_url(origin, url), "{url}");
        }
        assert!(is_ingest_url("http://127.0.0.1:8787/base", "http://127.0.0.1:8787/base/ingest/m"));
    }

    #[test]
    fn paths_and_methods_mean_calls() {
        let in_project = |call| Ok(Call::InProject { project: "p", call });
        for (method, path, expect) in [
            ("GET", "/healthz", Ok(Call::Health)),
            ("GET", "/healthz/events", Ok(Call::HealthOfEvents)),
            ("HEAD", "/healthz/events", Ok(Call::HealthOfEvents)),
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
            ("GET", "/portal-api/events", Ok(Call::InPortal { call: ProjectCall::ListEvents })),
            (
                "GET",
                "/portal-api/portal_link",
                Ok(Call::InPortal { call: ProjectCall::GetOwnPortalLink }),
            ),
            (
                "POST",
                "/v1/agent/sessions/s/claim",
                Ok(Call::Hookstream(SourceCall::ClaimSession("s"))),
            ),
            ("GET", "/portal-api", Err(NoCall::Path)),
            ("PUT", "/portal-api/portal_link", Err(NoCall::Method { allow: "GET" })),
        ] {
            assert_eq!(call(method, path), expect, "{method} {path}");
        }
    }

    fn all() -> impl Iterator<Item = (Vec<Part>, &'static [&'static str])> {
        let in_project = IN_PROJECT.iter().map(|route| {
            let mut path =
                [Part::Fixed("api"), Part::Fixed("v1"), Part::Fixed("projects")].to_vec();
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
                        assert!(
                            found.contains(&format!("\"<{name}>\"")),
                            "{method} {text} is {found}"
                        );
                    }
                }
            }
            let refused = call("BREW", &text);
            if methods.is_empty() {
                assert!(refused.is_ok(), "{text}");
            } else {
                let Err(NoCall::Method { allow }) = refused else {
                    panic!("{text} is {refused:?}")
                };
                assert_eq!(allow.split(", ").collect::<Vec<_>>(), methods, "{text}");
            }
        }
    }
}

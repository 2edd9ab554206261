//! Which call a method and a path mean.

mod calls;

use url::Url;

use crate::push::Kind;

pub use calls::{Call, ConsumerCall, FilterCall, LettersCall, ProjectCall, SourceCall};

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

    [] { GET => Home, HEAD => Home }
    ["ingest", mask_id] { any => Ingest { mask: mask_id } }
    ["healthz"] { GET => Health, HEAD => Health }
    ["healthz", "events"] { GET => HealthOfEvents, HEAD => HealthOfEvents }
    ["metrics"] { GET => Metrics }
    ["openapi.json"] { GET => Document }
    ["docs"] { GET => Docs, HEAD => Docs }
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
    ["portal"] { GET => PortalPage, HEAD => PortalPage }
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
    let host = |url: &Url| url.host_str().map(|host| host.trim_end_matches('.').to_owned());
    // A receiver that takes https at a host takes http there, or sends it on; and Cloudflare takes either at a dozen ports.
    let is_here =
        host(&origin) == host(&url) && (origin.port().is_none() || origin.port() == url.port());
    let path = url.path().strip_prefix(origin.path().trim_end_matches('/'));
    is_here
        && path.is_some_and(|path| {
            matches!(call("POST", path), Ok(Call::Ingest { .. } | Call::HookstreamIngest { .. }))
        })
}

#[cfg(test)]
mod tests;

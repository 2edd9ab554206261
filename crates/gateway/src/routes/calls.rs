//! The calls that there are.

use crate::push::Kind;

/// A call of the gateway. Ids are as they stand in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call<'a> {
    Health,
    HealthOfEvents,
    /// Figures for Prometheus.
    Metrics,
    /// Who opens the gateway itself is sent to the page of its document.
    Home,
    /// The document of the API, for programs.
    Document,
    /// The document of the API, for people.
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
    /// A call in a project by the owner who holds a portal token: which project it is, the token says.
    InPortal {
        call: ProjectCall<'a>,
    },
    /// A companion calls, with its own key.
    Consumer(ConsumerCall),
    /// A provider hands in a request, as in [`Call::Ingest`], by Hookstream's URL.
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
    /// The path of the call, from where the gateway is.
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

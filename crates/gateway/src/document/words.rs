//! What the document says beyond names and types. A test walks these tables: what is read is described, and what is
//! described is read or shown.

pub(super) const TAGS: &[(&str, &str)] = &[
    ("Projects", "Tenants. Each has a key of its own."),
    ("Sources", "The configured senders, and whether they are believed."),
    (
        "Hookstream",
        "The same sources in Hookstream's dialect. The key is `X-API-Key`, or a bearer; `org_id` and `env_id` are the project.",
    ),
    ("Endpoints", "The receivers."),
    ("Subscriptions", "Which events of which source go to which endpoint."),
    ("Event types", "The names of what happens, and what the payloads of each look like."),
    ("Events", "What was accepted and is durable; pushing, finding and replaying it."),
    ("Deliveries", "One event for one endpoint, with every attempt."),
    ("Dead letters", "What was given up, with the reason and what it holds."),
    (
        "Meta events",
        "What a project was told of, by calls to `config.meta_event.url`, and what came of it.",
    ),
    (
        "Companions",
        "What reads message brokers, and hands their messages in with a key of its own.",
    ),
    ("Portal", "Links by which an owner of endpoints sees what is theirs."),
    ("Providers", "The catalogue of kinds of senders. No key is needed."),
    ("Gateway", "What senders and monitors call."),
];

/// Parameters of paths: name, what it is, an example.
pub(super) const IDS: &[(&str, &str, &str)] = &[
    ("projectID", "The project's `uid`.", super::samples::PROJECT),
    ("keyID", "The key's `uid`.", "01KB0J7EA0AP1KEY00EXAMP1E0"),
    ("sessionID", "The session's `session_id`.", super::samples::SOURCE),
    ("sourceID", "The source's `uid`.", super::samples::SOURCE),
    ("endpointID", "The endpoint's `uid`.", super::samples::ENDPOINT),
    ("subscriptionID", "The subscription's `uid`.", super::samples::SUBSCRIPTION),
    (
        "eventID",
        "The event's `uid`. That of a dropped copy finds the event it is a copy of.",
        super::samples::EVENT,
    ),
    ("deliveryID", "The delivery's `uid`.", super::samples::DELIVERY),
    ("attemptID", "The attempt's `uid`.", "01KB0J7EA0ATTEMPT0EXAMP1E0"),
    ("filterID", "The filter's `uid`.", super::samples::FILTER),
    ("eventType", "A name of an event type.", "invoice.paid"),
    ("eventTypeID", "The event type's `uid`.", super::samples::EVENT_TYPE),
    ("portalLinkID", "The portal link's `uid`.", super::samples::PORTAL_LINK),
    ("consumerKeyID", "The key's `uid`.", "01KB0J7EA0C0NSVMERKEYEXAMP"),
    (
        "deadLetterID",
        "The dead letter's `uid`; that of a delivery is the delivery's.",
        "01KB0J7EA0DEAD1ETTEREXAMP1",
    ),
    ("metaEventID", "The meta event's `uid`.", "01KB0J7EA0METAEVENTEXAMP1E"),
    ("maskID", "The last part of the source's `url`.", "Jz6sEXAMPLE0mask"),
    ("provider", "A name of the catalogue, or another that it is known by.", "github"),
];

/// A field: its name or path, what it is, and more keywords of its schema as JSON.
pub(super) type Field = (&'static str, &'static str, &'static str);
/// Fields by reader or shape.
pub(super) type Table = Vec<(&'static str, Vec<Field>)>;

/// The fields of request bodies, by the type that reads them.
pub(super) fn requests() -> Table {
    read(include_str!("requests.txt"))
}

/// What answers show, by shape.
pub(super) fn answers() -> Table {
    read(include_str!("answers.txt"))
}

pub(super) fn of(name: &str, table: &Table) -> Vec<Field> {
    table.iter().find(|(of, _)| *of == name).map(|(_, fields)| fields.clone()).unwrap_or_default()
}

fn read(text: &'static str) -> Table {
    let mut table = Table::new();
    let mut short: Vec<(&str, &str)> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((name, value)) = line.split_once(" = ").filter(|_| line.starts_with('$')) {
            short.push((name, value));
        } else if let Some(row) = line.strip_prefix("  ") {
            let mut parts = row.splitn(3, " | ");
            let name = parts.next().unwrap_or_default();
            let about = parts.next().unwrap_or_default();
            let more = parts.next().unwrap_or_default();
            let more =
                short.iter().find(|(name, _)| *name == more).map_or(more, |(_, value)| value);
            let (_, fields) = table.last_mut().unwrap_or_else(|| panic!("{line} is of nothing"));
            fields.push((name.trim_end_matches(" |"), about, more));
        } else {
            table.push((line, Vec::new()));
        }
    }
    table
}

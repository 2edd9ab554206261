//! The providers that are known by name.
//!
//! One file a family, one row a provider. A row says only what differs from an HMAC-SHA-256 in
//! hex over the raw body. Tolerances are the provider's where it names one, else 300 s.

use std::sync::OnceLock;

use crate::Provider;

mod ai;
mod cloud;
mod code;
mod commerce;
mod content;
mod crm;
mod forwarders;
mod mail;
mod messaging;
mod payments;
mod prelude;
mod productivity;
mod standard;

pub(crate) use cloud::SNS_HOSTS;

/// Other names under which the rows are known elsewhere.
const ALIASES: &[(&str, &str)] = &[
    ("facebook", "meta"),
    ("graphcms", "hygraph"),
    ("hubspot", "hubspot_v3"),
    ("microsoft_teams", "ms_teams_outgoing"),
    ("open_ai", "openai"),
    ("twitter", "x"),
];

/// The row named `name`, in any case, with hyphens or underscores.
pub fn find(name: &str) -> Option<&'static Provider> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let name = alias.map_or(name.as_str(), |(_, row)| row);
    let at = all().binary_search_by(|row| row.name.cmp(name)).ok()?;
    all().get(at).copied()
}

/// The other names of a row.
pub fn aliases(provider: &Provider) -> impl Iterator<Item = &'static str> {
    let name = provider.name;
    ALIASES.iter().filter(move |(_, row)| *row == name).map(|(alias, _)| *alias)
}

/// Every row, sorted by name.
pub fn all() -> &'static [&'static Provider] {
    static SORTED: OnceLock<Vec<&'static Provider>> = OnceLock::new();
    SORTED.get_or_init(|| {
        let families = [
            ai::ROWS,
            cloud::ROWS,
            code::ROWS,
            commerce::ROWS,
            content::ROWS,
            crm::ROWS,
            forwarders::ROWS,
            mail::ROWS,
            messaging::ROWS,
            payments::ROWS,
            productivity::ROWS,
            standard::ROWS,
        ];
        let mut rows: Vec<&'static Provider> = Vec::new();
        for row in families.into_iter().flatten() {
            let at = rows.partition_point(|have| have.name < row.name);
            rows.insert(at, row);
        }
        rows
    })
}

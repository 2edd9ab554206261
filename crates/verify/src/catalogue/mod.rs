//! The providers that are known by name.

use std::sync::OnceLock;

use crate::Provider;

pub(crate) const SNS_HOSTS: &[&str] = &["sns.*.amazonaws.com", "sns.*.amazonaws.com.cn"];

mod code;

/// Other names under which the rows are known elsewhere.
const ALIASES: &[(&str, &str)] = &[
    ("facebook", "meta"),
    ("graphcms", "hygraph"),
    ("microsoft_teams", "ms_teams_outgoing"),
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

/// Every row, sorted by name.
pub fn all() -> &'static [&'static Provider] {
    static SORTED: OnceLock<Vec<&'static Provider>> = OnceLock::new();
    SORTED.get_or_init(|| {
        let families = [code::ROWS];
        let mut rows: Vec<_> = families.into_iter().flatten().collect();
        rows.sort_unstable_by_key(|row| row.name);
        rows
    })
}

//! The code map of ARCHITECTURE.md has a row for each module, and no other.

use std::collections::BTreeSet;

/// The modules that a `lib.rs` names, as the map writes them.
fn modules<'a>(lib: &'a str, prefix: &'a str) -> impl Iterator<Item = String> + 'a {
    lib.lines().filter_map(move |line| {
        let name = line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')?;
        Some(format!("{prefix}{name}"))
    })
}

#[test]
fn every_module_has_a_row_in_the_code_map() {
    let page = include_str!("../../../ARCHITECTURE.md");
    let map = page.split("The modules of").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows = map.unwrap().lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rows: Vec<String> = rows.map(str::to_owned).collect();
    let mapped: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(mapped.len(), rows.len(), "a module stands twice");

    let gateway = modules(include_str!("../src/lib.rs"), "");
    let edge = modules(include_str!("../../edge/src/lib.rs"), "edge::");
    let there: BTreeSet<String> = gateway.chain(edge).collect();
    let missing: Vec<&String> = there.difference(&mapped).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
    let gone: Vec<&String> = mapped.difference(&there).collect();
    assert!(gone.is_empty(), "no such module: {gone:?}");
}

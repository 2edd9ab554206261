//! Some of what was sealed with the key: of the oldest and of the newest.

use super::{Statement, statement};

/// Sources that are looked at, from either end: not all of them have secrets.
const SOURCES_LOOKED_AT: u64 = 20;

/// Up to two endpoints and two sources with secrets, found by the first and the last of their keys.
pub fn some_sealed() -> Statement {
    let one = |is_source: u8, from: &str| {
        format!("SELECT * FROM (SELECT {is_source} AS is_source, doc FROM {from} LIMIT 1)")
    };
    let endpoints =
        |order: &str| one(0, &format!("endpoints ORDER BY project_id {order}, id {order}"));
    let sources = |order: &str| {
        let some = format!(
            "(SELECT doc FROM sources ORDER BY project_id {order}, id {order} LIMIT {SOURCES_LOOKED_AT})"
        );
        one(1, &format!("{some} WHERE instr(doc, '\"ciphertext\"')"))
    };
    let all = [endpoints("ASC"), endpoints("DESC"), sources("ASC"), sources("DESC")];
    statement(&all.join(" UNION ALL "), [])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{database, run};
    use super::*;

    #[test]
    fn the_first_and_the_last_with_secrets_are_found() {
        let db = database();
        assert!(run(&db, &some_sealed()).is_empty());
        for (id, doc) in
            [("a", "{}"), ("b", r#"{"ciphertext":"b"}"#), ("c", r#"{"ciphertext":"c"}"#)]
        {
            let sources = "INSERT INTO sources (project_id, id, mask_id, name, type, provider, doc) VALUES ('p', ?1, ?1, ?1, 'http', '', ?2)";
            run(&db, &statement(sources, [id.into(), doc.into()]));
            let endpoints = "INSERT INTO endpoints (project_id, id, name, owner_id, doc) VALUES ('p', ?1, ?1, '', json_quote(?1))";
            run(&db, &statement(endpoints, [id.into()]));
        }
        let rows = run(&db, &some_sealed());
        let found: Vec<(i64, &str)> = rows
            .iter()
            .map(|row| (row["is_source"].as_i64().unwrap(), row["doc"].as_str().unwrap()))
            .collect();
        let expect = [
            (0, "\"a\""),
            (0, "\"c\""),
            (1, r#"{"ciphertext":"b"}"#),
            (1, r#"{"ciphertext":"c"}"#),
        ];
        assert_eq!(found, expect);
    }
}

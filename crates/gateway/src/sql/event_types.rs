//! Event types.

use serde_json::{Value, json};

use super::{Statement, doc, statement};
use crate::event_type::EventType;

pub fn insert_event_type(made: &EventType) -> Statement {
    statement(
        "INSERT INTO event_types (project_id, id, name, doc) VALUES (?1, ?2, ?3, ?4)",
        [
            made.project_id.as_str().into(),
            made.uid.as_str().into(),
            made.name.as_str().into(),
            doc(made),
        ],
    )
}

/// Makes those of these types that are not there.
pub fn add_event_types(project_id: &str, made: &[EventType]) -> Statement {
    let rows: Vec<Value> = made
        .iter()
        .map(|one| json!([one.uid, one.name, serde_json::to_string(one).unwrap_or_default()]))
        .collect();
    statement(
        "INSERT INTO event_types (project_id, id, name, doc) SELECT ?1, value ->> 0, value ->> 1, value ->> 2 \
         FROM json_each(?2) WHERE true ON CONFLICT (project_id, name) DO NOTHING",
        [project_id.into(), json!(rows).into()],
    )
}

/// Replaces an event type that was last changed at `before_ms`; a row comes back if there was one.
pub fn update_event_type(changed: &EventType, before_ms: u64) -> Statement {
    statement(
        "UPDATE event_types SET doc = ?3 WHERE project_id = ?1 AND name = ?2 AND doc ->> '$.updated_at' = ?4 RETURNING id, doc",
        [
            changed.project_id.as_str().into(),
            changed.name.as_str().into(),
            doc(changed),
            before_ms.into(),
        ],
    )
}

/// An event type by its uid. Projects have few, and they are read rarely.
pub fn event_type(project_id: &str, id: &str) -> Statement {
    statement(
        "SELECT doc FROM event_types WHERE project_id = ?1 AND id = ?2",
        [project_id.into(), id.into()],
    )
}

pub fn event_type_named(project_id: &str, name: &str) -> Statement {
    statement(
        "SELECT doc FROM event_types WHERE project_id = ?1 AND name = ?2",
        [project_id.into(), name.into()],
    )
}

/// All event types of a project, by name.
pub fn event_types(project_id: &str) -> Statement {
    statement(
        "SELECT doc FROM event_types WHERE project_id = ?1 ORDER BY name",
        [project_id.into()],
    )
}

/// The types of a project that have a schema: those of these names, or all.
pub fn event_schemas(project_id: &str, names: Option<&[&str]>) -> Statement {
    statement(
        "SELECT doc FROM event_types WHERE project_id = ?1 AND doc -> '$.json_schema' IS NOT NULL \
         AND (?2 IS NULL OR name IN (SELECT value FROM json_each(?2))) ORDER BY name",
        [project_id.into(), names.map(|names| json!(names)).into()],
    )
}

/// Writes into a project whether any of its event types has a schema, so that others need not look.
pub fn note_schemas(project_id: &str) -> Statement {
    statement(
        "UPDATE projects SET doc = json_set(doc, '$.has_schemas', json(CASE WHEN EXISTS (SELECT 1 FROM event_types \
         WHERE project_id = ?1 AND doc -> '$.json_schema' IS NOT NULL) THEN 'true' ELSE 'false' END)) WHERE id = ?1",
        [project_id.into()],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tests::{database, run};

    fn named(name: &str, project: &str, schema: Option<Value>) -> EventType {
        let uid = name.bytes().next().unwrap_or(1);
        EventType {
            json_schema: schema,
            ..EventType::named(name, project, 0, &mut |b| b.fill(uid))
        }
    }

    #[test]
    fn types_that_are_there_stay_as_they_are() {
        let db = database();
        run(&db, &insert_event_type(&named("a", "p", Some(json!({"type": "object"})))));
        run(&db, &add_event_types("p", &[named("a", "p", None), named("b", "p", None)]));
        run(&db, &add_event_types("q", &[named("a", "q", None)]));
        assert_eq!(run(&db, &event_types("p")).len(), 2);
        assert_eq!(run(&db, &event_schemas("p", None)).len(), 1);
        assert_eq!(run(&db, &event_schemas("p", Some(&["b", "c"]))).len(), 0);
        assert_eq!(run(&db, &event_schemas("p", Some(&["a"]))).len(), 1);
        assert_eq!(run(&db, &event_schemas("q", None)).len(), 0);
        let id = named("b", "p", None).uid;
        assert_eq!(run(&db, &event_type("p", &id)).len(), 1);
        assert_eq!(run(&db, &event_type("q", &id)).len(), 0);
    }

    #[test]
    fn a_project_knows_whether_it_has_schemas() {
        let db = database();
        let sql = "INSERT INTO projects (id, name, doc) VALUES ('p', 'p', '{}')";
        run(&db, &statement(sql, []));
        let mut made = named("a", "p", None);
        run(&db, &insert_event_type(&made));
        for (schema, expect) in [(None, "false"), (Some(json!({"a": 1})), "true"), (None, "false")]
        {
            made.json_schema = schema;
            run(&db, &update_event_type(&made, made.updated_at));
            run(&db, &note_schemas("p"));
            let row =
                &run(&db, &statement("SELECT doc -> '$.has_schemas' AS has FROM projects", []))[0];
            assert_eq!(row["has"], expect);
        }
    }
}

//! A range of ids, with one bound on each side: `SQLite` walks a key between two bounds, and no further ones shorten its
//! way. With two lower bounds it may start at the wrong one and read a whole project for a page.

use super::Param;
use crate::page::Direction;
use crate::search::Search;

/// The ids of one project from `low` to `high`; a bound is in the range where its flag says so.
pub(super) struct Range<'s> {
    project_id: &'s str,
    low: (&'s str, bool),
    high: (&'s str, bool),
}

impl<'s> Range<'s> {
    /// The rows that a search may show, its cursor left out.
    pub(super) fn whole(search: &'s Search, project_id: &'s str) -> Self {
        Self { project_id, low: (&search.low, true), high: (&search.high, true) }
    }

    /// The rows that a search starts from.
    pub(super) fn of(search: &'s Search, project_id: &'s str) -> Self {
        let mut range = Self::whole(search, project_id);
        if let Some(cursor) = &search.page.cursor {
            match (search.page.direction, search.goes_down()) {
                (Direction::Next, true) => range.up_to(cursor, true),
                (Direction::Next, false) => range.from(cursor, true),
                (Direction::Prev, true) => range.up_to(cursor, false),
                (Direction::Prev, false) => range.from(cursor, false),
            }
        }
        range
    }

    /// Nothing before `id`, and `id` itself only when it is `included`.
    pub(super) fn from(&mut self, id: &'s str, included: bool) {
        let (low, is_in) = self.low;
        if low < id || (low == id && is_in) {
            self.low = (id, included);
        }
    }

    /// Nothing after `id`, and `id` itself only when it is `included`.
    pub(super) fn up_to(&mut self, id: &'s str, included: bool) {
        let (high, is_in) = self.high;
        if id < high || (high == id && is_in) {
            self.high = (id, included);
        }
    }

    /// As a condition on `t`, with its parameters, which are the first three.
    pub(super) fn condition(&self) -> (String, Vec<Param>) {
        let (low, high) =
            (if self.low.1 { ">=" } else { ">" }, if self.high.1 { "<=" } else { "<" });
        let sql = format!("t.project_id = ?1 AND t.id {low} ?2 AND t.id {high} ?3");
        (sql, vec![self.project_id.into(), self.low.0.into(), self.high.0.into()])
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::params_from_iter;
    use rusqlite::types::Value as SqlValue;

    use super::*;
    use crate::sql::tests::database;
    use crate::sql::{Statement, has_before, scan_end, search};

    /// What a statement costs, in steps of `SQLite`'s machine.
    fn steps(db: &rusqlite::Connection, statement: &Statement) -> i32 {
        let params = statement.params.iter().map(|param| match param {
            Param::Text(text) => SqlValue::Text(text.clone()),
            Param::Int(number) => SqlValue::Integer(i64::try_from(*number).unwrap()),
            Param::Null => SqlValue::Null,
        });
        let mut prepared = db.prepare(&statement.sql).unwrap();
        let mut rows = prepared.query(params_from_iter(params)).unwrap();
        while rows.next().unwrap().is_some() {}
        drop(rows);
        prepared.get_status(rusqlite::StatementStatus::VmStep)
    }

    #[test]
    fn a_page_costs_its_own_rows_wherever_it_is_and_however_many_there_are() {
        let db = database();
        let fill = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) \
             INSERT INTO events (project_id, id, source_id, mask_id, event_type, received_at, headers, query, body, is_base64, \
             status, failure_reason) SELECT 'p', printf('%026d', i), 's' || (i % 2), '', '', 0, '', '', '', 0, '', '' FROM n";
        db.execute_batch(fill).unwrap();
        let middle = format!("{:026}", 10_000);
        for sort in ["asc", "desc"] {
            for query in [
                format!("sort={sort}&next_page_cursor={middle}"),
                format!("sort={sort}&direction=prev&prev_page_cursor={middle}"),
            ] {
                let asked = Search::events(&query).unwrap();
                let page = steps(&db, &search(&asked, "p", None, &["id"]));
                assert!(page < 1_000, "{query}: {page}");
                let before = steps(&db, &has_before(&asked, "p", &middle));
                assert!(before < 100, "{query}: {before}");
                let filtered = Search::events(&format!("{query}&sourceId=none")).unwrap();
                let end = steps(&db, &scan_end(&filtered, "p", 100).unwrap());
                assert!(end < 1_000, "{query}: {end}");
                let down = filtered.goes_down();
                let end = format!("{:026}", if down { 9_900 } else { 10_100 });
                let page = steps(&db, &search(&filtered, "p", Some(&end), &["id"]));
                assert!(page < 2_000, "{query}: {page}");
            }
        }
    }
}

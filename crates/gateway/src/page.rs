//! Pages of lists: which one is asked for, and what is said of it beside its rows.

use serde::Serialize;
use serde_json::Value;

use crate::api::ApiError;
use crate::ids;
use crate::payload::query_value;
use crate::routes::{FilterCall, ProjectCall};

/// Which way a page goes from its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Next,
    Prev,
}

/// What a list call asks for. Cursors are uids, and inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    pub per_page: usize,
    pub direction: Direction,
    pub cursor: Option<String>,
    /// Oldest first.
    pub ascending: bool,
}

/// What Convoy's clients write for the first page; it stands above all uids.
const TOP: &str = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF";

/// Whether a text has the form of what lists give: a uid.
pub(crate) fn is_cursor(text: &str) -> bool {
    text == TOP || ids::is_uid(text)
}

pub(crate) fn no_cursor() -> ApiError {
    ApiError::bad_request("the page cursor is not one that a list has given")
}

/// `perPage`, or `per_page` as Convoy's client in Go writes it.
fn per_page(query: &str) -> Option<String> {
    let value = |name| query_value(query, name).filter(|text| !text.is_empty());
    value("perPage").or_else(|| value("per_page"))
}

/// What a page holds that nobody measured.
const PER_PAGE: usize = 20;
/// The most items that one page holds.
pub const PER_PAGE_MAX: usize = 1000;

impl PageQuery {
    /// Reads `perPage`, `direction`, `next_page_cursor` and `prev_page_cursor` from a query string. What is not understood is
    /// taken for absent.
    pub fn parse(query: &str) -> Self {
        let value = |name| query_value(query, name).filter(|text| !text.is_empty());
        let (next, prev) = (value("next_page_cursor"), value("prev_page_cursor"));
        let direction = match value("direction") {
            Some(text) if text.eq_ignore_ascii_case("prev") => Direction::Prev,
            // A caller that gives that cursor alone means the page before.
            None if next.is_none() && prev.is_some() => Direction::Prev,
            _ => Direction::Next,
        };
        let per_page = per_page(query).and_then(|text| text.parse().ok());
        let per_page = per_page.filter(|number| 0 < *number).unwrap_or(PER_PAGE);
        let cursor = match direction {
            Direction::Next => next,
            Direction::Prev => prev,
        };
        let ascending = value("sort").is_some_and(|sort| sort.eq_ignore_ascii_case("asc"));
        Self { per_page: per_page.min(PER_PAGE_MAX), direction, cursor, ascending }
    }

    /// Reads a page as [`Self::parse`], for callers. Refuses a direction that is none, and a cursor that no list has given or
    /// that goes the other way: the list would begin at the beginning again.
    pub fn read(query: &str) -> Result<Self, ApiError> {
        let page = Self::parse(query);
        let value = |name| query_value(query, name).filter(|text| !text.is_empty());
        let direction = value("direction");
        if let Some(wrong) = direction
            && !["next", "prev"].iter().any(|known| wrong.eq_ignore_ascii_case(known))
        {
            return Err(ApiError::bad_request("direction:one of next, prev"));
        }
        let (other, name, way) = match page.direction {
            Direction::Next => (value("prev_page_cursor"), "prev_page_cursor", "prev"),
            Direction::Prev => (value("next_page_cursor"), "next_page_cursor", "next"),
        };
        match (&page.cursor, other) {
            (Some(cursor), _) if !is_cursor(cursor) => Err(no_cursor()),
            (None, Some(other)) if other != TOP => {
                Err(ApiError::bad_request(format!("{name}:goes with direction={way}")))
            }
            _ => Ok(page),
        }
    }

    /// Reads a page as [`Self::read`], for lists of ours alone. Refuses a `perPage` that is no number from 1 on, which Convoy's
    /// lists take for absent.
    pub fn read_strictly(query: &str) -> Result<Self, ApiError> {
        match per_page(query).map(|text| text.parse::<u32>()) {
            None | Some(Ok(1..)) => Self::read(query),
            Some(_) => {
                Err(ApiError::bad_request(format!("perPage:a number from 1 to {PER_PAGE_MAX}")))
            }
        }
    }

    /// How many rows to fetch: one more than the page, to know whether another follows.
    pub fn limit(&self) -> usize {
        self.per_page + 1
    }

    /// Before which id something may stand, that has to be asked for: `first` is that of the first row that was read. Nothing
    /// stands before a page that begins at no cursor, and one that is read backwards has read what does.
    pub fn asks_before<'a>(&'a self, first: Option<&'a str>) -> Option<&'a str> {
        let cursor = self.cursor.as_deref().filter(|_| self.direction == Direction::Next)?;
        Some(first.unwrap_or(cursor))
    }

    /// The rows of the page, as they are shown, and what is said of it. `found` are those that were read, in the order they were read
    /// in, one more than the page if there are so many; `ended_at` is where the rows ended that might be looked at, when they did;
    /// `has_before` answers [`Self::asks_before`].
    pub fn page<T>(
        &self,
        mut found: Vec<T>,
        id: impl Fn(&T) -> &str,
        ended_at: Option<&str>,
        has_before: bool,
    ) -> (Vec<T>, Pagination) {
        let ids: Vec<&str> = found.iter().map(id).collect();
        let pagination = self.pagination(&ids, ended_at, has_before);
        found.truncate(self.per_page);
        if self.direction == Direction::Prev {
            found.reverse();
        }
        (found, pagination)
    }

    fn pagination(&self, found: &[&str], ended_at: Option<&str>, has_before: bool) -> Pagination {
        let extra = found.get(self.per_page).copied();
        let shown = found.get(..self.per_page).unwrap_or(found);
        let has_more = extra.is_some() || ended_at.is_some();
        let cursor = self.cursor.as_deref().unwrap_or_default();
        let (has_next_page, has_prev_page, prev, next) = match self.direction {
            Direction::Next => {
                (has_more, has_before, shown.first().copied().unwrap_or(cursor), extra.or(ended_at))
            }
            Direction::Prev => {
                let last = shown.last().copied().unwrap_or_default();
                let prev = ended_at.filter(|_| extra.is_none()).unwrap_or(last);
                (self.cursor.is_some(), has_more, prev, Some(cursor))
            }
        };
        Pagination {
            per_page: self.per_page,
            has_next_page,
            has_prev_page,
            prev_page_cursor: prev.to_owned(),
            next_page_cursor: next.unwrap_or_default().to_owned(),
        }
    }
}

/// Checks the pages that a call asks for, if it is of a list that has none.
pub fn check_whole_list(call: &ProjectCall<'_>, query: &str) -> Result<(), ApiError> {
    use ProjectCall as C;
    let is_whole = matches!(
        call,
        C::ListKeys
            | C::ListConsumerKeys
            | C::ListEventTypes
            | C::ListRejections(_)
            | C::ListAttempts(_)
            | C::Filters(_, FilterCall::List)
    );
    if is_whole { check_unpaged(query) } else { Ok(()) }
}

/// Refuses to go on in a list that has all it holds on one page, and so has given no cursor.
pub fn check_unpaged(query: &str) -> Result<(), ApiError> {
    match PageQuery::read(query)?.cursor {
        Some(cursor) if cursor != TOP => Err(ApiError::bad_request(
            "this list comes whole: it has no pages, and gives no cursor",
        )),
        _ => Ok(()),
    }
}

/// Convoy's page: `{"content":[…],"pagination":{…}}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    pub content: Vec<Value>,
    pub pagination: Pagination,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pagination {
    pub per_page: usize,
    pub has_next_page: bool,
    pub has_prev_page: bool,
    pub prev_page_cursor: String,
    pub next_page_cursor: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_says_which_way_a_page_goes_and_is_never_passed_over() {
        let (a, b) = ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAW");
        let (next, prev) = (Some(Direction::Next), Some(Direction::Prev));
        for (query, direction, cursor) in [
            (format!("prev_page_cursor={a}"), prev, a),
            (format!("prev_page_cursor={a}&next_page_cursor="), prev, a),
            (format!("prev_page_cursor={a}&next_page_cursor={b}"), next, b),
            (format!("prev_page_cursor={a}&next_page_cursor={b}&direction=Prev"), prev, a),
            (format!("direction=prev&prev_page_cursor={a}&next_page_cursor={TOP}"), prev, a),
            (format!("direction=prev&next_page_cursor={TOP}"), prev, ""),
            (
                format!("direction=next&prev_page_cursor={a}"),
                None,
                "prev_page_cursor:goes with direction=prev",
            ),
            (
                format!("direction=prev&next_page_cursor={a}"),
                None,
                "next_page_cursor:goes with direction=next",
            ),
            (
                "prev_page_cursor=mangled".into(),
                None,
                "the page cursor is not one that a list has given",
            ),
            ("direction=back".into(), None, "direction:one of next, prev"),
        ] {
            let read = match PageQuery::read(&query) {
                Ok(page) => (Some(page.direction), page.cursor.unwrap_or_default()),
                Err(error) => (None, error.message),
            };
            assert_eq!(read, (direction, cursor.to_owned()), "{query}");
        }
    }

    #[test]
    fn a_list_of_ours_refuses_a_length_that_is_none() {
        for bad in ["x", "0", "-1", "1.5", "99999999999"] {
            let error = PageQuery::read_strictly(&format!("perPage={bad}")).unwrap_err();
            assert_eq!(error.message, "perPage:a number from 1 to 1000");
            assert!(PageQuery::read(&format!("perPage={bad}")).is_ok());
        }
        for (good, per_page) in [
            ("", 20),
            ("perPage=", 20),
            ("perPage=7", 7),
            ("perPage=5000", 1000),
            ("per_page=7", 7),
        ] {
            assert_eq!(PageQuery::read_strictly(good).unwrap().per_page, per_page);
        }
    }

    #[test]
    fn a_list_without_pages_goes_on_nowhere() {
        for (query, is_taken) in [
            ("", true),
            ("perPage=5&direction=next&next_page_cursor=", true),
            ("next_page_cursor=FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", true),
            ("next_page_cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV", false),
            ("prev_page_cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV", false),
            ("next_page_cursor=x", false),
        ] {
            assert_eq!(check_unpaged(query).is_ok(), is_taken, "{query}");
        }
    }

    #[test]
    fn pages_walk_forth_and_back_over_the_same_items_whichever_way_they_are_sorted() {
        for sort in ["desc", "asc"] {
            let mut all = ["g", "f", "e", "d", "c", "b", "a"];
            if sort == "asc" {
                all.reverse();
            }
            let place = |uid: &str| all.iter().position(|have| *have == uid).unwrap();
            let fetch = |query: &str| {
                let query = PageQuery::parse(&format!("perPage=3&sort={sort}&{query}"));
                let from = query.cursor.as_deref().map_or(0, place);
                let found: Vec<&str> = match query.direction {
                    Direction::Next => all[from..].iter().take(query.limit()).copied().collect(),
                    Direction::Prev => {
                        all[..from].iter().rev().take(query.limit()).copied().collect()
                    }
                };
                let before = query.asks_before(found.first().copied());
                let has_before = before.is_some_and(|first| 0 < place(first));
                query.page(found, |uid| uid, None, has_before)
            };
            let (rows, first) = fetch("");
            assert_eq!(
                (rows, first.has_next_page, first.has_prev_page),
                (all[..3].to_vec(), true, false)
            );
            let (rows, second) = fetch(&format!("next_page_cursor={}", first.next_page_cursor));
            assert_eq!(
                (rows, second.has_next_page, second.has_prev_page),
                (all[3..6].to_vec(), true, true)
            );
            let (rows, third) = fetch(&format!("next_page_cursor={}", second.next_page_cursor));
            assert_eq!(
                (rows, third.has_next_page, third.has_prev_page),
                (all[6..].to_vec(), false, true)
            );
            for (page, expect) in [(&third, &all[3..6]), (&second, &all[..3])] {
                let (rows, back) =
                    fetch(&format!("direction=prev&prev_page_cursor={}", page.prev_page_cursor));
                assert_eq!(rows, expect);
                assert_eq!((back.has_next_page, back.has_prev_page), (true, expect[0] != all[0]));
                assert_eq!(back.next_page_cursor, page.prev_page_cursor);
            }
        }
    }

    #[test]
    fn a_page_with_nothing_on_it_leads_back() {
        let query = PageQuery::parse("next_page_cursor=c");
        assert_eq!(query.asks_before(None), Some("c"));
        let (rows, page) = query.page(Vec::<String>::new(), |uid| uid, None, true);
        assert_eq!(
            (rows.len(), page.has_prev_page, page.prev_page_cursor.as_str()),
            (0, true, "c")
        );
        assert_eq!((page.has_next_page, page.next_page_cursor.as_str()), (false, ""));
    }

    #[test]
    fn a_page_whose_rows_may_be_looked_at_no_further_goes_on_where_they_ended() {
        let ended = |query: &str, found: &[&str]| {
            let (_, page) =
                PageQuery::parse(query).page(found.to_vec(), |uid| uid, Some("c"), false);
            (page.has_next_page, page.next_page_cursor, page.has_prev_page, page.prev_page_cursor)
        };
        let text = str::to_owned;
        assert_eq!(ended("perPage=2", &["e"]), (true, text("c"), false, text("e")));
        assert_eq!(ended("perPage=2", &["f", "e", "d"]), (true, text("d"), false, text("f")));
        let back = "perPage=2&prev_page_cursor=a";
        assert_eq!(ended(back, &["b"]), (true, text("a"), true, text("c")));
        assert_eq!(ended(back, &["b", "d", "e"]), (true, text("a"), true, text("d")));
    }
}

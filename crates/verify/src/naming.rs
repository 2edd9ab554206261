//! What a provider calls an event: by which name it is told from others, and of what type it is.

use crate::{Place, Request, extract, place};

/// The type of a request whose items are of several types.
pub const MULTIPLE: &str = "multiple";

/// What tells the event of a request from every other of its source, in parts. Two requests have
/// the same parts only where all that the place names is the same: alternatives are numbered and
/// items counted, so that no part can be taken for another. `None` where one of the parts, or that
/// of one item, is absent: then nothing is known, and nothing equal.
///
/// Whoever makes one text of the parts has to frame them by their lengths.
pub fn event_parts(place: &Place<'_>, request: &Request<'_>) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    collect(place, request, &mut parts)?;
    Some(parts)
}

fn collect(place: &Place<'_>, request: &Request<'_>, parts: &mut Vec<String>) -> Option<()> {
    match place {
        Place::All(places) => {
            places.iter().try_for_each(|place| collect(place, request, parts).ok_or(())).ok()
        }
        Place::First(places) => {
            let before = parts.len();
            places.iter().enumerate().find_map(|(number, place)| {
                parts.truncate(before);
                parts.push(number.to_string());
                collect(place, request, parts)
            })
        }
        _ if place.is_list() => {
            let found = place::found(place, request);
            if found.gaps || found.texts.is_empty() {
                return None;
            }
            parts.push(found.texts.len().to_string());
            parts.extend(found.texts);
            Some(())
        }
        _ => {
            parts.push(extract(place, request)?);
            Some(())
        }
    }
}

/// The type of the event of a request. Several parts are joined by `:`. Where a request brings
/// several items, it is the type that all of them have, or else [`MULTIPLE`].
pub fn event_type(place: &Place<'_>, request: &Request<'_>) -> Option<String> {
    kinds(place, request).map(common)
}

/// The types of the items. Never empty.
fn kinds(place: &Place<'_>, request: &Request<'_>) -> Option<Vec<String>> {
    let found = match place {
        Place::All(places) => {
            let columns: Option<Vec<_>> =
                places.iter().map(|place| kinds(place, request)).collect();
            return columns.map(rows);
        }
        Place::First(places) => return places.iter().find_map(|place| kinds(place, request)),
        _ if place.is_list() => place::found(place, request).texts,
        _ => extract(place, request).into_iter().collect(),
    };
    (!found.is_empty()).then_some(found)
}

/// Puts the parts of every item together. What stands once is said of every item.
fn rows(mut columns: Vec<Vec<String>>) -> Vec<String> {
    let count = columns.iter().map(Vec::len).max().unwrap_or_default();
    if columns.iter().any(|column| column.len() != 1 && column.len() != count) {
        // Some items lack a part, and which part is whose does not show.
        columns = columns.into_iter().map(|column| vec![common(column)]).collect();
    }
    let count = columns.iter().map(Vec::len).max().unwrap_or_default();
    let row = |at: usize| {
        let cells = columns.iter().filter_map(|column| column.get(at).or_else(|| column.first()));
        cells.map(String::as_str).collect::<Vec<_>>().join(":")
    };
    (0..count).map(row).collect()
}

fn common(mut kinds: Vec<String>) -> String {
    kinds.dedup();
    match kinds.len() {
        1 => kinds.swap_remove(0),
        _ => MULTIPLE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Headers;

    const ID: Place<'static> = Place::All(&[Place::Body("a"), Place::Body("b")]);

    fn parts(place: &Place<'_>, body: &str) -> Option<Vec<String>> {
        let headers = Headers::default();
        let body = body.as_bytes();
        event_parts(
            place,
            &Request { method: "POST", url: "https://e.com/", headers: &headers, body },
        )
    }

    fn kind(place: &Place<'_>, body: &str) -> Option<String> {
        let headers = Headers::default();
        let body = body.as_bytes();
        event_type(
            place,
            &Request { method: "POST", url: "https://e.com/", headers: &headers, body },
        )
    }

    #[test]
    fn what_differs_never_has_the_same_parts() {
        let first = Place::First(&[ID, Place::Body("c"), Place::Body("items.*")]);
        let bodies = [
            r#"{"a":"1","b":"2"}"#,
            r#"{"a":"1:2","b":""}"#,
            r#"{"a":"1:","b":"2"}"#,
            r#"{"a":"12","b":"2"}"#,
            r#"{"c":"1"}"#,
            r#"{"c":"2"}"#,
            r#"{"items":["1"]}"#,
            r#"{"items":["1","2"]}"#,
            r#"{"items":["1,2"]}"#,
            r#"{"items":["0","1","2"]}"#,
        ];
        let all: Vec<_> = bodies.iter().map(|body| parts(&first, body)).collect();
        for (at, one) in all.iter().enumerate() {
            let same = all.iter().filter(|other| *other == one).count();
            assert!(one.is_none() || same == 1, "{}", bodies[at]);
        }
        assert_eq!(all.iter().filter(|parts| parts.is_none()).count(), 1);
    }

    #[test]
    fn what_is_absent_is_no_part() {
        assert_eq!(parts(&ID, r#"{"a":"1"}"#), None);
        assert_eq!(parts(&ID, r#"{"a":"1","b":null}"#), None);
        let items = Place::Body("*.id");
        assert_eq!(parts(&items, r#"[{"id":1},{"id":2}]"#).unwrap(), ["2", "1", "2"]);
        for body in [r#"[{"id":1},{}]"#, "[]", "{}", "", r#"{"id":1}"#] {
            assert_eq!(parts(&items, body), None, "{body}");
        }
    }

    #[test]
    fn one_type_for_many_items() {
        let one = Place::Body("*.type");
        assert_eq!(kind(&one, r#"[{"type":"a"},{"type":"a"}]"#).unwrap(), "a");
        assert_eq!(kind(&one, r#"[{"type":"a"},{"type":"b"}]"#).unwrap(), MULTIPLE);
        assert_eq!(kind(&one, "[]"), None);
        let two =
            Place::All(&[Place::Body("of"), Place::Body("items.*.c"), Place::Body("items.*.t")]);
        let body = r#"{"of":"x","items":[{"c":"inv","t":"new"},{"c":"inv","t":"new"}]}"#;
        assert_eq!(kind(&two, body).unwrap(), "x:inv:new");
        let body = r#"{"of":"x","items":[{"c":"inv","t":"new"},{"c":"con","t":"new"}]}"#;
        assert_eq!(kind(&two, body).unwrap(), MULTIPLE);
        let body =
            r#"{"of":"x","items":[{"c":"inv","t":"new"},{"c":"con","t":"new"},{"c":"con"}]}"#;
        assert_eq!(kind(&two, body).unwrap(), "x:multiple:new");
        assert_eq!(kind(&two, r#"{"of":"x","items":[]}"#), None);
    }
}

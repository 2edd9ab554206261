//! Finds the texts of elements in XML without parsing the rest.
//!
//! Only for the names of events that were believed: nothing here decides whether they are.

use crate::place::Found;

/// The text of every element at `path`: names as they are written, prefix included, with slashes
/// between them, of which the first may stand anywhere and the others inside of it. `@name` at the
/// end is an attribute.
pub(crate) fn texts(xml: &str, path: &str) -> Found {
    let mut here = vec![Element { open: "", inner: xml }];
    for step in path.split('/') {
        if let Some(name) = step.strip_prefix('@') {
            let values = here.iter().map(|element| attribute(element.open, name));
            return gather(values);
        }
        here = here.iter().flat_map(|element| elements(element.inner, step)).collect();
    }
    let texts = here.iter().map(|element| {
        let text = element.inner.trim();
        let text = text
            .strip_prefix("<![CDATA[")
            .and_then(|text| text.strip_suffix("]]>"))
            .unwrap_or(text);
        (!text.is_empty() && !text.contains('<')).then(|| unescaped(text))
    });
    gather(texts)
}

fn gather(texts: impl Iterator<Item = Option<String>>) -> Found {
    let mut found = Found::default();
    for text in texts {
        match text {
            Some(text) => found.texts.push(text),
            None => found.gaps = true,
        }
    }
    found
}

struct Element<'x> {
    /// What stands in its first tag behind the name.
    open: &'x str,
    inner: &'x str,
}

/// The elements of this name, none inside of another.
fn elements<'x>(xml: &'x str, name: &str) -> Vec<Element<'x>> {
    let end = format!("</{name}");
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some((_, tag)) = rest.split_once('<') {
        if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        rest = tag;
        // A longer name is another one.
        let is_end = |char: char| char.is_whitespace() || matches!(char, '/' | '>');
        let Some(after) = tag.strip_prefix(name).filter(|after| after.starts_with(is_end)) else {
            continue;
        };
        // What does not end here ends nowhere behind, either: nothing is looked for twice.
        let Some((open, inner)) = after.split_once('>') else { break };
        if open.ends_with('/') {
            found.push(Element { open, inner: "" });
            rest = inner;
        } else {
            let Some((inner, after)) = inner.split_once(end.as_str()) else { break };
            found.push(Element { open, inner });
            rest = after;
        }
    }
    found
}

fn attribute(open: &str, name: &str) -> Option<String> {
    let mut rest = open;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|char| matches!(char, '"' | '\''))?;
        let (value, next) = after.strip_prefix(quote)?.split_once(quote)?;
        if key.trim() == name {
            return (!value.is_empty()).then(|| unescaped(value));
        }
        rest = next;
    }
}

fn unescaped(text: &str) -> String {
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    named.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(xml: &str, path: &str) -> Vec<String> {
        texts(xml, path).texts
    }

    #[test]
    fn elements_and_attributes() {
        let xml = "<?xml version=\"1.0\"?><!-- <a>no</a> --><feed><updated>1</updated><entry x='1'>\
                   <yt:id>a&amp;b</yt:id> <updated> 2 </updated><updatedBy>c</updatedBy></entry>\
                   <entry><updated><![CDATA[3]]></updated><s xsi:type = \"sf:A\" b=\"\"/></entry></feed>";
        assert_eq!(at(xml, "a"), [""; 0]);
        assert_eq!(at(xml, "yt:id"), ["a&b"]);
        assert_eq!(at(xml, "updated"), ["1", "2", "3"]);
        assert_eq!(at(xml, "entry/updated"), ["2", "3"]);
        assert_eq!(at(xml, "entry/@x"), ["1"]);
        assert!(texts(xml, "entry/@x").gaps && !texts(xml, "entry/updated").gaps);
        assert_eq!(at(xml, "s/@xsi:type"), ["sf:A"]);
        assert_eq!(at(xml, "s/@b"), [""; 0]);
        assert_eq!(at(xml, "entry"), [""; 0]);
    }

    /// Each of these would take hours, were all that is behind searched for each of its tags.
    #[test]
    fn elements_without_an_end_are_looked_at_once() {
        for piece in ["<a>", "<ab", "<a ", "<a x=", "<!--", "<"] {
            let xml = piece.repeat(2_000_000);
            assert_eq!(at(&xml, "a"), [""; 0], "{piece}");
            assert_eq!(at(&format!("{xml}>"), "a/@b"), [""; 0], "{piece}");
        }
    }

    #[test]
    fn broken_xml_yields_nothing() {
        for xml in
            ["", "<", "<a", "<a>", "<a>1", "<a>1<", "<!--", "</a>", "<a b", "<a/", "<ab>1</ab>"]
        {
            assert_eq!(at(xml, "a"), [""; 0], "{xml}");
            assert_eq!(at(xml, "a/@b"), [""; 0], "{xml}");
        }
    }
}

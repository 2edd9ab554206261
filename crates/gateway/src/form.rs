//! An event's JSON as a form: what endpoints of `application/x-www-form-urlencoded` get.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use url::form_urlencoded::Serializer;

use crate::payload::{self, Form, form_of};

/// An event's body as a form: one that is a form as it came, of any other the fields of the event's `data`. `None` where that
/// is no JSON object.
pub fn of_event<'a>(content_type: Option<&str>, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let is_form = form_of(content_type) == Some(Form::UrlEncoded);
    let data = if is_form { Cow::Borrowed(body) } else { payload::data(content_type, body) };
    from_json(&data).map(Cow::Owned).or_else(|| is_form.then_some(Cow::Borrowed(body)))
}

/// The fields of a JSON object in their order, as a form: texts as they are, numbers and the rest as they are written, so that
/// nested values stay JSON. `None` when `body` is no JSON object.
fn from_json(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let form = reader.deserialize_map(Fields).ok()?;
    reader.end().ok()?;
    Some(form.into_bytes())
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut form = Serializer::new(String::new());
        while let Some((name, value)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
            let written = value.get();
            match serde_json::from_str::<String>(written) {
                Ok(text) => form.append_pair(&name, &text),
                Err(_) => form.append_pair(&name, written),
            };
        }
        Ok(form.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_becomes_a_form_and_anything_else_does_not() {
        let form =
            |body: &str| from_json(body.as_bytes()).map(|form| String::from_utf8(form).unwrap());
        for (body, expect) in [
            ("{}", Some("")),
            (
                r#"{"b":"x y&z","a":1.50,"big":12345678901234567890}"#,
                Some("b=x+y%26z&a=1.50&big=12345678901234567890"),
            ),
            (
                r#"{"on":true,"no":null,"in":{"k":[1, 2.0]}}"#,
                Some("on=true&no=null&in=%7B%22k%22%3A%5B1%2C+2.0%5D%7D"),
            ),
            (r#"{"\u00e4":"\u00df"}"#, Some("%C3%A4=%C3%9F")),
            ("[1]", None),
            ("\"text\"", None),
            ("{\"a\":1", None),
            ("{} {}", None),
            ("", None),
        ] {
            assert_eq!(form(body).as_deref(), expect, "{body}");
        }
        assert_eq!(from_json(b"{\"a\":\"\xff\"}"), None);
    }

    #[test]
    fn the_form_of_an_event_is_the_one_that_came_or_that_of_its_data() {
        let url_encoded = "application/x-www-form-urlencoded; charset=utf-8";
        let multipart = "multipart/form-data; boundary=X";
        let part = "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb c\r\n--X--\r\n";
        for (content_type, body, expect) in [
            (Some(url_encoded), "a=1&a=2&b=%20", Some("a=1&a=2&b=%20")),
            (Some(url_encoded), "", Some("")),
            (Some(url_encoded), r#"{"a":1}"#, Some("a=1")),
            (Some(multipart), part, Some("a=b+c")),
            (Some(multipart), "no parts", None),
            (Some("application/json"), "", Some("")),
            (Some("text/plain"), r#"{"a":1}"#, Some("a=1")),
            (None, "a=1", None),
        ] {
            let form = of_event(content_type, body.as_bytes());
            assert_eq!(form.as_deref(), expect.map(str::as_bytes), "{content_type:?} {body}");
        }
    }
}

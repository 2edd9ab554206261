//! The paths of the gateway, as the document has them.

use std::collections::BTreeSet;

use crate::routes::{GATEWAY, IN_PROJECT, Part, Route};

/// `/api/v1/projects/{projectID}/sources/{sourceID}`, as the document names a path of the table.
pub fn template(prefix: &str, parts: &[Part]) -> String {
    let mut text = prefix.to_owned();
    for part in parts {
        match part {
            Part::Fixed(fixed) => text.push_str(&format!("/{fixed}")),
            Part::Id(name) => {
                let mut words = name.split('_');
                let mut name = words.next().unwrap_or_default().to_owned();
                for word in words {
                    if word == "id" {
                        name.push_str("ID");
                    } else {
                        let (first, rest) = word.split_at(1);
                        name.push_str(&format!("{}{rest}", first.to_uppercase()));
                    }
                }
                text.push_str(&format!("/{{{name}}}"));
            }
        }
    }
    text
}

/// Every method and path that the gateway answers.
pub fn routes() -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    let mut add = |prefix: &str, routes: &[Route]| {
        for route in routes {
            for method in route.methods {
                let path = template(prefix, route.path);
                let path = if path.is_empty() { "/".to_owned() } else { path };
                all.insert(((*method).to_owned(), path));
            }
        }
    };
    add("", GATEWAY);
    add("/api/v1/projects/{projectID}", IN_PROJECT);
    all
}

/// Whether all methods reach the path, so that the table names none.
pub fn taken_by_any_method(path: &str) -> bool {
    GATEWAY.iter().any(|route| route.methods.is_empty() && template("", route.path) == path)
}

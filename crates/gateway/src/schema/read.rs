//! From what is written to what is checked.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Number, Value};

use super::format::Format;
use super::{Check, Fault, Id, Node, Range, Type, escaped};
use crate::number::Step;
use crate::steps::{Lazy, Pattern};

/// Parts of a schema, and how deep they are nested.
const NODES_MAX: usize = 2_000;
const DEPTH_MAX: usize = 64;
const PATTERN_MAX_BYTES: usize = 32_768;

/// The nodes of a schema; the first is the schema itself.
pub(super) fn nodes(root: &Value, is_stored: bool) -> Result<Vec<Node>, Fault> {
    let mut reader = Reader { root, nodes: Vec::new(), places: HashMap::new(), is_stored };
    reader.node("", root, 0)?;
    match reader.nodes.iter().enumerate().find(|(id, _)| asks_itself(&reader.nodes, *id)) {
        None => Ok(reader.nodes),
        Some((id, _)) => {
            let at = reader.places.iter().find(|(_, place)| **place == id);
            fault(
                at.map_or("", |(at, _)| at),
                "it refers to itself for the same value, so nothing would ever fit",
            )
        }
    }
}

/// Whether a node is asked again for the value that it is asked for.
fn asks_itself(nodes: &[Node], id: Id) -> bool {
    let mut seen = HashSet::new();
    let mut next = vec![id];
    while let Some(at) = next.pop() {
        for check in nodes.get(at).into_iter().flatten() {
            let asked: Vec<Id> = match check {
                Check::All(ids) | Check::Any(ids) | Check::Exactly1(ids) => ids.clone(),
                Check::Not(id) | Check::Same(id) => vec![*id],
                Check::If { when, then, otherwise } => {
                    [Some(*when), *then, *otherwise].into_iter().flatten().collect()
                }
                _ => Vec::new(),
            };
            for asked in asked {
                if asked == id {
                    return true;
                }
                if seen.insert(asked) {
                    next.push(asked);
                }
            }
        }
    }
    false
}

/// Keywords that only describe.
const ANNOTATIONS: &[&str] = &[
    "$comment",
    "$schema",
    "contentEncoding",
    "contentMediaType",
    "default",
    "deprecated",
    "description",
    "example",
    "examples",
    "externalDocs",
    "readOnly",
    "title",
    "writeOnly",
    "xml",
];

struct Reader<'s> {
    root: &'s Value,
    nodes: Vec<Node>,
    /// Where in the schema a node was read from.
    places: HashMap<String, Id>,
    /// What is stored has patterns that could be compiled.
    is_stored: bool,
}

fn fault<T>(at: &str, what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { at: at.to_owned(), what: what.into() })
}

impl Reader<'_> {
    /// The node at a place of the schema. A schema that refers to itself finds it before it is full.
    fn node(&mut self, at: &str, schema: &Value, depth: usize) -> Result<Id, Fault> {
        if let Some(id) = self.places.get(at) {
            return Ok(*id);
        }
        let id = self.nodes.len();
        if NODES_MAX <= id {
            return fault(at, format!("a schema has at most {NODES_MAX} parts"));
        }
        if DEPTH_MAX < depth {
            return fault(at, format!("a schema is nested at most {DEPTH_MAX} deep"));
        }
        self.nodes.push(Vec::new());
        self.places.insert(at.to_owned(), id);
        let checks = match schema {
            Value::Bool(true) => Vec::new(),
            Value::Bool(false) => vec![Check::Never],
            Value::Object(fields) => self.checks(at, fields, depth + 1)?,
            _ => return fault(at, "a schema is an object, true or false"),
        };
        if let Some(node) = self.nodes.get_mut(id) {
            *node = checks;
        }
        Ok(id)
    }

    #[expect(clippy::too_many_lines, reason = "an arm for each keyword")]
    fn checks(
        &mut self,
        at: &str,
        fields: &Map<String, Value>,
        depth: usize,
    ) -> Result<Node, Fault> {
        let mut checks = Vec::new();
        let (mut length, mut items, mut properties) =
            (Range::default(), Range::default(), Range::default());
        let mut contains = Range { least: Some(1), most: None };
        for (keyword, value) in fields {
            let here = format!("{at}/{}", escaped(keyword));
            let here = here.as_str();
            match keyword.as_str() {
                "type" => checks.push(Check::Type(types(here, value)?)),
                "const" => checks.push(Check::OneOf(vec![value.clone()])),
                "enum" => match value {
                    Value::Array(values) if !values.is_empty() => {
                        checks.push(Check::OneOf(values.clone()));
                    }
                    _ => return fault(here, "an array of values is expected"),
                },
                "minimum" => checks.push(Check::Minimum(number(here, value)?)),
                "maximum" => checks.push(Check::Maximum(number(here, value)?)),
                "exclusiveMinimum" => checks.push(Check::Above(number(here, value)?)),
                "exclusiveMaximum" => checks.push(Check::Below(number(here, value)?)),
                "multipleOf" => match Step::of(&number(here, value)?) {
                    Some(step) => checks.push(Check::MultipleOf(step)),
                    None => {
                        let most = Step::DIGITS_MAX;
                        let text = format!("a number above 0 of at most {most} digits is expected");
                        return fault(here, text);
                    }
                },
                "minLength" => length.least = Some(count(here, value)?),
                "maxLength" => length.most = Some(count(here, value)?),
                "minItems" => items.least = Some(count(here, value)?),
                "maxItems" => items.most = Some(count(here, value)?),
                "minProperties" => properties.least = Some(count(here, value)?),
                "maxProperties" => properties.most = Some(count(here, value)?),
                "minContains" => contains.least = Some(count(here, value)?),
                "maxContains" => contains.most = Some(count(here, value)?),
                "pattern" => checks.push(Check::Pattern(self.pattern(here, text(here, value)?)?)),
                "format" => {
                    checks.extend(Format::from_name(text(here, value)?).map(Check::Format));
                }
                "uniqueItems" => {
                    if flag(here, value)? {
                        checks.push(Check::UniqueItems);
                    }
                }
                "required" => checks.push(Check::Required(texts(here, value)?)),
                "dependentRequired" => {
                    let mut with = BTreeMap::new();
                    for (name, names) in object(here, value)? {
                        with.insert(
                            name.clone(),
                            texts(&format!("{here}/{}", escaped(name)), names)?,
                        );
                    }
                    checks.push(Check::RequiredWith(with));
                }
                "propertyNames" => {
                    checks.push(Check::PropertyNames(self.node(here, value, depth)?));
                }
                "allOf" => checks.push(Check::All(self.list(here, value, depth)?)),
                "anyOf" => checks.push(Check::Any(self.list(here, value, depth)?)),
                "oneOf" => checks.push(Check::Exactly1(self.list(here, value, depth)?)),
                "not" => checks.push(Check::Not(self.node(here, value, depth)?)),
                "$ref" => {
                    checks.push(Check::Same(self.reference(here, text(here, value)?, depth)?));
                }
                "$defs" | "definitions" => {
                    for (name, schema) in object(here, value)? {
                        self.node(&format!("{here}/{}", escaped(name)), schema, depth)?;
                    }
                }
                // Read below, together.
                "items"
                | "prefixItems"
                | "additionalItems"
                | "contains"
                | "properties"
                | "patternProperties"
                | "additionalProperties"
                | "if"
                | "then"
                | "else" => {}
                "$id" if at.is_empty() => {}
                known if ANNOTATIONS.contains(&known) || known.starts_with("x-") => {}
                _ => {
                    let what =
                        "this keyword is not known here, and would have no effect: leave it out";
                    return fault(here, what);
                }
            }
        }
        for (range, make) in [
            (length, Check::Length as fn(Range) -> Check),
            (items, Check::ItemCount),
            (properties, Check::PropertyCount),
        ] {
            if range.least.is_some() || range.most.is_some() {
                checks.push(make(range));
            }
        }
        self.items(at, fields, depth, &mut checks)?;
        if let Some(schema) = fields.get("contains") {
            let id = self.node(&format!("{at}/contains"), schema, depth)?;
            checks.push(Check::Contains { id, range: contains });
        } else if fields.contains_key("minContains") || fields.contains_key("maxContains") {
            return fault(at, "minContains and maxContains say nothing without contains");
        }
        self.properties(at, fields, depth, &mut checks)?;
        self.condition(at, fields, depth, &mut checks)?;
        Ok(checks)
    }

    fn optional(
        &mut self,
        at: &str,
        fields: &Map<String, Value>,
        keyword: &str,
        depth: usize,
    ) -> Result<Option<Id>, Fault> {
        match fields.get(keyword) {
            Some(schema) => self.node(&format!("{at}/{keyword}"), schema, depth).map(Some),
            None => Ok(None),
        }
    }

    fn items(
        &mut self,
        at: &str,
        fields: &Map<String, Value>,
        depth: usize,
        checks: &mut Node,
    ) -> Result<(), Fault> {
        // Up to draft 7 the first items stood in `items`, and the rest in `additionalItems`.
        let (first, rest) = match (fields.get("prefixItems"), fields.get("items")) {
            (None, Some(older @ Value::Array(_))) => {
                let first = self.list(&format!("{at}/items"), older, depth)?;
                (first, self.optional(at, fields, "additionalItems", depth)?)
            }
            (first, _) => {
                if fields.contains_key("additionalItems") {
                    return fault(
                        &format!("{at}/additionalItems"),
                        "says nothing beside this items",
                    );
                }
                let first = match first {
                    Some(first) => self.list(&format!("{at}/prefixItems"), first, depth)?,
                    None => Vec::new(),
                };
                (first, self.optional(at, fields, "items", depth)?)
            }
        };
        if !first.is_empty() || rest.is_some() {
            checks.push(Check::Items { first, rest });
        }
        Ok(())
    }

    fn properties(
        &mut self,
        at: &str,
        fields: &Map<String, Value>,
        depth: usize,
        checks: &mut Node,
    ) -> Result<(), Fault> {
        let (mut named, mut matching) = (BTreeMap::new(), Vec::new());
        if let Some(value) = fields.get("properties") {
            let here = format!("{at}/properties");
            for (name, schema) in object(&here, value)? {
                let place = format!("{here}/{}", escaped(name));
                named.insert(name.clone(), self.node(&place, schema, depth)?);
            }
        }
        if let Some(value) = fields.get("patternProperties") {
            let here = format!("{at}/patternProperties");
            for (text, schema) in object(&here, value)? {
                let place = format!("{here}/{}", escaped(text));
                let regex = self.pattern(&place, text)?;
                matching.push((regex, self.node(&place, schema, depth)?));
            }
        }
        let rest = self.optional(at, fields, "additionalProperties", depth)?;
        if !named.is_empty() || !matching.is_empty() || rest.is_some() {
            checks.push(Check::Properties { named, matching, rest });
        }
        Ok(())
    }

    fn condition(
        &mut self,
        at: &str,
        fields: &Map<String, Value>,
        depth: usize,
        checks: &mut Node,
    ) -> Result<(), Fault> {
        let when = self.optional(at, fields, "if", depth)?;
        let then = self.optional(at, fields, "then", depth)?;
        let otherwise = self.optional(at, fields, "else", depth)?;
        match when {
            Some(when) => checks.push(Check::If { when, then, otherwise }),
            None if then.is_some() || otherwise.is_some() => {
                return fault(at, "then and else say nothing without if");
            }
            None => {}
        }
        Ok(())
    }

    fn list(&mut self, at: &str, value: &Value, depth: usize) -> Result<Vec<Id>, Fault> {
        match value {
            Value::Array(schemas) if !schemas.is_empty() => schemas
                .iter()
                .enumerate()
                .map(|(index, schema)| self.node(&format!("{at}/{index}"), schema, depth))
                .collect(),
            _ => fault(at, "an array of schemas is expected"),
        }
    }

    fn pattern(&self, at: &str, written: &str) -> Result<Lazy, Fault> {
        if !self.is_stored
            && let Err(error) = Pattern::new(written, PATTERN_MAX_BYTES)
        {
            return fault(at, format!("this pattern cannot be used: {error}"));
        }
        Ok(Lazy::new(written.to_owned(), PATTERN_MAX_BYTES))
    }

    fn reference(&mut self, here: &str, reference: &str, depth: usize) -> Result<Id, Fault> {
        let Some(place) = reference.strip_prefix('#').filter(|place| !place.contains('%')) else {
            return fault(here, "only what is in the schema itself can be referred to: #/$defs/…");
        };
        let root = self.root;
        match root.pointer(place) {
            Some(schema) => self.node(place, schema, depth),
            None => fault(here, format!("there is nothing at {reference}")),
        }
    }
}

fn types(at: &str, value: &Value) -> Result<Vec<Type>, Fault> {
    let one = |value: &Value| match value.as_str().and_then(Type::from_name) {
        Some(found) => Ok(found),
        None => {
            fault(at, "one of null, boolean, integer, number, string, array and object is expected")
        }
    };
    let mut types = match value {
        Value::Array(names) if !names.is_empty() => {
            names.iter().map(one).collect::<Result<Vec<_>, _>>()?
        }
        one_name => vec![one(one_name)?],
    };
    let mut seen = Vec::new();
    types.retain(|kind| {
        !seen.contains(kind) && {
            seen.push(*kind);
            true
        }
    });
    Ok(types)
}

fn number(at: &str, value: &Value) -> Result<Number, Fault> {
    match value {
        Value::Number(number) => Ok(number.clone()),
        _ => fault(at, "a number is expected"),
    }
}

fn count(at: &str, value: &Value) -> Result<u64, Fault> {
    match value.as_u64() {
        Some(count) => Ok(count),
        None => fault(at, "a whole number from 0 on is expected"),
    }
}

fn text<'v>(at: &str, value: &'v Value) -> Result<&'v str, Fault> {
    match value.as_str() {
        Some(text) => Ok(text),
        None => fault(at, "a text is expected"),
    }
}

fn flag(at: &str, value: &Value) -> Result<bool, Fault> {
    match value.as_bool() {
        Some(flag) => Ok(flag),
        None => fault(at, "true or false is expected"),
    }
}

fn object<'v>(at: &str, value: &'v Value) -> Result<&'v Map<String, Value>, Fault> {
    match value.as_object() {
        Some(object) => Ok(object),
        None => fault(at, "an object is expected"),
    }
}

fn texts(at: &str, value: &Value) -> Result<Vec<String>, Fault> {
    let items = value.as_array().map(Vec::as_slice);
    let texts: Option<Vec<String>> =
        items.and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
    match texts {
        Some(texts) => Ok(texts),
        None => fault(at, "an array of names is expected"),
    }
}

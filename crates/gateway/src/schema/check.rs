//! A payload against a schema.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::{Check, Fault, Id, Schema, escaped};
use crate::number;
use crate::steps::{Pattern, Steps, TooMany, of_number};

/// Steps of one check, and how deep it goes.
const STEPS_MAX: u64 = 200_000;
/// Steps of its patterns and of its long numbers and lists, whose looks are at bytes.
const LOOKS_MAX: u64 = 2_000_000;
const DEPTH_MAX: u32 = 160;
/// The longest text that a pattern is tried on.
const PATTERN_TEXT_MAX_BYTES: usize = 65_536;
/// Faults of one payload that are told.
const FAULTS_MAX: usize = 10;

/// What is wrong with a payload: nothing, or the first few faults.
pub(super) fn faults(schema: &Schema, payload: &Value) -> Vec<Fault> {
    let (steps, looks) = (Steps::of(STEPS_MAX), Steps::of(LOOKS_MAX));
    let mut run = Run { schema, steps, looks, faults: Vec::new(), path: Vec::new() };
    match run.check(0, payload, 0) {
        Ok(_) => run.faults,
        Err(TooMany) => {
            vec![Fault { at: run.pointer(), what: "takes too many steps to check".into() }]
        }
    }
}

struct Run<'s> {
    schema: &'s Schema,
    steps: Steps,
    looks: Steps,
    faults: Vec<Fault>,
    path: Vec<String>,
}

impl Run<'_> {
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for name in &self.path {
            pointer.push('/');
            pointer.push_str(&escaped(name));
        }
        pointer
    }

    fn fault(&mut self, what: impl Into<String>) -> bool {
        if self.faults.len() < FAULTS_MAX {
            let at = self.pointer();
            self.faults.push(Fault { at, what: what.into() });
        }
        false
    }

    /// Whether a value passes a node. What is wrong is noted.
    fn check(&mut self, id: Id, value: &Value, depth: u32) -> Result<bool, TooMany> {
        if DEPTH_MAX < depth {
            return Err(TooMany);
        }
        let schema = self.schema;
        let mut passes = true;
        for check in schema.nodes.get(id).into_iter().flatten() {
            self.step(1)?;
            passes &= self.one(check, value, depth + 1)?;
        }
        Ok(passes)
    }

    fn step(&self, steps: usize) -> Result<(), TooMany> {
        self.steps.take(steps as u64)
    }

    fn number(&self, number: &Number) -> Result<(), TooMany> {
        self.looks.take(of_number(number))
    }

    fn is_match(&self, pattern: &Pattern, text: &str) -> Result<bool, TooMany> {
        self.looks.take(pattern.steps(text.len()))?;
        Ok(pattern.is_match(text))
    }

    /// Whether a value passes, without a word about why not.
    fn tries(&mut self, id: Id, value: &Value, depth: u32) -> Result<bool, TooMany> {
        let noted = self.faults.len();
        let passes = self.check(id, value, depth)?;
        self.faults.truncate(noted);
        Ok(passes)
    }

    fn at(&mut self, name: &str, id: Id, value: &Value, depth: u32) -> Result<bool, TooMany> {
        self.path.push(name.to_owned());
        let passes = self.check(id, value, depth)?;
        self.path.pop();
        Ok(passes)
    }

    #[expect(clippy::too_many_lines, reason = "an arm for each kind of check")]
    fn one(&mut self, check: &Check, value: &Value, depth: u32) -> Result<bool, TooMany> {
        if let Value::Number(number) = value {
            self.number(number)?;
        }
        Ok(match (check, value) {
            (Check::Never, _) => self.fault("must not be there"),
            (Check::Type(types), _) => {
                types.iter().any(|wanted| wanted.fits(value)) || {
                    let names: Vec<&str> = types.iter().map(|wanted| wanted.name()).collect();
                    self.fault(format!("must be {}", names.join(" or ")))
                }
            }
            (Check::OneOf(values), _) => {
                self.step(values.len())?;
                values.iter().any(|wanted| equal(wanted, value)) || {
                    let texts: Vec<String> = values.iter().take(10).map(Value::to_string).collect();
                    self.fault(format!("must be {}", texts.join(" or ")))
                }
            }
            (Check::Minimum(least), Value::Number(number)) => {
                !less(number, least) || self.fault(format!("must be at least {least}"))
            }
            (Check::Maximum(most), Value::Number(number)) => {
                !less(most, number) || self.fault(format!("must be at most {most}"))
            }
            (Check::Above(bound), Value::Number(number)) => {
                less(bound, number) || self.fault(format!("must be greater than {bound}"))
            }
            (Check::Below(bound), Value::Number(number)) => {
                less(number, bound) || self.fault(format!("must be less than {bound}"))
            }
            (Check::MultipleOf(step), Value::Number(number)) => {
                step.divides(number)
                    || self.fault(format!("must be a multiple of {}", step.number()))
            }
            (Check::Length(range), Value::String(text)) => {
                match range.fault(text.chars().count() as u64, "characters") {
                    Some(what) => self.fault(what),
                    None => true,
                }
            }
            (Check::Pattern(regex), Value::String(text)) => {
                if PATTERN_TEXT_MAX_BYTES < text.len() {
                    self.fault("is too long to be matched with a pattern")
                } else {
                    self.is_match(regex, text)?
                        || self.fault(format!("must match {}", regex.as_str()))
                }
            }
            (Check::Format(format), value) => {
                format.fits(value) || self.fault(format!("must be a {}", format.name()))
            }
            (Check::Items { first, rest }, Value::Array(items)) => {
                let mut passes = true;
                for (index, item) in items.iter().enumerate() {
                    if let Some(id) = first.get(index).or(rest.as_ref()) {
                        passes &= self.at(&index.to_string(), *id, item, depth)?;
                    }
                }
                passes
            }
            (Check::ItemCount(range), Value::Array(items)) => {
                match range.fault(items.len() as u64, "items") {
                    Some(what) => self.fault(what),
                    None => true,
                }
            }
            (Check::UniqueItems, Value::Array(items)) => {
                self.step(items.len())?;
                let mut texts: Vec<String> = items.iter().map(canonical).collect();
                let bytes: u64 = texts.iter().map(|text| text.len() as u64).sum();
                self.looks.take(bytes / 8)?;
                texts.sort_unstable();
                texts.dedup();
                texts.len() == items.len() || self.fault("must not hold the same item twice")
            }
            (Check::Contains { id, range }, Value::Array(items)) => {
                let mut found = 0;
                for item in items {
                    found += u64::from(self.tries(*id, item, depth)?);
                }
                match range.fault(found, "items of the kind it has to contain") {
                    Some(what) => self.fault(what),
                    None => true,
                }
            }
            (Check::Properties { named, matching, rest }, Value::Object(fields)) => {
                self.properties(named, matching, *rest, fields, depth)?
            }
            (Check::PropertyCount(range), Value::Object(fields)) => {
                match range.fault(fields.len() as u64, "properties") {
                    Some(what) => self.fault(what),
                    None => true,
                }
            }
            (Check::PropertyNames(id), Value::Object(fields)) => {
                let mut passes = true;
                for name in fields.keys() {
                    passes &= self.at(name, *id, &Value::from(name.as_str()), depth)?;
                }
                passes
            }
            (Check::Required(names), Value::Object(fields)) => self.required(names, fields)?,
            (Check::RequiredWith(with), Value::Object(fields)) => {
                let mut passes = true;
                for (_, names) in with.iter().filter(|(name, _)| fields.contains_key(*name)) {
                    passes &= self.required(names, fields)?;
                }
                passes
            }
            (Check::All(ids), _) => {
                let mut passes = true;
                for id in ids {
                    passes &= self.check(*id, value, depth)?;
                }
                passes
            }
            (Check::Any(ids), _) => {
                let mut found = false;
                for id in ids {
                    found = found || self.tries(*id, value, depth)?;
                }
                found || self.fault("must fit at least one of the schemas of anyOf")
            }
            (Check::Exactly1(ids), _) => {
                let mut found = 0;
                for id in ids {
                    found += u32::from(self.tries(*id, value, depth)?);
                }
                found == 1
                    || self.fault(format!(
                        "must fit exactly one of the schemas of oneOf, and fits {found}"
                    ))
            }
            (Check::Not(id), _) => {
                !self.tries(*id, value, depth)? || self.fault("must not fit the schema of not")
            }
            (Check::If { when, then, otherwise }, _) => {
                let next = if self.tries(*when, value, depth)? { then } else { otherwise };
                match next {
                    Some(id) => self.check(*id, value, depth)?,
                    None => true,
                }
            }
            (Check::Same(id), _) => self.check(*id, value, depth)?,
            // The rest asks nothing of values of this type.
            _ => true,
        })
    }

    fn required(&mut self, names: &[String], fields: &Map<String, Value>) -> Result<bool, TooMany> {
        self.step(names.len())?;
        let mut passes = true;
        for name in names.iter().filter(|name| !fields.contains_key(*name)) {
            self.path.push(name.clone());
            passes = self.fault("is required");
            self.path.pop();
        }
        Ok(passes)
    }

    fn properties(
        &mut self,
        named: &BTreeMap<String, Id>,
        matching: &[(Pattern, Id)],
        rest: Option<Id>,
        fields: &Map<String, Value>,
        depth: u32,
    ) -> Result<bool, TooMany> {
        let mut passes = true;
        for (name, value) in fields {
            let mut is_known = false;
            if let Some(id) = named.get(name) {
                is_known = true;
                passes &= self.at(name, *id, value, depth)?;
            }
            for (regex, id) in matching {
                self.step(1)?;
                if name.len() <= PATTERN_TEXT_MAX_BYTES && self.is_match(regex, name)? {
                    is_known = true;
                    passes &= self.at(name, *id, value, depth)?;
                }
            }
            if let Some(id) = rest.filter(|_| !is_known) {
                passes &= self.at(name, id, value, depth)?;
            }
        }
        Ok(passes)
    }
}

fn less(a: &Number, b: &Number) -> bool {
    number::compare(a, b).is_lt()
}

/// Equality as JSON Schema has it: `1` and `1.0` are one number.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => number::compare(a, b).is_eq(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// A text that equal values share, and others do not.
fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => number::canonical(number),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let mut fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            fields.sort_unstable();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}

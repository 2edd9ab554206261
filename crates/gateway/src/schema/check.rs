//! A payload against a schema.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde_json::{Map, Number, Value};

use super::{Check, Fault, Id, Range, Schema, escaped};
use crate::number;
use crate::steps::{Lazy, Steps, TooMany, is_any, is_same, of_number, of_text};

/// Steps of one check, and how deep it goes.
const STEPS_MAX: u64 = 200_000;
/// What is looked at on the way: nodes, names, and the bytes of texts and numbers, of the payload and of the schema.
const LOOKS_MAX: u64 = 2_000_000;
const DEPTH_MAX: u32 = 160;
/// The longest text that a pattern is tried on.
const PATTERN_TEXT_MAX_BYTES: usize = 65_536;
/// Faults of one payload that are told.
const FAULTS_MAX: usize = 10;

/// What is wrong with a payload: nothing, or the first few faults.
pub(super) fn faults(schema: &Schema, payload: &Value) -> Vec<Fault> {
    let (steps, looks) = (Steps::of(STEPS_MAX), Steps::of(LOOKS_MAX));
    within(schema, payload, &steps, &looks)
}

pub(super) fn within(schema: &Schema, payload: &Value, steps: &Steps, looks: &Steps) -> Vec<Fault> {
    let (faults, path, asked) = (Vec::new(), Vec::new(), HashSet::new());
    let mut run = Run { schema, steps, looks, faults, path, tries: 0, asked };
    match run.check(0, payload, 0) {
        Ok(_) => run.faults,
        Err(TooMany) => {
            vec![Fault { at: run.pointer(), what: "takes too many steps to check".into() }]
        }
    }
}

struct Run<'s> {
    schema: &'s Schema,
    steps: &'s Steps,
    looks: &'s Steps,
    faults: Vec<Fault>,
    path: Vec<String>,
    /// Schemas, one within the other, that are only tried: nobody asks what is wrong.
    tries: u32,
    /// Patterns that were asked already.
    asked: HashSet<*const Lazy>,
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

    fn is_told(&self) -> bool {
        self.tries == 0 && self.faults.len() < FAULTS_MAX
    }

    fn fault(&mut self, what: fmt::Arguments<'_>) -> bool {
        if self.is_told() {
            let at = self.pointer();
            self.faults.push(Fault { at, what: what.to_string() });
        }
        false
    }

    /// Whether a value passes a node. What is wrong is noted.
    fn check(&mut self, id: Id, value: &Value, depth: u32) -> Result<bool, TooMany> {
        if DEPTH_MAX < depth {
            return Err(TooMany);
        }
        self.looks.take(1)?;
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

    /// Looks at a text.
    fn text(&self, text: &str) -> Result<(), TooMany> {
        self.looks.take(of_text(text.len()))
    }

    fn less(&self, a: &Number, b: &Number) -> Result<bool, TooMany> {
        self.looks.take(of_number(a).max(of_number(b)))?;
        Ok(number::compare(a, b).is_lt())
    }

    fn is_match(&mut self, pattern: &Lazy, text: &str) -> Result<bool, TooMany> {
        let is_new = self.asked.insert(pattern);
        let made = if is_new { pattern.compiled(self.looks)? } else { pattern.asked() };
        // It could be used when it was saved.
        let Some(made) = made else { return Ok(true) };
        self.looks.take(made.steps(text.len()))?;
        Ok(made.is_match(text))
    }

    /// Whether a value passes, without a word about why not.
    fn tries(&mut self, id: Id, value: &Value, depth: u32) -> Result<bool, TooMany> {
        self.tries += 1;
        let passes = self.check(id, value, depth)?;
        self.tries -= 1;
        Ok(passes)
    }

    fn at(&mut self, name: &str, id: Id, value: &Value, depth: u32) -> Result<bool, TooMany> {
        self.text(name)?;
        self.path.push(name.to_owned());
        let passes = self.check(id, value, depth)?;
        self.path.pop();
        Ok(passes)
    }

    #[expect(clippy::too_many_lines, reason = "an arm for each kind of check")]
    fn one(&mut self, check: &Check, value: &Value, depth: u32) -> Result<bool, TooMany> {
        if let Value::Number(number) = value {
            self.looks.take(of_number(number))?;
        }
        Ok(match (check, value) {
            (Check::Never, _) => self.fault(format_args!("must not be there")),
            (Check::Type(types), _) => {
                types.iter().any(|wanted| wanted.fits(value)) || {
                    let names: Vec<&str> = types.iter().map(|wanted| wanted.name()).collect();
                    self.fault(format_args!("must be {}", names.join(" or ")))
                }
            }
            (Check::OneOf(values), _) => {
                self.step(values.len())?;
                let is_one = is_any(values, |wanted| is_same(wanted, value, self.looks))?;
                if !is_one && self.is_told() {
                    let texts: Vec<String> = values.iter().take(10).map(Value::to_string).collect();
                    self.fault(format_args!("must be {}", texts.join(" or ")));
                }
                is_one
            }
            (Check::Minimum(least), Value::Number(number)) => {
                !self.less(number, least)? || self.fault(format_args!("must be at least {least}"))
            }
            (Check::Maximum(most), Value::Number(number)) => {
                !self.less(most, number)? || self.fault(format_args!("must be at most {most}"))
            }
            (Check::Above(bound), Value::Number(number)) => {
                self.less(bound, number)?
                    || self.fault(format_args!("must be greater than {bound}"))
            }
            (Check::Below(bound), Value::Number(number)) => {
                self.less(number, bound)? || self.fault(format_args!("must be less than {bound}"))
            }
            (Check::MultipleOf(step), Value::Number(number)) => {
                // Its digits are divided one by one.
                self.looks.take(20 + 4 * of_number(number))?;
                step.divides(number)
                    || self.fault(format_args!("must be a multiple of {}", step.number()))
            }
            (Check::Length(range), Value::String(text)) => {
                self.text(text)?;
                self.count(*range, text.chars().count(), "characters")
            }
            (Check::Pattern(regex), Value::String(text)) => {
                if PATTERN_TEXT_MAX_BYTES < text.len() {
                    self.fault(format_args!("is too long to be matched with a pattern"))
                } else {
                    self.is_match(regex, text)?
                        || self.fault(format_args!("must match {}", regex.written()))
                }
            }
            (Check::Format(format), value) => {
                let bytes = value.as_str().map_or(0, str::len);
                self.looks.take(16 * of_text(bytes))?;
                format.fits(value) || self.fault(format_args!("must be a {}", format.name()))
            }
            (Check::Items { first, rest }, Value::Array(items)) => {
                let mut passes = true;
                for (index, item) in items.iter().enumerate() {
                    let Some(id) = first.get(index).or(rest.as_ref()) else { break };
                    passes &= self.at(&index.to_string(), *id, item, depth)?;
                }
                passes
            }
            (Check::ItemCount(range), Value::Array(items)) => {
                self.count(*range, items.len(), "items")
            }
            (Check::UniqueItems, Value::Array(items)) => {
                self.step(items.len())?;
                let mut texts: Vec<String> = items.iter().map(canonical).collect();
                let bytes: u64 = texts.iter().map(|text| text.len() as u64).sum();
                self.looks.take(bytes / 2)?;
                texts.sort_unstable();
                texts.dedup();
                texts.len() == items.len()
                    || self.fault(format_args!("must not hold the same item twice"))
            }
            (Check::Contains { id, range }, Value::Array(items)) => {
                let mut found = 0;
                for item in items {
                    found += usize::from(self.tries(*id, item, depth)?);
                }
                self.count(*range, found, "items of the kind it has to contain")
            }
            (Check::Properties { named, matching, rest }, Value::Object(fields)) => {
                self.properties(named, matching, *rest, fields, depth)?
            }
            (Check::PropertyCount(range), Value::Object(fields)) => {
                self.count(*range, fields.len(), "properties")
            }
            (Check::PropertyNames(id), Value::Object(fields)) => {
                let mut passes = true;
                for name in fields.keys() {
                    self.text(name)?;
                    passes &= self.at(name, *id, &Value::from(name.as_str()), depth)?;
                }
                passes
            }
            (Check::Required(names), Value::Object(fields)) => self.required(names, fields)?,
            (Check::RequiredWith(with), Value::Object(fields)) => {
                let mut passes = true;
                for (name, names) in with {
                    self.step(1)?;
                    self.text(name)?;
                    if fields.contains_key(name) {
                        passes &= self.required(names, fields)?;
                    }
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
                found || self.fault(format_args!("must fit at least one of the schemas of anyOf"))
            }
            (Check::Exactly1(ids), _) => {
                let mut found = 0;
                for id in ids {
                    found += u32::from(self.tries(*id, value, depth)?);
                }
                found == 1
                    || self.fault(format_args!(
                        "must fit exactly one of the schemas of oneOf, and fits {found}"
                    ))
            }
            (Check::Not(id), _) => {
                !self.tries(*id, value, depth)?
                    || self.fault(format_args!("must not fit the schema of not"))
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
        for name in names {
            self.text(name)?;
            if !fields.contains_key(name) {
                self.path.push(name.clone());
                passes = self.fault(format_args!("is required"));
                self.path.pop();
            }
        }
        Ok(passes)
    }

    fn count(&mut self, range: Range, count: usize, of: &str) -> bool {
        match range.fault(count as u64, of) {
            Some(what) => self.fault(format_args!("{what}")),
            None => true,
        }
    }

    fn properties(
        &mut self,
        named: &BTreeMap<String, Id>,
        matching: &[(Lazy, Id)],
        rest: Option<Id>,
        fields: &Map<String, Value>,
        depth: u32,
    ) -> Result<bool, TooMany> {
        let mut passes = true;
        for (name, value) in fields {
            // It is looked for among the names.
            self.looks.take(of_text(8 * name.len()))?;
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

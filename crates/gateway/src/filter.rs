//! Filters: which events a subscription takes, by what they say.
//!
//! A filter is an object like the ones it is to match: `{"order": {"total": {"$gt": 100}}, "tags": "new"}`. All that it
//! names has to hold. It is compiled when it is saved, so what does not compile is refused with the place where it
//! does not, and compiled again where events are routed.
//!
//! What is not there matches nothing but `{"$exist": false}`; `$neq` and `$nin` are no exception.

use std::cell::Cell;
use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::api::ApiError;
use crate::number;
use crate::steps::{Lazy, Pattern, Steps, TooMany, is_any, is_same, of_number, of_text};

/// Objects and lists within one another.
const DEPTH_MAX: usize = 10;
/// Conditions of one part.
const TESTS_MAX: usize = 200;
/// Bytes of a filter as JSON, all parts together.
pub const FILTER_MAX_BYTES: usize = 16_384;
/// Keys in a path.
const STEPS_MAX: usize = 20;
/// `$` in a path.
const WILDCARDS_MAX: usize = 3;
/// Regular expressions of one part.
const REGEXES_MAX: usize = 20;
const REGEX_MAX_CHARS: usize = 500;
/// Bytes that one compiled expression may take. Together with the next limit this bounds the time of a match, which grows with
/// both.
const REGEX_MAX_BYTES: usize = 16_384;
/// A text longer than this matches no regular expression.
pub const REGEX_TEXT_MAX_BYTES: usize = 16_384;
/// Bytes that the regular expressions of one part look at in one event; past it none matches.
const REGEX_TEXTS_MAX_BYTES: usize = 65_536;

/// The parts of an event that a filter may ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Headers,
    Body,
    Query,
    Path,
}

impl Part {
    pub const ALL: [Self; 4] = [Self::Headers, Self::Body, Self::Query, Self::Path];

    pub fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Body => "body",
            Self::Query => "query",
            Self::Path => "path",
        }
    }
}

/// A compiled filter of one part.
#[derive(Debug, Clone)]
pub struct Filter {
    rules: Vec<Rule>,
}

/// What has to hold.
#[derive(Debug, Clone)]
enum Rule {
    /// One of the values at `path` passes all `tests`.
    Value { path: Path, tests: Vec<Test> },
    /// All rules of one of the alternatives.
    Any(Vec<Vec<Rule>>),
}

#[derive(Debug, Clone)]
struct Path {
    /// Its keys, as they are written.
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// One step down, or several: a key of the payload may itself hold dots. So its names in the text are this key, this and the
    /// next, and so on.
    Key { from: usize, to: usize, index: Option<usize> },
    /// `$`: every item of a list.
    Each,
}

#[derive(Debug, Clone)]
enum Test {
    /// Equal, or a list that holds it.
    Plain(Value),
    Equal(Value),
    NotEqual(Value),
    Order {
        operator: Order,
        than: Value,
        reads_text: bool,
    },
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Exist(bool),
    /// Numbered within the filter.
    Regex(usize, Lazy),
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Filter {
    /// Compiles one part of a filter that is to be saved. `at` is where it stands, for the message.
    pub fn compile(part: Part, filter: &Map<String, Value>, at: &str) -> Result<Self, ApiError> {
        let mut compiler = Compiler { part, tests: 0, regexes: 0, is_stored: false };
        Ok(Self { rules: compiler.object(filter, &[], at, 0)? })
    }

    /// Compiles one that is stored. Its regular expressions are compiled when they are asked.
    pub(crate) fn stored(part: Part, filter: &Map<String, Value>) -> Result<Self, ApiError> {
        let mut compiler = Compiler { part, tests: 0, regexes: 0, is_stored: true };
        Ok(Self { rules: compiler.object(filter, &[], "", 0)? })
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether the payload passes, if that can be told in so many steps.
    pub(crate) fn matches(&self, payload: &Value, steps: &Steps) -> Result<bool, TooMany> {
        let texts = Cell::new(REGEX_TEXTS_MAX_BYTES);
        Run { steps, texts, asked: Cell::new(0) }.all(&self.rules, payload)
    }
}

struct Compiler {
    part: Part,
    tests: usize,
    regexes: usize,
    is_stored: bool,
}

impl Compiler {
    fn object(
        &mut self,
        object: &Map<String, Value>,
        prefix: &[&str],
        at: &str,
        depth: usize,
    ) -> Result<Vec<Rule>, ApiError> {
        if DEPTH_MAX < depth {
            return Err(refuse(at, format!("a filter is at most {DEPTH_MAX} levels deep")));
        }
        let mut rules = Vec::new();
        let mut tests = Vec::new();
        for (key, value) in object {
            let here = format!("{at}.{key}");
            if key.starts_with('$') && key != "$" && !key.starts_with("$.") {
                match key.as_str() {
                    "$and" => {
                        for alternative in self.list(value, prefix, &here, depth)? {
                            rules.extend(alternative);
                        }
                    }
                    "$or" => rules.push(Rule::Any(self.list(value, prefix, &here, depth)?)),
                    operator => tests.push(self.test(operator, value, prefix, &here)?),
                }
                continue;
            }
            let path: Vec<&str> = prefix.iter().copied().chain(key.split('.')).collect();
            match value {
                Value::Object(inner) if inner.is_empty() => {
                    let text = "an empty object asks for nothing: name a condition, like {\"$exist\": true}";
                    return Err(refuse(&here, text));
                }
                Value::Object(inner) => {
                    rules.extend(self.object(inner, &path, &here, depth + 1)?);
                }
                plain => {
                    self.count(&here)?;
                    let path = self.path(&path, &here)?;
                    rules.push(Rule::Value { path, tests: vec![Test::Plain(self.operand(plain))] });
                }
            }
        }
        if !tests.is_empty() {
            rules.push(Rule::Value { path: self.path(prefix, at)?, tests });
        }
        Ok(rules)
    }

    /// The conditions of `$and` or `$or`.
    fn list(
        &mut self,
        value: &Value,
        prefix: &[&str],
        at: &str,
        depth: usize,
    ) -> Result<Vec<Vec<Rule>>, ApiError> {
        let items = value.as_array().filter(|items| !items.is_empty());
        let items =
            items.ok_or_else(|| refuse(at, "a list of conditions is expected, at least one"))?;
        let compile = |(index, item): (usize, &Value)| {
            let here = format!("{at}[{index}]");
            match item {
                Value::Object(item) if !item.is_empty() => {
                    self.object(item, prefix, &here, depth + 1)
                }
                _ => Err(refuse(&here, "an object with at least one condition is expected")),
            }
        };
        items.iter().enumerate().map(compile).collect()
    }

    fn test(
        &mut self,
        operator: &str,
        value: &Value,
        prefix: &[&str],
        at: &str,
    ) -> Result<Test, ApiError> {
        self.count(at)?;
        let made = match operator {
            "$eq" => Test::Equal(self.operand(value)),
            "$neq" => Test::NotEqual(self.operand(value)),
            "$gt" => self.order(Order::Greater, value, at)?,
            "$gte" => self.order(Order::GreaterOrEqual, value, at)?,
            "$lt" => self.order(Order::Less, value, at)?,
            "$lte" => self.order(Order::LessOrEqual, value, at)?,
            "$in" | "$nin" => {
                let Value::Array(items) = value else {
                    return Err(refuse(at, "a list of values is expected"));
                };
                let items = items.iter().map(|item| self.operand(item)).collect();
                if operator == "$in" { Test::In(items) } else { Test::NotIn(items) }
            }
            "$exist" => match value {
                Value::Bool(wanted) => Test::Exist(*wanted),
                _ => return Err(refuse(at, "true or false is expected")),
            },
            "$regex" => self.regex(value, at)?,
            _ => {
                let text = "unknown operator: one of $eq, $neq, $gt, $gte, $lt, $lte, $in, $nin, $exist, $regex, $or and $and; \
                            a key that begins with $ is written with what stands before it, like \"parent.$key\"";
                return Err(refuse(at, text));
            }
        };
        if prefix.is_empty() {
            let text =
                format!("an operator belongs to a key, like {{\"key\": {{\"{operator}\": …}}}}");
            return Err(refuse(at, text));
        }
        Ok(made)
    }

    fn order(&self, operator: Order, than: &Value, at: &str) -> Result<Test, ApiError> {
        if !matches!(than, Value::Number(_) | Value::String(_)) {
            return Err(refuse(at, "a number or a text is expected"));
        }
        Ok(Test::Order { operator, than: than.clone(), reads_text: self.part != Part::Body })
    }

    fn regex(&mut self, value: &Value, at: &str) -> Result<Test, ApiError> {
        let Value::String(pattern) = value else {
            return Err(refuse(at, "a regular expression is expected, as text"));
        };
        self.regexes += 1;
        if REGEXES_MAX < self.regexes {
            return Err(refuse(at, format!("at most {REGEXES_MAX} regular expressions")));
        }
        if REGEX_MAX_CHARS < pattern.chars().count() {
            return Err(refuse(at, format!("at most {REGEX_MAX_CHARS} characters")));
        }
        let lazy = Lazy::new(pattern.clone(), REGEX_MAX_BYTES);
        let made = if self.is_stored { None } else { Pattern::new(pattern, REGEX_MAX_BYTES).err() };
        made.map_or(Ok(Test::Regex(self.regexes, lazy)), |error| {
            let mut text = format!("not a regular expression that can be run: {error}");
            if text.contains("Unicode") {
                text.push_str(
                    ": classes and (?i) know ASCII only; write the letters that are meant, like [a-zäöüß]",
                );
            }
            Err(refuse(at, text))
        })
    }

    /// A value to be equal to. Headers, queries and paths are text: there a number or a truth value is its text.
    fn operand(&self, value: &Value) -> Value {
        match value {
            Value::Number(_) | Value::Bool(_) if self.part != Part::Body => {
                value.to_string().into()
            }
            value => value.clone(),
        }
    }

    fn path(&self, keys: &[&str], at: &str) -> Result<Path, ApiError> {
        if STEPS_MAX < keys.len() {
            return Err(refuse(at, format!("a path has at most {STEPS_MAX} keys")));
        }
        if keys.last() == Some(&"$") {
            return Err(refuse(at, "invalid filter syntax, found trailing $"));
        }
        let wildcards = keys.iter().filter(|key| **key == "$").count();
        if WILDCARDS_MAX < wildcards {
            let text =
                format!("too many segments, expected at most {WILDCARDS_MAX} but got {wildcards}");
            return Err(refuse(at, text));
        }
        if 0 < wildcards && self.part != Part::Body {
            return Err(refuse(at, "the wildcard $ is for lists, and only the body has lists"));
        }
        if let Some(operator) = keys.last().filter(|key| OPERATORS.contains(key)) {
            let text = format!(
                "an operator stands in an object of its own: {{\"key\": {{\"{operator}\": …}}}}"
            );
            return Err(refuse(at, text));
        }
        let mut text = keys.join(".");
        // Names of headers have no case, and events have theirs in lower case.
        if self.part == Part::Headers {
            text.make_ascii_lowercase();
        }
        let mut next = 0;
        let steps = keys.iter().map(|key| {
            let (from, to) = (next, next + key.len());
            next = to + 1;
            if *key == "$" { Step::Each } else { Step::Key { from, to, index: key.parse().ok() } }
        });
        Ok(Path { steps: steps.collect(), text })
    }

    fn count(&mut self, at: &str) -> Result<(), ApiError> {
        self.tests += 1;
        if TESTS_MAX < self.tests {
            return Err(refuse(at, format!("a filter has at most {TESTS_MAX} conditions")));
        }
        Ok(())
    }
}

const OPERATORS: &[&str] = &[
    "$and", "$eq", "$exist", "$gt", "$gte", "$in", "$lt", "$lte", "$neq", "$nin", "$or", "$regex",
];

fn refuse(at: &str, text: impl AsRef<str>) -> ApiError {
    ApiError::bad_request(format!("{at}:{}", text.as_ref()))
}

/// One payload, asked by one filter.
struct Run<'s> {
    steps: &'s Steps,
    /// What regular expressions may still look at.
    texts: Cell<usize>,
    /// Those that were asked already, a bit for each.
    asked: Cell<u32>,
}

impl Run<'_> {
    fn all(&self, rules: &[Rule], payload: &Value) -> Result<bool, TooMany> {
        for rule in rules {
            let passes = match rule {
                Rule::Any(alternatives) => is_any(alternatives, |rules| self.all(rules, payload))?,
                Rule::Value { path, tests } => {
                    let mut is_there = false;
                    self.any_at(payload, path, 0, &mut |value| {
                        is_there = true;
                        self.all_tests(tests, value)
                    })? || (!is_there
                        && tests.iter().all(|test| matches!(test, Test::Exist(false))))
                }
            };
            if !passes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether `test` passes for a value at `path`, of which so many steps are `done`. Every value of the payload is looked at
    /// once at most.
    fn any_at(
        &self,
        value: &Value,
        path: &Path,
        done: usize,
        test: &mut dyn FnMut(&Value) -> Result<bool, TooMany>,
    ) -> Result<bool, TooMany> {
        let Some(step) = path.steps.get(done) else { return test(value) };
        match (*step, value) {
            (Step::Each, Value::Array(items)) => is_any(items, |item| {
                self.steps.take(1)?;
                self.any_at(item, path, done + 1, test)
            }),
            (Step::Key { index: Some(index), .. }, Value::Array(items)) => {
                self.steps.take(1)?;
                items.get(index).map_or(Ok(false), |item| self.any_at(item, path, done + 1, test))
            }
            (Step::Key { from, .. }, Value::Object(object)) => {
                let rest = path.steps.iter().enumerate().skip(done);
                let ends = rest.map_while(|(place, step)| match step {
                    Step::Key { to, .. } => Some((place, path.text.get(from..*to)?)),
                    Step::Each => None,
                });
                is_any(ends, |(place, name)| {
                    self.steps.take(of_text(name.len()))?;
                    let found = object.get(name);
                    found.map_or(Ok(false), |value| self.any_at(value, path, place + 1, test))
                })
            }
            _ => Ok(false),
        }
    }

    fn all_tests(&self, tests: &[Test], value: &Value) -> Result<bool, TooMany> {
        for test in tests {
            if !self.passes(test, value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn passes(&self, asked: &Test, value: &Value) -> Result<bool, TooMany> {
        let same = |value, wanted| is_same(value, wanted, self.steps);
        match asked {
            Test::Plain(wanted) => {
                Ok(same(value, wanted)? || is_any(items(value), |item| same(item, wanted))?)
            }
            Test::Equal(wanted) => same(value, wanted),
            Test::NotEqual(wanted) => Ok(!same(value, wanted)?),
            Test::In(wanted) => self.is_in(value, wanted),
            Test::NotIn(wanted) => Ok(!self.is_in(value, wanted)?),
            Test::Exist(wanted) => {
                self.steps.take(1)?;
                Ok(*wanted)
            }
            Test::Order { operator, than, reads_text } => one_of(value, |value| {
                self.steps.take(of_order(value, than))?;
                Ok(operator.holds(compare(value, than, *reads_text)))
            }),
            Test::Regex(number, regex) => one_of(value, |value| {
                self.steps.take(1)?;
                let text = value.as_str().filter(|text| text.len() <= REGEX_TEXT_MAX_BYTES);
                let Some(text) = text else { return Ok(false) };
                let Some(left) = self.texts.get().checked_sub(text.len()) else {
                    return Ok(false);
                };
                self.texts.set(left);
                let Some(regex) = self.compiled(*number, regex)? else { return Ok(false) };
                self.steps.take(regex.steps(text.len()))?;
                Ok(regex.is_match(text))
            }),
        }
    }

    /// Whether the value, or one of its items, is one of these.
    fn is_in(&self, value: &Value, wanted: &[Value]) -> Result<bool, TooMany> {
        let is_one = |value| is_any(wanted, |wanted| is_same(value, wanted, self.steps));
        Ok(is_one(value)? || is_any(items(value), is_one)?)
    }

    /// An expression, paid for when it is asked first.
    fn compiled<'r>(&self, number: usize, regex: &'r Lazy) -> Result<Option<&'r Pattern>, TooMany> {
        let bit = 1_u32.checked_shl(u32::try_from(number).unwrap_or(u32::MAX)).unwrap_or_default();
        if self.asked.get() & bit != 0 {
            return Ok(regex.asked());
        }
        self.asked.set(self.asked.get() | bit);
        regex.compiled(self.steps)
    }
}

/// What it takes to find which is more, going by what is read of both.
fn of_order(value: &Value, than: &Value) -> u64 {
    let of_side = |side: &Value| match side {
        Value::Number(number) => of_number(number),
        Value::String(text) => of_text(text.len()),
        _ => 1,
    };
    match (value, than) {
        (Value::String(a), Value::String(b)) => of_text(a.len().min(b.len())),
        // As text it is read for a number.
        (Value::String(text), Value::Number(_)) => 16 * of_text(text.len()) + of_side(than),
        _ => of_side(value).max(of_side(than)),
    }
}

impl Order {
    fn holds(self, order: Option<Ordering>) -> bool {
        order.is_some_and(|order| match self {
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        })
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Whether the value passes, or one of its items when it is a list.
fn one_of(
    value: &Value,
    mut passes: impl FnMut(&Value) -> Result<bool, TooMany>,
) -> Result<bool, TooMany> {
    match value {
        Value::Array(items) => is_any(items, passes),
        value => passes(value),
    }
}

/// Numbers by their size and texts by their characters; other values have no order. With `reads_text` a text that is a number is
/// one.
fn compare(value: &Value, than: &Value, reads_text: bool) -> Option<Ordering> {
    match (value, than) {
        (Value::Number(a), Value::Number(b)) => Some(number::compare(a, b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::Number(b)) if reads_text => {
            Some(number::compare(&a.trim().parse::<Number>().ok()?, b))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;

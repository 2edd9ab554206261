//! D1: binds and executes the statements of `inlet_gateway::sql`, and nothing else.

use inlet_gateway::json;
use inlet_gateway::sql::{self, Param, Statement};
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;
use worker::{D1Database, D1PreparedStatement, D1Result, Error, Result};

use crate::patience::{DATABASE, in_time};

/// How long a database may take: as long as D1 lets a query run. What takes longer is not answered at all.
/// <https://developers.cloudflare.com/d1/platform/limits/>
const WITHIN_MS: u64 = 30_000;

pub(crate) struct Store(D1Database);

impl Store {
    pub(crate) fn new(database: D1Database) -> Self {
        Self(database)
    }

    /// Runs one statement and reads its rows.
    pub(crate) async fn rows<T: DeserializeOwned>(&self, statement: &Statement) -> Result<Vec<T>> {
        Ok(json::read(&self.query(statement).await?)?)
    }

    /// Runs one statement and reads its first row, if there is one.
    pub(crate) async fn row<T: DeserializeOwned>(
        &self,
        statement: &Statement,
    ) -> Result<Option<T>> {
        Ok(json::read::<Vec<T>>(&self.query(statement).await?)?.into_iter().next())
    }

    /// Runs one statement and says how many rows it gives.
    pub(crate) async fn count(&self, statement: &Statement) -> Result<usize> {
        count_of(Some(&self.all(statement).await?))
    }

    /// Runs one statement and says whether it gives a row.
    pub(crate) async fn has(&self, statement: &Statement) -> Result<bool> {
        Ok(0 < self.count(statement).await?)
    }

    /// What the `doc` of the first row says, if there is one.
    pub(crate) async fn doc<T: DeserializeOwned>(
        &self,
        statement: &Statement,
    ) -> Result<Option<T>> {
        self.row::<Doc>(statement).await?.map(|row| row.read()).transpose()
    }

    /// What the `doc` of each row says.
    pub(crate) async fn docs<T: DeserializeOwned>(&self, statement: &Statement) -> Result<Vec<T>> {
        self.each_doc(statement).await?.into_iter().collect()
    }

    /// What the `doc` of each row says, or why it cannot be read, which keeps the others from nothing.
    pub(crate) async fn each_doc<T: DeserializeOwned>(
        &self,
        statement: &Statement,
    ) -> Result<Vec<Result<T>>> {
        Ok(self.rows::<Doc>(statement).await?.iter().map(Doc::read).collect())
    }

    /// The part of a query that is the same for all types of rows, so that it is compiled once.
    async fn query(&self, statement: &Statement) -> Result<String> {
        text(&self.all(statement).await?)
    }

    async fn all(&self, statement: &Statement) -> Result<D1Result> {
        in_time(DATABASE, WITHIN_MS, self.prepare(statement)?.all()).await.map_err(in_a_line)
    }

    /// Bytes that the database has.
    pub(crate) async fn size(&self) -> Result<u64> {
        let meta = self.all(&sql::nothing()).await?.meta()?;
        Ok(meta.and_then(|meta| meta.size_after).unwrap_or_default() as u64)
    }

    /// Runs one statement for its effect.
    pub(crate) async fn run(&self, statement: &Statement) -> Result<()> {
        in_time(DATABASE, WITHIN_MS, self.prepare(statement)?.run()).await.map_err(in_a_line)?;
        Ok(())
    }

    /// Runs statements as one transaction: all of them, or none.
    pub(crate) async fn batch(&self, statements: &[Statement]) -> Result<Vec<D1Result>> {
        let prepared =
            statements.iter().map(|statement| self.prepare(statement)).collect::<Result<_>>()?;
        in_time(DATABASE, WITHIN_MS, self.0.batch(prepared)).await.map_err(in_a_line)
    }

    fn prepare(&self, statement: &Statement) -> Result<D1PreparedStatement> {
        let prepared = self.0.prepare(statement.sql.as_str());
        if statement.params.is_empty() {
            return Ok(prepared);
        }
        #[expect(clippy::cast_precision_loss, reason = "times and counts stay far below 2^53")]
        let values: Vec<JsValue> = statement
            .params
            .iter()
            .map(|param| match param {
                Param::Null => JsValue::NULL,
                Param::Int(number) => JsValue::from_f64(*number as f64),
                Param::Text(text) => JsValue::from_str(text),
            })
            .collect();
        prepared.bind(&values)
    }
}

/// What D1 says of a failure. As `worker` writes it, it is a tree of many lines, of which the log keeps the first.
fn in_a_line(error: Error) -> Error {
    match error {
        Error::D1(error) => {
            let error: &js_sys::Error = error.as_ref();
            Error::RustError(error.message().into())
        }
        other => other,
    }
}

/// The rows of a result. They cross as one JSON text: field by field, each type of row would bring a reader of JS
/// objects with it, and the Worker would be a fifth larger.
pub(crate) fn rows<T: DeserializeOwned>(result: &D1Result) -> Result<Vec<T>> {
    Ok(json::read(&text(result)?)?)
}

/// How many rows a statement of a batch gave.
pub(crate) fn count_of(result: Option<&D1Result>) -> Result<usize> {
    result.map_or(Ok(0), |result| Ok(array(result)?.length() as usize))
}

fn text(result: &D1Result) -> Result<String> {
    let rows = array(result)?;
    Ok(String::from(js_sys::JSON::stringify(&rows)?))
}

fn array(result: &D1Result) -> Result<js_sys::Array> {
    #[derive(serde::Deserialize)]
    struct Raw(#[serde(with = "serde_wasm_bindgen::preserve")] JsValue);
    let raw: Vec<Raw> = result.results()?;
    Ok(raw.into_iter().map(|Raw(row)| row).collect())
}

/// A row of a table that keeps what it means in `doc`.
#[derive(serde::Deserialize)]
struct Doc {
    doc: String,
}

impl Doc {
    fn read<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(json::read(&self.doc)?)
    }
}

//! Pages of lists.

use inlet_gateway::page::{Page, PageQuery, Pagination};
use inlet_gateway::payload::query_value;
use inlet_gateway::search::{LOOK_FOR_MS, LOOKS, Search, values};
use worker::D1Result;

use super::*;

/// A page of rows.
pub(super) struct Found<T> {
    pub(super) rows: Vec<T>,
    pub(super) pagination: Pagination,
}

impl<T> Found<T> {
    /// The page with its rows as they are shown.
    pub(super) fn shown(self, content: Vec<Value>) -> Value {
        json!(Page { content, pagination: self.pagination })
    }
}

#[derive(Deserialize)]
struct Row {
    id: String,
    doc: String,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

impl Caller<'_> {
    /// A page of a list. `filters` are pairs of column and query parameter.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        list: List,
        project: &str,
        filters: &[(&'static str, &str)],
        search: &str,
    ) -> Result<Found<T>, Refusal> {
        let page = PageQuery::read(&self.query)?;
        let value = |name: &str| query_value(&self.query, name).filter(|text| !text.is_empty());
        let mut asked: Vec<(&'static str, Vec<String>)> = Vec::with_capacity(filters.len() + 1);
        for (column, name) in filters {
            asked.push((*column, values(&self.query, name)?));
        }
        asked.retain(|(_, values)| !values.is_empty());
        let own = self.scope.list_filter(list);
        asked.extend(own.map(|(column, value)| (column, vec![value])));
        self.list_page(list, project, &asked, value(search).as_deref(), &page).await
    }

    /// A page of a list, as [`Self::list`], where what is asked for was read before. `filters` are pairs of column and values.
    pub(super) async fn list_page<T: DeserializeOwned>(
        &self,
        list: List,
        project: &str,
        filters: &[(&'static str, Vec<String>)],
        search: Option<&str>,
        page: &PageQuery,
    ) -> Result<Found<T>, Refusal> {
        let (statement, before) = sql::list(list, project, filters, search, page);
        let db = self.bindings.db()?;
        let found: Vec<Row> = db.rows(&statement).await?;
        let has_before = match page.asks_before(found.first().map(|row| row.id.as_str())) {
            Some(first) => db.has(&before(first)).await?,
            None => false,
        };
        let (found, pagination) = page.page(found, |row| &row.id, None, has_before);
        let rows = found.iter().map(|row| json::read(&row.doc)).collect::<Result<_, _>>()?;
        Ok(Found { rows, pagination })
    }

    /// A page of a list of events or deliveries.
    pub(super) async fn search<T: DeserializeOwned>(
        &self,
        project: &Project,
        search: &Search,
        id: impl Fn(&T) -> &str,
    ) -> Result<Found<T>, Refusal> {
        let statements =
            |search: &Search, end: Option<&str>| vec![sql::search(search, &project.uid, end, &[])];
        let read = |_: &Search, results: &[D1Result]| results.first().map_or(Ok(Vec::new()), rows);
        self.search_by(project, search, (statements, read), id).await
    }

    /// A page of a list of events or deliveries. `of_look` makes the statements of a look, which may read more than the list up to
    /// where the rows of the look end, and reads their results.
    pub(super) async fn search_by<T>(
        &self,
        project: &Project,
        search: &Search,
        of_look: (
            impl Fn(&Search, Option<&str>) -> Vec<Statement>,
            impl Fn(&Search, &[D1Result]) -> worker::Result<Vec<T>>,
        ),
        id: impl Fn(&T) -> &str,
    ) -> Result<Found<T>, Refusal> {
        let (found, end) = self.look_for(project, search, of_look).await?;
        let has_before = match search.page.asks_before(found.first().map(&id)) {
            Some(first) => {
                let statement = sql::has_before(search, &project.uid, first);
                self.bindings.events(project.shard)?.has(&statement).await?
            }
            None => false,
        };
        let (rows, pagination) = search.page.page(found, id, end.as_deref(), has_before);
        Ok(Found { rows, pagination })
    }

    /// Looks until a page is full, and says where it stopped if there may be more. What is asked for may stand far
    /// behind what others have, and one statement that goes all the way would hold up everybody.
    pub(super) async fn look_for<T>(
        &self,
        project: &Project,
        search: &Search,
        (statements, read): (
            impl Fn(&Search, Option<&str>) -> Vec<Statement>,
            impl Fn(&Search, &[D1Result]) -> worker::Result<Vec<T>>,
        ),
    ) -> Result<(Vec<T>, Option<String>), Refusal> {
        let events = self.bindings.events(project.shard)?;
        let until_ms = now_ms() + LOOK_FOR_MS;
        let (mut found, mut end, mut looks) = (Vec::new(), None, 0);
        let mut next = Some(search.clone());
        while let Some(look) = next {
            end = self.scan_end(project, &look, look.scan_rows()).await?;
            let results = events.batch(&statements(&look, end.as_deref())).await?;
            found.extend(read(&look, &results)?);
            looks += 1;
            let may = looks < LOOKS && now_ms() < until_ms;
            next = search.onward(end.as_deref(), found.len()).filter(|_| may);
        }
        Ok((found, end))
    }

    /// Where the rows end that one look, or one step through many, may go over.
    pub(super) async fn scan_end(
        &self,
        project: &Project,
        search: &Search,
        rows: Option<u64>,
    ) -> Result<Option<String>, Refusal> {
        let end = rows.and_then(|rows| sql::scan_end(search, &project.uid, rows));
        let Some(end) = end else { return Ok(None) };
        let end: Option<Id> = self.bindings.events(project.shard)?.row(&end).await?;
        Ok(end.map(|end| end.id))
    }
}

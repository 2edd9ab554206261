//! Bodies in the object store, read into a part of the memory that is lent for them.

use std::cell::RefCell;
use std::thread::LocalKey;
use std::time::Duration;

use inlet_gateway::deliver::Delivery;
use inlet_gateway::event::StoredEvent;
use inlet_gateway::parked::Lack;
use inlet_gateway::room::{Holder, Shared, UNCOUNTED_BYTES};
use inlet_gateway::sql;
use worker::{Delay, Object, ObjectBody, ResponseBody, Result};

use crate::bindings::Bindings;
use crate::chance;
use crate::chunks::Chunks;
use crate::patience::{ANSWER_WITHIN_MS, STORE_BYTES_PER_MS, told};

/// What an isolate holds of bodies that go out: those that are sent, in our memory and in the runtime's, and those that the
/// API shows. [`crate::body`] says what of those that come in.
const OUT_MAX_BYTES: u64 = 40 * 1024 * 1024;
/// What it holds of bodies that functions and filters look into. It is no part of the other, so that no endpoint can be in the
/// way of routers.
const ROUTED_MAX_BYTES: u64 = 8 * 1024 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A body that is sent stands here and, as the request's, in the runtime.
const COPIES_OF_SENT: u64 = 2;

type Room = LocalKey<RefCell<Shared>>;

thread_local! {
    static OUT: RefCell<Shared> = RefCell::new(Shared::new(OUT_MAX_BYTES));
    static ROUTED: RefCell<Shared> = RefCell::new(Shared::new(ROUTED_MAX_BYTES));
}

/// Who asks for memory for bodies, for how many copies, and until when it is waited for.
pub(crate) struct Asker {
    room: &'static Room,
    holder: Holder,
    copies: u64,
    until_ms: u64,
}

impl Asker {
    /// A router, or who does its work, for an event of that project.
    pub(crate) fn router(project_id: &str, until_ms: u64) -> Self {
        let holder = Holder { project: project_id.to_owned(), endpoint: None };
        Self { room: &ROUTED, holder, copies: 1, until_ms }
    }

    /// A caller of the API.
    fn caller(project_id: &str, until_ms: u64) -> Self {
        let holder = Holder { project: project_id.to_owned(), endpoint: None };
        Self { room: &OUT, holder, copies: 1, until_ms }
    }

    pub(crate) fn delivery(delivery: &Delivery, until_ms: u64) -> Self {
        let (project, endpoint) = (delivery.project_id.clone(), delivery.endpoint_id.clone());
        let holder = Holder { project, endpoint: Some(endpoint) };
        Self { room: &OUT, holder, copies: COPIES_OF_SENT, until_ms }
    }

    /// Memory for a body of so many bytes, if it is there now.
    fn lent(&self, bytes: u64) -> Option<Loan> {
        let bytes = counted(bytes, self.copies);
        let fits = bytes == 0 || {
            let now = chance::now_ms();
            self.room.with_borrow_mut(|room| room.take(&self.holder, bytes, now))
        };
        fits.then(|| Loan { room: self.room, holder: self.holder.clone(), bytes })
    }

    async fn borrow(&self, bytes: u64) -> Option<Loan> {
        loop {
            if let Some(loan) = self.lent(bytes) {
                return Some(loan);
            }
            if self.until_ms < chance::now_ms() {
                return None;
            }
            Delay::from(LOOK_EVERY).await;
        }
    }
}

fn counted(bytes: u64, copies: u64) -> u64 {
    if bytes <= UNCOUNTED_BYTES { 0 } else { bytes.saturating_mul(copies) }
}

/// A part of the memory, given back when it is dropped.
pub(crate) struct Loan {
    room: &'static Room,
    holder: Holder,
    bytes: u64,
}

impl Loan {
    /// Makes it one for what is sent, if there is memory for that: what a function or a form makes of a body may be larger.
    pub(crate) fn grow(&mut self, bytes: u64) -> bool {
        let bytes = counted(bytes, COPIES_OF_SENT);
        let fits = bytes <= self.bytes
            || self.room.with_borrow_mut(|room| room.grow(&self.holder, self.bytes, bytes));
        if fits {
            self.bytes = self.bytes.max(bytes);
        }
        fits
    }

    /// Gives one of the two copies back of a body that is sent.
    pub(crate) fn give_one_copy_back(&mut self) {
        self.give_back(self.bytes / COPIES_OF_SENT);
    }

    fn give_back(&mut self, bytes: u64) {
        if bytes != 0 {
            self.room.with_borrow_mut(|room| room.give_back(&self.holder, bytes));
            self.bytes -= bytes;
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

/// What became of a body that was asked for.
pub(crate) enum Found {
    Bytes(Vec<u8>, Loan),
    /// It has so many bytes, and was not read.
    TooLarge(u64),
    /// There was no memory for it.
    NoRoom,
    /// The store has no such object.
    Gone,
}

/// The error of a request that has waited for room in vain.
pub(crate) fn no_room() -> worker::Error {
    worker::Error::RustError("no memory for the event's body right now".into())
}

/// Reads an object of at most `most` bytes.
pub(crate) async fn find(
    key: &str,
    most: u64,
    asker: &Asker,
    bindings: &Bindings,
) -> Result<Found> {
    let found = async { bindings.bodies()?.get(key).execute().await };
    let Some(object) = told(ANSWER_WITHIN_MS, found).await? else {
        return Ok(Found::Gone);
    };
    let size = object.size();
    if most < size {
        leave(&object);
        return Ok(Found::TooLarge(size));
    }
    let Some(loan) = asker.borrow(size).await else {
        leave(&object);
        return Ok(Found::NoRoom);
    };
    match object.body() {
        Some(body) => {
            let bytes = told(ANSWER_WITHIN_MS + size / STORE_BYTES_PER_MS, body.bytes()).await?;
            Ok(Found::Bytes(bytes, loan))
        }
        None => Ok(Found::Gone),
    }
}

/// The body of an event that was read with its row, or is read now. Nobody waits for memory with the body that it is for: that is
/// left, and read again.
pub(crate) async fn take(
    event: &mut StoredEvent,
    shard: u32,
    asker: &Asker,
    bindings: &Bindings,
) -> Result<Found> {
    let body = match event.take_inline_body() {
        Ok(body) => body,
        Err(key) => return find(key, u64::MAX, asker, bindings).await,
    };
    let bytes = body.len() as u64;
    if let Some(loan) = asker.lent(bytes) {
        return Ok(Found::Bytes(body, loan));
    }
    drop(body);
    let Some(loan) = asker.borrow(bytes).await else { return Ok(Found::NoRoom) };
    let again = sql::event(&event.project_id, &event.id);
    let again: Option<StoredEvent> = bindings.events(shard)?.row(&again).await?;
    Ok(match again.map(|mut event| event.take_inline_body().unwrap_or_default()) {
        Some(body) => Found::Bytes(body, loan),
        None => Found::Gone,
    })
}

/// Says that nobody will read it: until then its connection is one of the few that a request may have.
fn leave(object: &Object) {
    let stream = object.body().map(ObjectBody::response_body);
    if let Some(Ok(ResponseBody::Stream(stream))) = stream {
        drop(Chunks::of(&stream));
    }
}

/// Reads an object of any size for a caller of the API, and waits for memory until `until_ms`. `None` when it is gone.
pub(crate) async fn read(
    key: &str,
    project_id: &str,
    until_ms: u64,
    bindings: &Bindings,
) -> Result<Option<(Vec<u8>, Option<Loan>)>> {
    match find(key, u64::MAX, &Asker::caller(project_id, until_ms), bindings).await? {
        Found::Bytes(bytes, loan) => Ok(Some((bytes, Some(loan)))),
        Found::NoRoom => Err(no_room()),
        Found::TooLarge(_) | Found::Gone => Ok(None),
    }
}

/// The bytes of an event, wherever they are, for a caller of the API.
pub(crate) async fn body_of(
    event: &StoredEvent,
    until_ms: u64,
    bindings: &Bindings,
) -> Result<Option<(Vec<u8>, Option<Loan>)>> {
    match event.inline_body() {
        Ok(body) => Ok(Some((body, None))),
        Err(key) => read(key, &event.project_id, until_ms, bindings).await,
    }
}

/// What an error, which is ours, leaves an event without.
#[expect(clippy::needless_pass_by_value, reason = "it is mapped over errors")]
pub(crate) fn unavailable(error: worker::Error) -> Lack {
    Lack::Unavailable(error.to_string())
}

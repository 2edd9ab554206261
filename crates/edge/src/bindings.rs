//! The names of bindings, variables and secrets: each is named here and nowhere else.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use inlet_gateway::backlog::Queued;
use inlet_gateway::json;
use inlet_gateway::settings::Settings;
use inlet_gateway::shard::SHARDS_MAX;
use inlet_gateway::transform::Burnt;
use inlet_gateway::vault::Vault;
use js_sys::Uint8Array;
use serde_json::json;
use worker::{Bucket, Context, D1Database, Env, KvStore, Queue, Result};

use crate::store::Store;
use crate::{chance, glue, log};

/// What the variables say, and what is wrong with them. They do not change while an isolate lives, so they are read once.
struct Read {
    settings: Rc<Settings>,
    faults: Rc<[String]>,
}

impl Read {
    fn of(env: &Env) -> Self {
        let (settings, faults) = Settings::from_lookup(|name| Some(text(env, name)));
        log::set_debug(settings.is_debug);
        if !faults.is_empty() {
            log::error("not_configured", json!({"faults": faults}));
        }
        Self { settings: Rc::new(settings), faults: faults.into() }
    }
}

/// Messages that one `sendBatch` of a queue takes.
/// <https://developers.cloudflare.com/queues/platform/limits/>
pub(crate) const SEND_BATCH_MAX: usize = 100;

/// What an invocation does beside its work.
pub(crate) struct Background {
    pub(crate) context: Context,
    /// Whether calls of a router go on there: an invocation has only so many connections.
    pub(crate) is_calling: Cell<bool>,
}

/// What the Worker is bound to. Made once for each invocation: a binding must not outlive it.
#[derive(Clone)]
pub(crate) struct Bindings {
    env: Env,
    pub(crate) settings: Rc<Settings>,
    /// Which variables have values that are not understood, and what they may be.
    pub(crate) faults: Rc<[String]>,
    /// Where a router leaves calls that go on beside it; only of the consumer of a queue.
    pub(crate) background: Option<Rc<Background>>,
    /// By users' functions, in this invocation.
    pub(crate) burnt: Rc<Burnt>,
    /// From when on nothing new is begun, Unix milliseconds.
    until: Option<u64>,
}

impl Bindings {
    pub(crate) fn new(env: Env) -> Self {
        thread_local! {
            static READ: OnceCell<Read> = const { OnceCell::new() };
        }
        let (settings, faults) = READ.with(|read| {
            let read = read.get_or_init(|| Read::of(&env));
            (Rc::clone(&read.settings), Rc::clone(&read.faults))
        });
        Self { env, settings, faults, background: None, burnt: Rc::default(), until: None }
    }

    pub(crate) fn with_background(self, background: Rc<Background>) -> Self {
        Self { background: Some(background), ..self }
    }

    /// These bindings with all of the fuel: for work whose functions are not to suffer from what others have burnt in this
    /// invocation.
    pub(crate) fn refuelled(&self) -> Self {
        Self { burnt: Rc::default(), ..self.clone() }
    }

    /// These bindings for work that begins with nothing new from `until` on, Unix milliseconds. `None`: at any time.
    pub(crate) fn until(&self, until: Option<u64>) -> Self {
        Self { until, ..self.clone() }
    }

    pub(crate) fn has_time(&self) -> bool {
        self.until.is_none_or(|until| chance::now_ms() < until)
    }

    /// The numbers of rounds, from 1 on: `most` of them, and none once the time is over.
    pub(crate) fn rounds(&self, most: usize) -> impl Iterator<Item = usize> {
        (1..=most).take_while(|_| self.has_time())
    }

    pub(crate) fn db(&self) -> Result<Store> {
        Ok(Store::new(self.d1("DB")?))
    }

    /// The event shard of that number.
    pub(crate) fn events(&self, shard: u32) -> Result<Store> {
        Ok(Store::new(self.d1(&events_name(shard))?))
    }

    /// All event shards, counted from 0 up to the first that is not bound.
    pub(crate) fn shards(&self) -> Vec<u32> {
        (0..SHARDS_MAX).take_while(|shard| self.d1(&events_name(*shard)).is_ok()).collect()
    }

    pub(crate) fn config(&self) -> Result<KvStore> {
        self.env.kv("CONFIG")
    }

    pub(crate) fn bodies(&self) -> Result<Bucket> {
        self.env.bucket("BODIES")
    }

    /// The ingest queue of a shard.
    pub(crate) fn ingest_queue(&self, shard: u32) -> Result<Queue> {
        self.env.queue(&ingest_name(shard))
    }

    /// What waits in the ingest queue of a shard, as far as the runtime says.
    pub(crate) async fn queued(&self, shard: u32) -> Result<Queued> {
        Ok(json::read(&glue::queued(&self.env, &ingest_name(shard)).await?)?)
    }

    /// Sends one message to the ingest queue of a shard. When this returns `Ok`, it is durable.
    pub(crate) async fn send_ingest(
        &self,
        shard: u32,
        head: &[u8],
        body: &[u8],
        read: Option<&Uint8Array>,
    ) -> Result<()> {
        glue::send(&self.env, &ingest_name(shard), head, body, read).await
    }

    /// Inserts a row of three values into the events of a shard: fields, body, and whether that is base64.
    pub(crate) async fn insert(
        &self,
        shard: u32,
        sql: &str,
        fields: &str,
        body: &str,
        is_base64: bool,
    ) -> Result<()> {
        glue::insert(&self.env, &events_name(shard), sql, fields, body, is_base64).await
    }

    /// The queue of bells of a shard.
    pub(crate) fn deliver_queue(&self, shard: u32) -> Result<Queue> {
        self.env.queue(&format!("DELIVER_{shard}"))
    }

    /// The key that creates projects; `None` closes that part of the API.
    pub(crate) fn root_key(&self) -> Option<String> {
        Some(text(&self.env, "ROOT_KEY")).filter(|key| !key.trim().is_empty())
    }

    /// The vault of this isolate. It is made once: its key does not change while the Worker lives.
    pub(crate) fn vault(&self) -> std::result::Result<Rc<Vault>, inlet_gateway::vault::VaultError> {
        thread_local! {
            static VAULT: RefCell<Option<Rc<Vault>>> = const { RefCell::new(None) };
        }
        if let Some(vault) = VAULT.with_borrow(Clone::clone) {
            return Ok(vault);
        }
        let vault = Rc::new(Vault::new(&text(&self.env, "ENCRYPTION_KEY"))?);
        VAULT.set(Some(Rc::clone(&vault)));
        Ok(vault)
    }

    fn d1(&self, name: &str) -> Result<D1Database> {
        self.env.d1(name)
    }
}

fn events_name(shard: u32) -> String {
    format!("EVENTS_{shard}")
}

fn ingest_name(shard: u32) -> String {
    format!("INGEST_{shard}")
}

/// A variable or secret; empty when it is not set.
fn text(env: &Env, name: &str) -> String {
    env.var(name).map(|value| value.to_string()).unwrap_or_default()
}

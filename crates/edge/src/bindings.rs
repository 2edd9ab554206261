//! The names of bindings, variables and secrets: each is named here and nowhere else.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use inlet_gateway::vault::Vault;
use worker::{Bucket, D1Database, Env, KvStore, Queue, Result};

use crate::store::Store;
use crate::{glue, log};

/// How an accepted event becomes durable first; the other way is the fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    Queue,
    Journal,
}

/// What the variables say. They do not change while an isolate lives, so they are read once.
pub(crate) struct Settings {
    pub(crate) durability: Durability,
    pub(crate) allow_private_endpoints: bool,
    /// Without a final slash; empty when the request's own origin is the public one.
    pub(crate) public_url: String,
    /// Milliseconds after which the sweep takes a bell for lost.
    pub(crate) sweep_after_ms: u64,
    /// Whether the queues are Miniflare's: in memory, and with one consumer at a time. Then bells are watched by the outbox,
    /// and dispatchers run on after their message is acknowledged, so that a slow endpoint does not hold up all others.
    pub(crate) local_queue: bool,
    /// Seconds until a queue message whose work failed is tried again.
    pub(crate) retry_s: u32,
}

impl Settings {
    fn read(env: &Env) -> Self {
        let var = |name: &str| text(env, name);
        let is_true = |name: &str| var(name).eq_ignore_ascii_case("true");
        log::set_level(&var("LOG_LEVEL"));
        Self {
            durability: match var("DURABILITY").as_str() {
                "journal" => Durability::Journal,
                _ => Durability::Queue,
            },
            allow_private_endpoints: is_true("ALLOW_PRIVATE_ENDPOINTS"),
            public_url: var("PUBLIC_URL").trim().trim_end_matches('/').to_owned(),
            sweep_after_ms: var("SWEEP_AFTER_SECONDS")
                .parse()
                .unwrap_or(60u64)
                .saturating_mul(1000),
            local_queue: is_true("LOCAL_QUEUE"),
            retry_s: var("RETRY_SECONDS").parse().unwrap_or(30),
        }
    }
}

/// What the Worker is bound to. Made once for each invocation: a binding must not outlive it.
#[derive(Clone)]
pub(crate) struct Bindings {
    env: Env,
    pub(crate) settings: Rc<Settings>,
}

impl Bindings {
    pub(crate) fn new(env: Env) -> Self {
        thread_local! {
            static SETTINGS: OnceCell<Rc<Settings>> = const { OnceCell::new() };
        }
        let settings =
            SETTINGS.with(|read| Rc::clone(read.get_or_init(|| Rc::new(Settings::read(&env)))));
        Self { env, settings }
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
        (0..64).take_while(|shard| self.d1(&events_name(*shard)).is_ok()).collect()
    }

    pub(crate) fn config(&self) -> Result<KvStore> {
        self.env.kv("CONFIG")
    }

    pub(crate) fn bodies(&self) -> Result<Bucket> {
        self.env.bucket("BODIES")
    }

    pub(crate) fn ingest_queue(&self) -> Result<Queue> {
        self.env.queue("INGEST_0")
    }

    /// Sends one message to the ingest queue. When this returns `Ok`, it is durable.
    pub(crate) async fn send_ingest(&self, head: &[u8], body: &[u8]) -> Result<()> {
        glue::send(&self.env, "INGEST_0", head, body).await
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

    pub(crate) fn deliver_queue(&self) -> Result<Queue> {
        self.env.queue("DELIVER")
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

/// A variable or secret; empty when it is not set.
fn text(env: &Env, name: &str) -> String {
    env.var(name).map(|value| value.to_string()).unwrap_or_default()
}

//! Companions: what they read, and the messages that they hand in.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures_util::future::join;
use inlet_gateway::batch::{
    Asks, Batch, CONTENT_TYPE, HEAD_MAX_BYTES, Late, Message, Outcome, PAYLOADS_MAX_BYTES, Verdict,
    Verdicts, judge,
};
use inlet_gateway::consumer::{self, Report};
use inlet_gateway::dead_letter::DeadLetter;
use inlet_gateway::ids;
use inlet_gateway::push::{Push, To};
use inlet_gateway::rejection::Rejection;
use inlet_gateway::routes::ConsumerCall;
use inlet_gateway::settings::Way;
use inlet_gateway::transform::Burnt;

use super::consumer_keys::{note_key, project_of};
use super::dynamic::Dynamics;
use super::*;
use crate::ingest::{Order, make_all_durable};
use crate::patience::{ANSWER_WITHIN_MS, DATABASE, in_time};
use crate::{backlog, companions, dead_letters, transform};

/// For how many seconds companions are asked to wait when events do.
const BEHIND_RETRY_S: u64 = 2;
/// Reports older than this are forgotten.
const REPORTS_KEPT_MS: u64 = 3_600_000;

/// Carries out a call of a companion.
pub(crate) async fn serve(
    mut request: Request,
    call: ConsumerCall,
    bindings: &Bindings,
    context: &Context,
) -> Reply {
    match answer(&mut request, call, bindings, context).await {
        Ok(reply) => reply,
        Err(refusal) => refusal.reply(),
    }
}

async fn answer(
    request: &mut Request,
    call: ConsumerCall,
    bindings: &Bindings,
    context: &Context,
) -> Result<Reply, Refusal> {
    let (hash, project) = project_of(&header(request, "authorization"), bindings).await?;
    note_key(hash, bindings, context);
    let mut caller = Caller {
        bindings,
        context,
        query: String::new(),
        version: Version::V20251124,
        origin: String::new(),
        body: Vec::new(),
        scope: Scope::Project,
        untold: Cell::default(),
    };
    match call {
        ConsumerCall::Sources => {
            caller.told_sources(&project, &header(request, "if-none-match")).await
        }
        ConsumerCall::Status => {
            let length = body::length(request);
            let read = body::read(request.inner(), &project.uid, length, BODY_MAX_BYTES).await;
            let (body, _share) = read.map_err(unread)?;
            caller.body = body.bytes;
            caller.keep_report(&project).await
        }
        ConsumerCall::Batch => {
            let content_type = header(request, "content-type").trim().to_ascii_lowercase();
            if content_type.split(';').next() != Some(CONTENT_TYPE) {
                return Err(
                    ApiError::new(415, format!("the body of a batch is {CONTENT_TYPE}")).into()
                );
            }
            let encoding = header(request, "content-encoding").trim().to_ascii_lowercase();
            let payload = usize::try_from(project.config.max_payload_read_size);
            let payload = payload.unwrap_or(usize::MAX).max(PAYLOADS_MAX_BYTES);
            let limit = (HEAD_MAX_BYTES + payload) as u64;
            let read = match encoding.as_str() {
                "" | "identity" => {
                    let length = body::length(request);
                    body::read(request.inner(), &project.uid, length, limit).await
                }
                "gzip" => body::read_gzip(request, &project.uid, limit).await,
                _ => {
                    let text = "the body of a batch is as it is, or compressed with gzip";
                    return Err(ApiError::new(415, text).into());
                }
            };
            let (body, _share) = read.map_err(unread)?;
            caller.take_batch(&project, &body.bytes).await
        }
    }
}

impl Caller<'_> {
    async fn told_sources(&self, project: &Project, if_none_match: &str) -> Result<Reply, Refusal> {
        let sources: Vec<Source> =
            self.bindings.db()?.docs(&sql::pub_sub_sources(&project.uid)).await?;
        let etag = consumer::etag(project, &sources);
        let mut reply = if consumer::is_known(if_none_match, &etag) {
            empty(304)
        } else {
            let listing = consumer::sources(project, &sources, &*self.bindings.vault()?);
            reply(&Answer { status: 200, body: json!(listing) })
        };
        reply.headers.push(("etag".into(), etag));
        reply.headers.push(("cache-control".into(), "no-store".into()));
        Ok(reply)
    }

    async fn keep_report(&self, project: &Project) -> Result<Reply, Refusal> {
        let report: Report = api::parse(&self.body)?;
        let rows: Vec<Value> = report
            .sources
            .iter()
            .map(|source| json!([source.source_id, json!(source).to_string()]))
            .collect();
        let now = now_ms();
        let statements = sql::keep_reports(
            &project.uid,
            &report.companion,
            &report.version,
            json!(rows),
            now,
            now.saturating_sub(REPORTS_KEPT_MS),
        );
        self.bindings.db()?.batch(&statements).await?;
        Ok(empty(204))
    }

    async fn take_batch(&self, project: &Project, body: &[u8]) -> Result<Reply, Refusal> {
        let batch = Batch::read(body)?;
        let source = self.broker_source(project, &batch.source_id).await?;
        if source.is_disabled {
            return Err(ApiError::new(409, "the source is disabled").into());
        }
        if let Some(seconds) = self.behind(project.shard).await {
            let text = format!(
                "events wait to be routed since {seconds} s: the broker is the better place to wait"
            );
            return Err(Refusal::Later(ApiError::new(429, text), BEHIND_RETRY_S));
        }
        let verdicts = self.take_messages(project, &source, &batch.messages, true).await?;
        if Verdict::are_all_ours(&verdicts) {
            return Ok(Rejection::NotDurable.reply());
        }
        log::debug(
            "batch",
            || json!({"source_id": source.uid, "messages": verdicts.len(), "bytes": body.len()}),
        );
        Ok(reply(&Answer { status: 200, body: json!(Verdicts { results: verdicts }) }))
    }

    /// For how many seconds the oldest event has waited in the journal, when that is too long.
    async fn behind(&self, shard: u32) -> Option<u64> {
        if self.bindings.settings.durability != Way::Journal {
            return None;
        }
        let now = now_ms();
        // A journal that cannot be read may still be written, and if not, that will be said.
        let oldest = backlog::oldest(shard, now, self.bindings);
        let oldest = in_time(DATABASE, ANSWER_WITHIN_MS, oldest).await;
        oldest.ok()?.holds_companions(now)
    }

    /// The source that a batch is of, as this isolate knows it.
    async fn broker_source(&self, project: &Project, id: &str) -> Result<Rc<Source>, Refusal> {
        let source = companions::source(self.bindings, &project.uid, id).await?;
        let source = source.ok_or_else(|| ApiError::not_found("source not found"))?;
        if source.pub_sub.is_none() {
            return Err(ApiError::not_found("source not found: it reads no broker").into());
        }
        Ok(source)
    }

    /// Takes messages in, and says of each what became of it. What it says is durable, but that a message is a dead letter
    /// only if `keeps`: a replay has one already.
    pub(super) async fn take_messages(
        &self,
        project: &Project,
        source: &Source,
        messages: &[Message<'_>],
        keeps: bool,
    ) -> Result<Vec<Verdict>, Refusal> {
        let now = now_ms();
        let mapping = source.pub_sub.as_ref().and_then(|pub_sub| pub_sub.mapping.as_ref());
        let mut given: Vec<Result<(Cow<'_, Message<'_>>, Push), Late>> =
            Vec::with_capacity(messages.len());
        for message in messages {
            let message = match &message.dead {
                Some(reason) => Err(Late::Dead(reason.clone())),
                None => transformed(source, message, &self.bindings.burnt).await,
            };
            given.push(message.and_then(|message| {
                let push = message.push(mapping).map_err(Late::Dead)?;
                Ok((message, push))
            }));
        }
        let types = given.iter().flatten().map(|(_, push)| push.event_type.as_str());
        let schemas = self.schemas(project, types).await?;
        let fits = given.into_iter().map(|given| {
            given.and_then(|(message, push)| match schemas.check(&push) {
                Ok(()) => Ok((message, push)),
                Err(error) => Err(Late::Dead(error.message)),
            })
        });
        let given: Vec<_> = fits.collect();
        let pushes = given.iter().flatten().map(|(_, push)| push);
        let mut dynamics = self.dynamics(project, pushes).await;
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(messages.len());
        let uids = ids::uids(now, messages.len(), &mut fill);
        for ((given, original), id) in given.into_iter().zip(messages).zip(uids) {
            let made = given.and_then(|(message, mut push)| {
                resolve(&mut push, &mut dynamics, project, self.bindings)?;
                let known_as =
                    if keeps { original.identity(source) } else { original.dead_identity(source) };
                let made = message.envelope(push, known_as.as_deref(), source, project, id, now);
                made.map_err(Late::Dead)
            });
            outcomes.push(match made {
                Ok(envelope) => Outcome::Ready(Box::new(envelope)),
                Err(late) => late.outcome(),
            });
        }
        if let Ok(dynamics) = dynamics {
            self.subscribe_dynamics(dynamics).await?;
        }
        // A message that comes again after its dead letter was replayed is a copy of that event.
        let replayed: Vec<Option<String>> = if keeps {
            messages.iter().map(|message| message.replay_key(source)).collect()
        } else {
            Vec::new()
        };
        self.look_up(project, &mut outcomes, &replayed, now).await?;

        let mut envelopes = Vec::with_capacity(messages.len());
        let (mut letters, mut ready, mut dead) = (Vec::new(), Vec::new(), Vec::new());
        let mut verdicts = Vec::with_capacity(messages.len());
        for (place, (outcome, message)) in outcomes.into_iter().zip(messages).enumerate() {
            verdicts.push(match outcome {
                Outcome::Done(verdict) => verdict,
                Outcome::Ready(envelope) => {
                    let event_id = envelope.meta.event_id.clone();
                    ready.push(place);
                    envelopes.push(*envelope);
                    Verdict::Accepted { event_id }
                }
                Outcome::Dead(reason) if !keeps => {
                    Verdict::DeadLetter { id: String::new(), reason }
                }
                Outcome::Dead(reason) => {
                    let id = chance::uid(now);
                    dead.push(place);
                    letters.push(DeadLetter::of_message(
                        message,
                        &project.uid,
                        &source.uid,
                        message.dead_identity(source),
                        &reason,
                        id.clone(),
                        now,
                    ));
                    Verdict::DeadLetter { id, reason }
                }
            });
        }
        let durable = make_all_durable(envelopes, Order::Kept, self.bindings, self.context).await;
        for (place, done) in ready.into_iter().zip(durable) {
            if let (Err(rejection), Some(verdict)) = (done, verdicts.get_mut(place)) {
                *verdict = Verdict::Retry { reason: rejection.to_string(), is_ours: true };
            }
        }
        if !letters.is_empty() {
            self.keep_letters(project, &letters, dead, &mut verdicts).await;
        }
        Ok(verdicts)
    }

    /// Keeps these dead letters, each of the verdict at its place, which says then under which id, or that it is not kept.
    async fn keep_letters(
        &self,
        project: &Project,
        letters: &[DeadLetter],
        places: Vec<usize>,
        verdicts: &mut [Verdict],
    ) {
        let kept = dead_letters::keep(letters, project.shard, self.bindings).await;
        let kept = kept.inspect_err(|error| {
            log::error("dead_letter_not_kept", json!({"error": error.to_string()}));
        });
        let mut kept = kept.unwrap_or_default().into_iter();
        for place in places {
            match (verdicts.get_mut(place), kept.next()) {
                (Some(Verdict::DeadLetter { id, .. }), Some(kept)) => *id = kept,
                (Some(verdict), _) => {
                    let reason = "the dead letter could not be stored".to_owned();
                    *verdict = Verdict::Retry { reason, is_ours: true };
                }
                (None, _) => {}
            }
        }
    }

    /// Looks whether the endpoints and owners of events are there, and whether their keys are held: each for all at once.
    async fn look_up(
        &self,
        project: &Project,
        outcomes: &mut [Outcome],
        replayed: &[Option<String>],
        now: u64,
    ) -> Result<(), Refusal> {
        let Asks { endpoints, owners, keys, places } = Asks::of(outcomes, replayed);
        #[derive(Deserialize)]
        struct Have {
            kind: String,
            id: String,
        }
        #[derive(Deserialize)]
        struct Held {
            at: usize,
            event_id: String,
        }
        let known = async {
            if endpoints.is_empty() && owners.is_empty() {
                return Ok(Vec::new());
            }
            let statement = sql::known_targets(&project.uid, json!(endpoints), json!(owners));
            self.bindings.db()?.rows::<Have>(&statement).await
        };
        let held = async {
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            let statement = sql::held_claims(Value::Array(keys), now);
            self.bindings.events(project.shard)?.rows::<Held>(&statement).await
        };
        let known = in_time(DATABASE, ANSWER_WITHIN_MS, known);
        let held = in_time(DATABASE, ANSWER_WITHIN_MS, held);
        let (known, held) = join(known, held).await;
        let known = known?;
        // The router decides what is a copy; this only says it earlier.
        let held: BTreeMap<usize, String> = held
            .unwrap_or_default()
            .into_iter()
            .filter_map(|held| Some((*places.get(held.at)?, held.event_id)))
            .collect();
        let known: BTreeSet<(&str, &str)> =
            known.iter().map(|have| (have.kind.as_str(), have.id.as_str())).collect();
        judge(outcomes, &known, &held);
        Ok(())
    }
}

/// Finds the endpoint of an event among those that were looked up.
fn resolve(
    push: &mut Push,
    dynamics: &mut Result<Dynamics, Refusal>,
    project: &Project,
    bindings: &Bindings,
) -> Result<(), Late> {
    let resolved = match dynamics {
        Ok(dynamics) => dynamics.resolve(push, project, bindings),
        Err(_) if !matches!(push.to, To::Url(_)) => Ok(()),
        Err(_) => Err(ApiError::new(503, "the endpoint could not be looked up").into()),
    };
    resolved.map_err(|refusal| match refusal {
        Refusal::Api(error) if error.status < 500 => Late::Dead(error.message),
        _ => Late::Retry("the endpoint could not be looked up".to_owned()),
    })
}

/// The message as its source's functions make it. One that fails is a dead letter: a replay runs them again.
async fn transformed<'m, 'p>(
    source: &Source,
    message: &'m Message<'p>,
    burnt: &Burnt,
) -> Result<Cow<'m, Message<'p>>, Late> {
    let functions = &source.functions;
    let mut message = Cow::Borrowed(message);
    if !functions.body.is_empty() {
        let input = message.body_input().map_err(Late::Dead)?;
        let output = ran((source, "body"), &functions.body, &input, burnt).await?;
        message = Cow::Owned(message.into_owned().with_body(output));
    }
    if !functions.header.is_empty() {
        let output =
            ran((source, "header"), &functions.header, &message.headers_input(), burnt).await?;
        let replaced = message.into_owned().with_headers(&output);
        message = Cow::Owned(replaced.map_err(Late::Dead)?);
    }
    Ok(message)
}

async fn ran(
    (source, which): (&Source, &str),
    code: &str,
    input: &str,
    burnt: &Burnt,
) -> Result<String, Late> {
    match transform::run(burnt, &source.uid, code, input, false).await {
        Ok(Ok(ran)) => Ok(ran.output),
        Ok(Err(fault)) => Err(Late::Dead(format!("the {which} function failed: {fault}"))),
        Err(lack) => {
            log::error("function_not_run", json!({"error": lack.to_string()}));
            Err(Late::of_function(lack))
        }
    }
}

fn empty(status: u16) -> Reply {
    Reply { status, content_type: "application/json".into(), headers: Vec::new(), body: Vec::new() }
}

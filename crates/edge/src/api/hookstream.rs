//! Hookstream's dialect: `/v1/sources`.

use inlet_gateway::hookstream::{self, HookstreamSource, Input, SessionInput, SessionResponse};
use inlet_gateway::routes::SourceCall;

use super::list::Found;
use super::*;

/// Carries out a call of Hookstream's API.
pub(crate) async fn serve_hookstream(
    mut request: Request,
    call: SourceCall<'_>,
    bindings: &Bindings,
    context: &Context,
) -> Reply {
    match carry_out(&mut request, call, bindings, context).await {
        Ok(answer) => reply(&answer),
        Err(refusal) => refuse(refusal),
    }
}

fn refuse(refusal: Refusal) -> Reply {
    let (error, retry) = refusal.told();
    let id = chance::request_id();
    log::info("refused", json!({"request_id": id, "status": error.status}));
    reply(&hookstream::refusal(&error, &id)).retry_after(retry)
}

/// No such call below `/v1`.
pub(crate) fn no_hookstream_call(allow: Option<&'static str>) -> Reply {
    let error = match allow {
        None => ApiError::not_found("not found: there is no such call"),
        Some(allow) => ApiError::no_method(allow),
    };
    let mut reply = refuse(Refusal::Api(error));
    reply.headers.extend(allow.map(|allow| ("allow".into(), allow.to_owned())));
    reply
}

async fn carry_out(
    request: &mut Request,
    call: SourceCall<'_>,
    bindings: &Bindings,
    context: &Context,
) -> Answered {
    // A header that is there counts, also when nothing is in it.
    let authorization = match request.headers().get("x-api-key").ok().flatten() {
        Some(key) => format!("Bearer {}", key.trim()),
        None => header(request, "authorization"),
    };
    // No token of a portal link is taken from a URL here.
    let key = authenticate(&authorization, "", false, bindings).await?;
    check_content_type(&header(request, "content-type"))?;
    let (origin, query) = origin_and_query(request, bindings);
    let (body, _share) = read_body(request, key.holder(), BODY_MAX_BYTES).await?;
    let input = Input::read(&call, &body.bytes)?;
    let caller = Caller {
        bindings,
        context,
        query,
        origin,
        version: Version::V20251124,
        body: Vec::new(),
        scope: Scope::Project,
        untold: Cell::default(),
    };
    let named = hookstream::named_projects(&caller.query, &input);
    let project: Project = match key {
        Key::Root => {
            let id = hookstream::one_project(named)?;
            caller.doc(&sql::project(&id), "project not found").await?
        }
        Key::Project(own) => {
            hookstream::check_projects(named, &own.uid)?;
            Rc::unwrap_or_clone(own)
        }
        Key::Owner(..) => {
            return Err(ApiError::new(403, "the token of a portal link opens no sources").into());
        }
    };
    let once = async || {
        let input = Input::read(&call, &body.bytes)?;
        caller.of_sources(&project, call, input).await
    };
    again(once, is_overtaken).await
}

impl Caller<'_> {
    async fn of_sources(&self, project: &Project, call: SourceCall<'_>, input: Input) -> Answered {
        match (call, input) {
            (SourceCall::Create, Input::Source(input)) => {
                self.create_hookstream(project, *input).await
            }
            (SourceCall::Change(id), Input::Source(input)) => {
                self.change_hookstream(project, id, *input).await
            }
            (SourceCall::OpenSession, Input::Session(input)) => {
                self.open_session(project, input).await
            }
            (SourceCall::ClaimSession(id), Input::Session(input)) => {
                self.claim_session(project, id, input).await
            }
            (SourceCall::AnswerSession(id), Input::Response(input)) => {
                self.answer_session(project, id, input).await
            }
            (SourceCall::GetSession(id), _) => {
                let session = self.session(project, id).await?;
                self.show_session(project, &session, 200).await
            }
            (SourceCall::DeleteSession(id), _) => {
                self.session(project, id).await?;
                self.remove_source(project, id).await?;
                Ok(Answer { status: 200, body: json!({"deleted": true, "id": id}) })
            }
            (SourceCall::Get(id), _) => {
                let source = self.source(&project.uid, id).await?;
                self.show_source(project, &source, 200).await
            }
            (SourceCall::Delete(id), _) => {
                self.remove_source(project, id).await?;
                Ok(Answer { status: 200, body: json!({"deleted": true, "id": id}) })
            }
            _ => self.list_hookstream(project).await,
        }
    }

    async fn create_hookstream(&self, project: &Project, input: HookstreamSource) -> Answered {
        let vault = self.bindings.vault()?;
        let source = hookstream::create(input, &project.uid, &vault, now_ms(), &mut fill)?;
        self.insert_source(project, &source).await?;
        self.show_source(project, &source, 201).await
    }

    async fn change_hookstream(
        &self,
        project: &Project,
        id: &str,
        input: HookstreamSource,
    ) -> Answered {
        let vault = self.bindings.vault()?;
        let mut source = self.source(&project.uid, id).await?;
        let before = source.updated_at;
        hookstream::change(&mut source, input, &vault, now_ms(), &mut fill)?;
        self.replace_source(project, &source, before).await?;
        self.show_source(project, &source, 200).await
    }

    async fn list_hookstream(&self, project: &Project) -> Answered {
        let page = hookstream::page(&self.query)?;
        let Found { rows: sources, pagination } =
            self.list_page(List::Sources, &project.uid, &[], None, &page).await?;
        let counts = self.counts(project, &sources).await?;
        let present = |source: &Source| hookstream::present(source, &self.origin, &counts);
        let shown: Vec<Value> = sources.iter().map(present).collect();
        let has_more = pagination.has_next_page;
        let next = has_more.then_some(pagination.next_page_cursor);
        let body = json!({"sources": shown, "cursor": next, "has_more": has_more});
        Ok(Answer { status: 200, body })
    }

    async fn session(&self, project: &Project, id: &str) -> Result<Source, Refusal> {
        let source: Source = self.doc(&sql::source(&project.uid, id), "session not found").await?;
        hookstream::check_session(&source)?;
        Ok(source)
    }

    async fn open_session(&self, project: &Project, input: SessionInput) -> Answered {
        let vault = self.bindings.vault()?;
        let session = hookstream::open_session(input, &project.uid, &vault, now_ms(), &mut fill)?;
        self.insert_source(project, &session).await?;
        self.show_session(project, &session, 201).await
    }

    async fn claim_session(&self, project: &Project, id: &str, input: SessionInput) -> Answered {
        let vault = self.bindings.vault()?;
        let mut source = self.session(project, id).await?;
        let before = source.updated_at;
        hookstream::claim(&mut source, input, &vault, now_ms(), &mut fill)?;
        self.replace_source(project, &source, before).await?;
        self.show_source(project, &source, 200).await
    }

    async fn answer_session(
        &self,
        project: &Project,
        id: &str,
        input: SessionResponse,
    ) -> Answered {
        let vault = self.bindings.vault()?;
        let mut session = self.session(project, id).await?;
        let before = session.updated_at;
        hookstream::respond(&mut session, input, &vault, now_ms(), &mut fill)?;
        self.replace_source(project, &session, before).await?;
        self.show_session(project, &session, 200).await
    }

    async fn show_session(&self, project: &Project, session: &Source, status: u16) -> Answered {
        #[derive(Deserialize)]
        struct Had {
            requests: u64,
        }
        let statement = sql::requests_of(&project.uid, &session.uid);
        let had: Option<Had> = self.bindings.events(project.shard)?.row(&statement).await?;
        let had = had.map_or(0, |had| had.requests);
        Ok(Answer { status, body: hookstream::present_session(session, &self.origin, had) })
    }

    async fn show_source(&self, project: &Project, source: &Source, status: u16) -> Answered {
        let counts = self.counts(project, std::slice::from_ref(source)).await?;
        let shown = hookstream::present(source, &self.origin, &counts);
        Ok(Answer { status, body: json!({"source": shown}) })
    }
}

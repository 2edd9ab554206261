use serde_json::Value;

use super::*;
use crate::api::parse;
use crate::endpoint::Status;
use crate::made::OfSource;
use crate::portal::PortalLink;
use crate::sql::tests::{database, plan, run, vault};
use crate::sql::{
    endpoint_statuses, event_type_named, functions_of, insert_portal_link, pointed, slug_taken,
    subscribe_dynamic, update_event_type, update_portal_link,
};

type Db = rusqlite::Connection;

fn new_project(uid: &str, shard: u32) -> Project {
    let input = parse(br#"{"name":"a","type":"outgoing"}"#).unwrap();
    let made = Project::create(input, shard, 0, &mut |b| b.fill(1)).unwrap();
    Project { uid: uid.into(), name: uid.into(), ..made }
}

fn new_source(n: u8, name: &str, mut fields: Value) -> Source {
    fields["name"] = name.into();
    fields["type"] = "http".into();
    let input = parse(fields.to_string().as_bytes()).unwrap();
    Source::create(input, "p", &vault(), 0, &mut |b| b.fill(n)).unwrap()
}

fn new_endpoint(n: u8, name: &str) -> Endpoint {
    let body = json!({"name": name, "url": "https://example.com/", "owner_id": "o"});
    let input = parse(body.to_string().as_bytes()).unwrap();
    Endpoint::create(input, "p", false, &vault(), 0, &mut |b| b.fill(n)).unwrap().0
}

fn put(db: &Db, project: &Project) {
    let all = EventType::named("*", &project.uid, 0, &mut |b| b.fill(1));
    for statement in insert_project(project, &all) {
        run(db, &statement);
    }
}

/// A statement that gives a row this name, at this time, if it was last changed at that.
type Update<'a> = &'a dyn Fn(String, u64, u64) -> Statement;

#[test]
fn of_two_changes_that_were_made_from_the_same_the_second_is_not_stored() {
    let db = database();
    let (project, endpoint) = (new_project("p", 0), new_endpoint(1, "a"));
    let source = new_source(1, "a", json!({}));
    let input = parse(br#"{"name":"a","endpoint_id":"e"}"#).unwrap();
    let mut subscription = Subscription::create(input, "p", false, 0, &mut |b| b.fill(1)).unwrap();
    subscription.updated_at = 0;
    let input = parse(br#"{"name":"a","owner_id":"o"}"#).unwrap();
    let link = PortalLink::create(input, "p", &vault(), 0, &mut |b| b.fill(1)).unwrap().0;
    let link_of = |project_id: &str, name: &str, updated_at: u64| {
        let mut link = link.clone();
        (link.project_id, link.name, link.updated_at) =
            (project_id.into(), name.into(), updated_at);
        link
    };
    let kind = EventType::named("a", "p", 0, &mut |b| b.fill(1));
    // Another project has all of it too, under the same ids.
    for owner in ["p", "q"] {
        let project_id = || owner.to_owned();
        put(&db, &new_project(owner, 0));
        for statement in [
            insert_source(
                &Source { project_id: project_id(), mask_id: project_id(), ..source.clone() },
                true,
            ),
            insert_endpoint(&Endpoint { project_id: project_id(), ..endpoint.clone() }),
            insert_subscription(
                &Subscription { project_id: project_id(), ..subscription.clone() },
                true,
            ),
            insert_portal_link(&link_of(owner, "a", 0)),
            insert_event_type(&EventType { project_id: project_id(), ..kind.clone() }),
        ] {
            run(&db, &statement);
        }
    }
    let updates: [(&str, Update<'_>); 6] = [
        ("projects", &|name, updated_at, before| {
            update_project(&Project { name, updated_at, ..project.clone() }, before)
        }),
        ("sources", &|name, updated_at, before| {
            update_source(&Source { name, updated_at, ..source.clone() }, true, before)
        }),
        ("endpoints", &|name, updated_at, before| {
            update_endpoint(&Endpoint { name, updated_at, ..endpoint.clone() }, before)
        }),
        ("subscriptions", &|name, updated_at, before| {
            update_subscription(
                &Subscription { name, updated_at, ..subscription.clone() },
                true,
                before,
            )
        }),
        ("portal_links", &|name, updated_at, before| {
            update_portal_link(&link_of("p", &name, updated_at), before)
        }),
        // It is known by its name, which stays.
        ("event_types", &|_, updated_at, before| {
            update_event_type(&EventType { updated_at, ..kind.clone() }, before)
        }),
    ];
    for (table, update) in updates {
        let change = |at: u64, before| run(&db, &update(format!("name at {at}"), at, before)).len();
        assert_eq!((change(5, 0), change(6, 0)), (1, 0), "{table}");
        let sql = format!(
            "SELECT doc ->> '$.updated_at' AS at, name = doc ->> '$.name' AS is_named FROM {table} WHERE doc ->> '$.updated_at' > 0"
        );
        let changed = run(&db, &statement(&sql, []));
        assert_eq!(changed, [json!({"at": 5, "is_named": 1})], "{table}");
        assert_eq!(change(6, 5), 1, "{table}");
    }
}

#[test]
fn a_project_comes_with_a_type_for_all_and_hears_of_schemas_whoever_changes_it() {
    let db = database();
    for (uid, shard) in [("p", 0), ("q", 1), ("r", 1)] {
        put(&db, &new_project(uid, shard));
    }
    let shards = run(&db, &projects_of_shards());
    assert_eq!(shards, [json!({"shard": 0, "projects": 1}), json!({"shard": 1, "projects": 2})]);
    let named = |name: &str| run(&db, &event_type_named("p", name)).len();
    assert_eq!((named("*"), named("paid")), (1, 0));

    let schema = Some(json!({"type": "object"}));
    let paid = EventType::named("paid", "p", 0, &mut |b| b.fill(2));
    run(&db, &insert_event_type(&EventType { json_schema: schema, ..paid }));
    assert_eq!(named("paid"), 1);
    let has_schemas = |uid: &str| {
        run(&db, &update_project(&new_project(uid, 0), 0));
        let stored = run(&db, &super::project(uid)).remove(0);
        let stored: Project = serde_json::from_str(stored["doc"].as_str().unwrap()).unwrap();
        stored.has_schemas
    };
    assert_eq!((has_schemas("p"), has_schemas("q")), (true, false));
}

#[test]
fn a_source_gets_a_name_that_is_taken_only_where_names_may_be_the_same() {
    let db = database();
    let insert = |n: u8, name: &str, unique: bool| {
        run(&db, &insert_source(&new_source(n, name, json!({})), unique)).len()
    };
    assert_eq!((insert(1, "a", true), insert(2, "b", true)), (1, 1));
    assert_eq!((insert(3, "a", true), insert(3, "a", false)), (0, 1));
    let rename = |n: u8, name: &str, unique: bool| {
        run(&db, &update_source(&new_source(n, name, json!({})), unique, 0)).len()
    };
    assert_eq!((rename(2, "a", true), rename(2, "c", true)), (0, 1));
    assert_eq!(rename(3, "a", true), 1, "it has that name already");
    assert_eq!(rename(2, "a", false), 1);
}

#[test]
fn an_endpoint_that_may_have_one_subscription_gets_no_other() {
    let db = database();
    let mut id = 0;
    let mut made = |name: &str, project: &str, endpoint: &str| {
        let body = json!({"name": name, "endpoint_id": endpoint}).to_string();
        let input = parse(body.as_bytes()).unwrap();
        id += 1;
        Subscription::create(input, project, false, 5, &mut |bytes| bytes.fill(id)).unwrap()
    };
    let dynamic = made(DYNAMIC_NAME, "p", "e");
    let (first, second) = (made("a", "p", "e"), made("a", "p", "e"));
    let mut elsewhere = made("a", "p", "f");
    let insert = |one: &Subscription, only| run(&db, &insert_subscription(one, only)).len();
    for (one, only, expect) in [
        (&dynamic, true, 1),
        (&first, true, 1),
        (&second, true, 0),
        (&made("a", "q", "e"), true, 1),
        (&elsewhere, true, 1),
    ] {
        assert_eq!(insert(one, only), expect, "{one:?}");
    }
    // Whoever has moved there meanwhile, and whoever was there before there had to be one alone.
    let update = |one: &Subscription, only| run(&db, &update_subscription(one, only, 5)).len();
    elsewhere.endpoint_id = "e".into();
    assert_eq!((update(&elsewhere, true), update(&elsewhere, false)), (0, 1));
    assert_eq!((update(&elsewhere, true), update(&first, true)), (1, 1));
    assert_eq!(insert(&second, false), 1);

    let plan = plan(&db, &insert_subscription(&second, true));
    assert!(plan.contains("subscriptions_by_endpoint"), "{plan}");
}

#[test]
fn no_two_sources_are_shown_with_the_same_slug() {
    let db = database();
    let slugged = |n: u8, slug: &str| new_source(n, &format!("{n}"), json!({"slug": slug}));
    let insert = |source: &Source| run(&db, &insert_source(source, false)).len();
    let (nameless, one, other) = (slugged(1, ""), slugged(2, "one"), slugged(3, "other"));
    assert_eq!([&nameless, &one, &other].map(insert), [1, 1, 1]);
    // Who was given none is shown with the end of its id.
    let (_, end) = nameless.uid.split_at(nameless.uid.len() - SLUG_ID_CHARS);
    let shown = format!("any-{}", end.to_ascii_lowercase());
    for (n, slug, is_free) in [(4, "one", 0), (5, &*shown, 0), (6, "new", 1)] {
        assert_eq!(run(&db, &slug_taken("p", &other.uid, slug)).len(), 1 - is_free, "{slug}");
        let mut source = slugged(n, "");
        source.profile.slug = slug.into();
        assert_eq!(insert(&source), is_free, "{slug}");
    }
    for (slug, is_free) in [("one", 0), (&*shown, 0), ("new", 0), ("other", 1), ("newer", 1)] {
        let mut changed = other.clone();
        changed.profile.slug = slug.into();
        assert_eq!(run(&db, &update_source(&changed, false, 0)).len(), is_free, "{slug}");
    }
    assert_eq!(run(&db, &slug_taken("q", &other.uid, "one")).len(), 0, "another project's");
}

#[test]
fn a_question_that_was_answered_is_noted_whatever_is_changed_meanwhile() {
    let db = database();
    let source = new_source(1, "a", json!({}));
    run(&db, &insert_source(&source, true));
    assert_eq!(run(&db, &note_crc("q", &source.uid, 7)).len(), 0);
    let noted = run(&db, &note_crc("p", &source.uid, 7)).remove(0);
    let noted: Source = serde_json::from_str(noted["doc"].as_str().unwrap()).unwrap();
    assert_eq!(noted.crc_verified_at, Some(7));
    let changed = Source { updated_at: 9, ..source };
    assert_eq!(run(&db, &update_source(&changed, true, 0)).len(), 0, "it knows nothing of it");
    assert_eq!(run(&db, &update_source(&changed, true, noted.updated_at)).len(), 1);
}

#[test]
fn functions_are_read_of_sources_that_have_any_and_read_no_broker() {
    let db = database();
    let body = "function transform(x) { return x }";
    let with = |n: u8, fields: Value| new_source(n, &format!("{n}"), fields);
    let (plain, both) = (with(1, json!({})), with(2, json!({"body_function": body})));
    let header = with(3, json!({"header_function": body}));
    let mut broker = with(4, json!({"body_function": body}));
    broker.kind = crate::source::Kind::PubSub;
    let all = [&plain, &both, &header, &broker];
    for source in all {
        run(&db, &insert_source(source, true));
    }
    let asked = all.map(|source| ("p", &*source.uid));
    let found: Vec<OfSource> = run(&db, &functions_of(&asked))
        .into_iter()
        .map(|row| serde_json::from_value(row).unwrap())
        .collect();
    let of = |source: &Source, body: &str, header: &str| OfSource {
        project_id: "p".into(),
        source_id: source.uid.clone(),
        body: body.into(),
        header: header.into(),
    };
    assert_eq!(found, [of(&both, body, ""), of(&header, "", body)]);
    assert!(run(&db, &functions_of(&[("q", &both.uid)])).is_empty());
}

#[test]
fn it_is_told_how_endpoints_stand_and_what_they_are() {
    let db = database();
    put(&db, &new_project("p", 0));
    let (active, mut paused) = (new_endpoint(1, "a"), new_endpoint(2, "b"));
    paused.status = Status::Paused;
    let stray = Endpoint { project_id: "gone".into(), ..active.clone() };
    for endpoint in [&active, &paused, &stray] {
        run(&db, &insert_endpoint(endpoint));
    }
    let (a, b) = (&*active.uid, &*paused.uid);
    let statuses = run(&db, &statuses_of(&[("p", b), ("p", a), ("gone", a), ("p", "none")]));
    assert_eq!(
        statuses,
        [
            json!({"endpoint_id": b, "status": "paused"}),
            json!({"endpoint_id": a, "status": "active"})
        ],
        "what belongs to no project is not there"
    );
    let statuses = run(&db, &endpoint_statuses("p", &[a, "none"]));
    assert_eq!(statuses, [json!({"id": a, "status": "active"})]);

    let source = new_source(3, "s", json!({}));
    run(&db, &insert_source(&source, true));
    let shown = run(&db, &pointed("p", &[a, "none"], &[&*source.uid]));
    let text = |n: usize| serde_json::from_str::<Value>(shown[n]["shown"].as_str().unwrap());
    assert_eq!(
        (shown.len(), text(0).unwrap(), text(1).unwrap()),
        (
            2,
            json!({"uid": a, "name": "a", "url": active.url, "target_url": active.url, "owner_id": "o",
                "status": "active", "content_type": "application/json"}),
            json!({"uid": source.uid, "name": "s", "type": "http", "provider": "", "is_disabled": false})
        )
    );
    assert!(run(&db, &pointed("q", &[a], &[&*source.uid])).is_empty());
}

#[test]
fn the_subscriptions_of_a_project_have_a_room_of_their_own() {
    let db = database();
    let mut id = 0;
    let mut made = |name: &str, endpoint: &str| {
        let body = json!({"name": name, "endpoint_id": endpoint}).to_string();
        let input = parse(body.as_bytes()).unwrap();
        id += 1;
        Subscription::create(input, "p", false, 5, &mut |bytes| bytes.fill(id)).unwrap()
    };
    let mut large = |name: &str| Subscription { function: "x".repeat(12 << 20), ..made(name, "e") };
    let (first, second) = (large("a"), large("b"));
    let (early, late) = (made(DYNAMIC_NAME, "early"), made(DYNAMIC_NAME, "late"));
    let has_room =
        |project: &str, more: u64| !run(&db, &has_room_for_subscriptions(project, more)).is_empty();
    assert!(has_room("p", SUBSCRIPTIONS_MAX_WEIGHT));
    run(&db, &insert_subscription(&first, false));
    assert!(has_room("p", 11 << 20) && !has_room("p", 12 << 20));
    assert!(has_room("q", SUBSCRIPTIONS_MAX_WEIGHT));

    // The endpoint of a dynamic event keeps the one it has, and goes without where there is no room.
    let subscribe = |dynamic: &Subscription| {
        for statement in subscribe_dynamic(dynamic) {
            run(&db, &statement);
        }
        let sql = "SELECT id FROM subscriptions WHERE endpoint_id = ?1".into();
        run(&db, &Statement { sql, params: vec![dynamic.endpoint_id.as_str().into()] }).len()
    };
    assert_eq!(subscribe(&early), 1);
    let small = Subscription { function: String::new(), ..first.clone() };
    assert_eq!(run(&db, &update_subscription(&small, false, 5)).len(), 1);
    assert!(has_room("p", 23 << 20), "what is smaller now weighs less");
    assert_eq!(run(&db, &update_subscription(&first, false, 5)).len(), 1);
    run(&db, &insert_subscription(&second, false));
    assert_eq!((subscribe(&early), subscribe(&late)), (1, 0));
}

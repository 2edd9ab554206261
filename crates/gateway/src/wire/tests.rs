use proptest::prelude::*;

use super::*;

pub(crate) fn envelope(body: Body) -> Envelope {
    let meta = Meta {
        event_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
        project_id: "project".into(),
        source_id: "source".into(),
        mask_id: "mask".into(),
        event_type: "push".into(),
        received_at: 1_700_000_000_000,
        content_type: Some("application/json".into()),
        headers: vec![("x-github-event".into(), "push".into())],
        query: "a=b".into(),
        claim: Some(Claim { key: "k".into(), window_ms: 1000, scope: None }),
        ..Meta::default()
    };
    Envelope { meta, body }
}

/// As `queue.mjs` of the edge writes it.
/// What `js/queue.mjs` writes.
fn many(messages: &[Vec<u8>]) -> Vec<u8> {
    let len = |one: &Vec<u8>| u32::try_from(one.len()).unwrap().to_le_bytes().to_vec();
    let framed = messages.iter().flat_map(|one| [len(one), one.clone()].concat());
    [MANY].into_iter().chain(framed).collect()
}

proptest! {
    #[test]
    fn any_body_survives_the_queue_and_the_journal(body: Vec<u8>) {
        let sent = envelope(Body::Inline(body));
        prop_assert_eq!(&Envelope::decode(&sent.encode()).unwrap(), &sent);
        let (meta, text) = sent.to_row();
        prop_assert_eq!(&Envelope::from_row(&meta, &text).unwrap(), &[sent]);
    }

    #[test]
    fn many_bodies_survive_one_row_of_the_journal(bodies: Vec<Vec<u8>>) {
        let sent: Vec<Envelope> =
            bodies.into_iter().map(|body| envelope(Body::Inline(body))).collect();
        let mut pack = Pack::default();
        prop_assert!(sent.iter().all(|one| pack.push(one)));
        let (meta, text) = pack.into_row();
        prop_assert_eq!(&Envelope::from_row(&meta, &text).unwrap(), &sent);
    }

    #[test]
    fn a_batch_survives_its_messages(sizes in proptest::collection::vec(0..70_000_usize, 1..9)) {
        let body = |(place, size)| Body::Inline(vec![u8::try_from(place).unwrap(); size]);
        let sent: Vec<Envelope> = sizes.into_iter().enumerate().map(body).map(envelope).collect();
        let (mut read, mut rest) = (Vec::new(), sent.iter().peekable());
        while rest.peek().is_some() {
            let mut message = Message::default();
            while rest.next_if(|next| message.push(next)).is_some() {}
            prop_assert!(message.len() == 1 || message.bytes().len() <= 60_000);
            let envelopes: Result<Vec<_>, _> = Envelope::of_message(message.bytes()).into_iter().collect();
            let envelopes = envelopes.unwrap();
            prop_assert_eq!(envelopes.len(), message.len());
            read.extend(envelopes);
        }
        prop_assert_eq!(&read, &sent);
    }

    #[test]
    fn many_bodies_survive_one_message_of_the_queue(bodies in proptest::collection::vec(any::<Vec<u8>>(), 1..9), cut in 1..99_usize) {
        let sent: Vec<Envelope> =
            bodies.into_iter().map(|body| envelope(Body::Inline(body))).collect();
        let message = many(&sent.iter().map(Envelope::encode).collect::<Vec<_>>());
        let read: Result<Vec<_>, _> = Envelope::of_message(&message).into_iter().collect();
        prop_assert_eq!(&read.unwrap(), &sent);
        let cut = &message[..message.len() - cut];
        let read = Envelope::of_message(cut);
        let (last, others) = read.split_last().unwrap();
        prop_assert_eq!(others.len(), sent.len() - 1);
        prop_assert_eq!(last.as_ref().unwrap_err().0.clone(), NotAnEnvelope::Truncated);
    }

    #[test]
    fn what_fits_is_what_is_written(event_type: String, query: String, header: (String, String), slack in 0..2_usize) {
        let mut sent = envelope(Body::Inline(b"{}".to_vec()));
        sent.meta.event_type = event_type;
        sent.meta.query = query;
        sent.meta.headers = vec![header; 3];
        sent.meta.target = Some(Target::Owner("\0\"".repeat(9)));
        let verdict = "refused".to_owned();
        let (secret, reason) = (Some("\u{1}".into()), Some("\n\\".repeat(9)));
        sent.meta.verification = Some(Verification { verdict, secret, reason, observed: true });
        let len = sent.encode().len();
        prop_assert!(sent.meta.encoded_len_max() >= len - 7);
        prop_assert!(sent.fits(len + slack));
        prop_assert!(!sent.fits(len - 1 - slack));
    }

    #[test]
    fn bytes_that_are_no_envelope_are_refused_without_a_panic(bytes: Vec<u8>) {
        prop_assert!(Envelope::decode(&bytes).is_err());
    }
}

#[test]
fn a_body_in_r2_is_named_by_its_key() {
    let sent = envelope(Body::Stored { key: body_key("p", "e"), len: 200_000 });
    assert_eq!(Envelope::decode(&sent.encode()).unwrap(), sent);
    assert_eq!(sent.body.len(), 200_000);
}

#[test]
fn a_row_of_the_journal_keeps_below_what_d1_takes() {
    let mut pack = Pack::default();
    let sent = envelope(Body::Inline(vec![b'x'; 100_000]));
    let taken = (0..100).take_while(|_| pack.push(&sent)).count();
    assert_eq!((taken, pack.len()), (13, 13));
    let stored = envelope(Body::Stored { key: body_key("p", "e"), len: 200_000 });
    let mut pack = Pack::default();
    assert!(pack.push(&stored) && pack.push(&sent));
    let (meta, text) = pack.into_row();
    assert_eq!(Envelope::from_row(&meta, &text).unwrap(), [stored, sent]);
    assert!(Envelope::from_row(&meta, &Text::from_bytes(b"short")).is_err());
}

#[test]
fn what_is_damaged_in_a_row_of_many_stands_alone() {
    let sent = ["first", "second", "third"].map(|body| envelope(Body::Inline(body.into())));
    let mut pack = Pack::default();
    assert!(sent.iter().all(|one| pack.push(one)));
    let (meta, text) = pack.into_row();
    let read = |meta: &str, text: &Text<'_>| {
        let each = Envelope::each_of_row(meta, text).into_iter();
        each.map(|one| one.map_err(|(_, stands)| String::from_utf8(stands).unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(read(&meta, &text), sent.clone().map(Ok));
    let mut metas: Vec<(usize, serde_json::Value)> = serde_json::from_str(&meta).unwrap();
    metas[1].1 = serde_json::json!({"p": "of another version"});
    let damaged = serde_json::to_string(&metas).unwrap();
    let expect = [
        Ok(sent[0].clone()),
        Err("{\"p\":\"of another version\"}\nsecond".to_owned()),
        Ok(sent[2].clone()),
    ];
    assert_eq!(read(&damaged, &text), expect);
    let short = read(&meta, &Text::from_bytes(b"firstsecond"));
    assert_eq!(short[..2], [Ok(sent[0].clone()), Ok(sent[1].clone())]);
    assert!(short[2].as_ref().is_err_and(|stands| stands.starts_with('{')), "{short:?}");
    let none = read("[1", &text);
    assert_eq!(none, [Err("[1\nfirstsecondthird".to_owned())]);
}

#[test]
fn damage_is_named() {
    let check = |bytes: &[u8], expect: &str| {
        assert_eq!(Envelope::decode(bytes).unwrap_err().to_string(), expect);
    };
    check(b"", "the message is empty");
    check(b"\x09abc", "envelope version 9 is not known to this version of Inlet");
    check(b"\x01\x05", "the envelope ends early");
    check(b"\x01\xff\0\0\0{}", "the envelope ends early");
}

#[test]
fn what_is_damaged_in_a_message_of_many_stands_alone() {
    let sent = envelope(Body::Inline(b"{}".to_vec()));
    let newer = b"\x09abc".to_vec();
    let message = many(&[sent.encode(), newer.clone(), sent.encode()]);
    let read = Envelope::of_message(&message);
    let newer = Err((NotAnEnvelope::Version(9), newer.as_slice()));
    assert_eq!(read, [Ok(sent.clone()), newer, Ok(sent.clone())]);
    assert_eq!(Envelope::of_message(&sent.encode()), [Ok(sent)]);
    let truncated = |rest| Err((NotAnEnvelope::Truncated, rest));
    assert_eq!(Envelope::of_message(b"\x02"), [truncated(b"".as_slice())]);
    assert_eq!(Envelope::of_message(b"\x02\x05\0\0\0ab"), [truncated(b"\x05\0\0\0ab".as_slice())]);
    assert_eq!(Envelope::of_message(b""), [Err((NotAnEnvelope::Empty, b"".as_slice()))]);
}

#[test]
fn a_nul_or_a_byte_that_is_no_text_makes_base64() {
    assert!(Text::from_bytes(b"a\0b").is_base64);
    assert!(Text::from_bytes(&[0xff]).is_base64);
    assert!(!Text::from_bytes("ü".as_bytes()).is_base64);
}

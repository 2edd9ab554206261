use super::*;

fn message(bytes: usize) -> Message<usize> {
    Message::new(bytes, vec![0; bytes])
}

#[test]
fn batches_keep_the_order_and_large_messages_travel_alone() {
    let sizes = [10, 20, PAYLOADS_MAX_BYTES * 3, 30, PAYLOADS_MAX_BYTES - 30, 1];
    let mut held: VecDeque<_> = sizes.into_iter().map(message).collect();
    let mut batches = Vec::new();
    while !held.is_empty() {
        let batch = first_batch(&mut held);
        batches.push(batch.iter().map(|message| message.receipt).collect::<Vec<_>>());
    }
    assert_eq!(
        batches,
        [vec![10, 20], vec![PAYLOADS_MAX_BYTES * 3], vec![30, PAYLOADS_MAX_BYTES - 30], vec![1]]
    );
}

#[test]
fn what_is_too_large_is_given_up_with_its_beginning() {
    let mut small = message(100);
    give_up_on_large(&mut small, 100);
    assert_eq!(small.dead, None);
    let mut large = message(DEAD_PAYLOAD_MAX_BYTES * 2);
    give_up_on_large(&mut large, DEAD_PAYLOAD_MAX_BYTES);
    assert_eq!(large.payload.len(), DEAD_PAYLOAD_MAX_BYTES);
    let reason = large.dead.unwrap();
    assert!(reason.contains("131072 bytes") && reason.contains("at most 65536"), "{reason}");
}

#[test]
fn what_is_refused_says_less_and_loses_its_bytes_only_to_the_gateway_and_late() {
    let mut one = message(3);
    one.id = Some("t-0-1".to_owned());
    one.headers = vec![("a".to_owned(), "1".to_owned())];
    let mut refused = |is_told, times| {
        for _ in 0..times {
            give_up_more(&mut one, "no", is_told, 3);
        }
        (one.dead.clone(), one.headers.len(), one.payload.len(), one.id.is_some())
    };
    let (reason, headers, bytes, has_id) = refused(true, 1);
    assert_eq!(reason.as_deref(), Some("the gateway refuses it: no"));
    assert_eq!((headers, bytes, has_id), (1, 3, true));
    for (is_told, times, left) in [
        (false, 1, (0, 3, true)),
        (false, 50, (0, 3, true)),
        (true, 2, (0, 3, true)),
        (false, 50, (0, 3, true)),
        (true, 1, (0, 0, true)),
        (true, 2, (0, 0, true)),
        (true, 1, (0, 0, false)),
        (true, 9, (0, 0, false)),
    ] {
        let (reason, headers, bytes, has_id) = refused(is_told, times);
        assert_eq!((headers, bytes, has_id), left, "{reason:?}");
    }
    let reason = one.dead.unwrap();
    assert!(reason.starts_with("the gateway refuses it: no; its headers"), "{reason}");
}

/// A broker with one message for the first that asks, or with none.
struct One(std::sync::atomic::AtomicBool);

impl Broker for One {
    type Config = bool;
    type Receipt = usize;

    async fn connect(has_one: &bool, _: Purpose) -> Result<Self, Fault> {
        Ok(Self((*has_one).into()))
    }

    async fn receive(&self) -> Result<Vec<Message<usize>>, Fault> {
        if self.0.swap(false, std::sync::atomic::Ordering::Relaxed) {
            return Ok(vec![message(1)]);
        }
        std::future::pending().await
    }

    async fn settle(&self, _: Vec<Settled<usize>>) -> Result<(), Fault> {
        Ok(())
    }

    async fn release(&self, _: Vec<usize>) {}

    async fn lag(&self) -> Option<u64> {
        None
    }
}

/// A gateway that says 409 to all that it is asked.
async fn refusing(listener: tokio::net::TcpListener) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut asked = Vec::new();
        // The one message ends the body.
        while asked.last() != Some(&0) {
            stream.read_buf(&mut asked).await.unwrap();
        }
        let body = r#"{"status":false,"message":"the source is disabled"}"#;
        let head = format!("HTTP/1.1 409 Conflict\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn all_workers_of_a_source_end_when_one_is_turned_away() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(refusing(listener));
    let settings = crate::settings::Settings::from_lookup(|name| match name {
        "INLET_URL" => Some(url.clone()),
        "INLET_CONSUMER_KEY" => Some("key".to_owned()),
        _ => None,
    })
    .unwrap();
    let edge = Arc::new(Edge::new(&settings, &settings.keys[0]).unwrap());
    let status = crate::status::Board::default().source("s", "n");
    status.restart("v", 2, State::Connecting);
    let stop = CancellationToken::new();
    let job = |worker| Job {
        source_id: "s".to_owned(),
        worker,
        max_attempts: 3,
        max_message_bytes: 100,
        max_backoff: Duration::from_secs(1),
        edge: Arc::clone(&edge),
        status: Arc::clone(&status),
        stop: stop.clone(),
    };
    let both = async { tokio::join!(work::<One>(job(0), true), work::<One>(job(1), false)) };
    timeout(Duration::from_secs(20), both).await.unwrap();
    assert!(stop.is_cancelled(), "the source starts again as a whole");
}

#[tokio::test]
async fn a_batch_is_filled_with_what_is_there() {
    let (into, mut from) = mpsc::channel(8);
    into.send(vec![message(2)]).await.unwrap();
    into.send(vec![message(3), message(4)]).await.unwrap();
    let mut held = VecDeque::from([message(1)]);
    fill(&mut held, &mut from).await;
    assert_eq!(held.iter().map(|one| one.receipt).collect::<Vec<_>>(), [1, 2, 3, 4]);
}

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::poll::poll_until;
use crate::wire;

/// What an endpoint says to one request.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
    hang_up: bool,
    half: bool,
    interim: Option<u16>,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: b"ok".to_vec(),
            delay: Duration::ZERO,
            hang_up: false,
            half: false,
            interim: None,
        }
    }

    pub fn ok() -> Self {
        Self::status(200)
    }

    pub fn redirect(to: &str) -> Self {
        Self::status(307).header("Location", to)
    }

    /// Closes the connection without a word.
    pub fn hang_up() -> Self {
        Self { hang_up: true, ..Self::ok() }
    }

    /// Breaks off in the middle of its body.
    #[must_use]
    pub fn half(mut self) -> Self {
        self.half = true;
        self
    }

    /// Says this first, as HTTP's 100 and 103 are said before the answer.
    #[must_use]
    pub fn interim(mut self, status: u16) -> Self {
        self.interim = Some(status);
        self
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// One request as it reached an endpoint.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub at: Instant,
    pub time: SystemTime,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        wire::header(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

type Respond = Arc<dyn Fn(&Received) -> Answer + Send + Sync>;

#[derive(Default)]
struct Book {
    answers: Vec<Answer>,
    received: Vec<Received>,
    /// Instead of a script.
    respond: Option<Respond>,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book").field("received", &self.received.len()).finish_non_exhaustive()
    }
}

/// A receiver on loopback that records everything and answers by script.
#[derive(Debug)]
pub struct Endpoint {
    port: u16,
    book: Arc<Mutex<Book>>,
    stopped: Arc<AtomicBool>,
}

impl Endpoint {
    /// Answers in this order; the last answer repeats.
    pub fn answering(answers: &[Answer]) -> Self {
        Self::start(Book { answers: reversed(answers), ..Book::default() })
    }

    /// Answers what this says. Requests are not recorded: whoever wants them keeps them.
    pub fn responding(respond: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(Book { respond: Some(Arc::new(respond)), ..Book::default() })
    }

    fn start(book: Book) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = listener.local_addr().expect("a bound address").port();
        let book = Arc::new(Mutex::new(book));
        let stopped = Arc::new(AtomicBool::new(false));
        let endpoint = Self { port, book: Arc::clone(&book), stopped: Arc::clone(&stopped) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let (book, stopped) = (Arc::clone(&book), Arc::clone(&stopped));
                thread::spawn(move || serve(stream, &book, &stopped));
            }
        });
        endpoint
    }

    pub fn ok() -> Self {
        Self::answering(&[Answer::ok()])
    }

    /// From here on these answers; the last one repeats.
    pub fn answer(&self, answers: &[Answer]) {
        lock(&self.book).answers = reversed(answers);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn received(&self) -> Vec<Received> {
        lock(&self.book).received.clone()
    }

    pub fn count(&self) -> usize {
        lock(&self.book).received.len()
    }

    /// Hands over what came in and forgets it.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut lock(&self.book).received)
    }

    /// Waits for the first `count` requests.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let what = format!("{count} requests at the endpoint");
        poll_until(&what, || (self.count() >= count).then(|| self.received()))
    }

    /// The first request.
    #[track_caller]
    pub fn wait_for_one(&self) -> Received {
        self.wait_for(1).swap_remove(0)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

fn reversed(answers: &[Answer]) -> Vec<Answer> {
    answers.iter().rev().cloned().collect()
}

fn lock(book: &Mutex<Book>) -> std::sync::MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Speaks on one connection until the peer leaves.
fn serve(stream: TcpStream, book: &Mutex<Book>, stopped: &AtomicBool) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    while let Some((head, body)) = wire::read_request(&mut reader).ok().flatten() {
        if stopped.load(Ordering::Acquire) {
            break;
        }
        let [method, path] = head.start;
        let received = Received {
            method,
            path,
            headers: head.headers,
            body,
            at: Instant::now(),
            time: SystemTime::now(),
        };
        let respond = lock(book).respond.clone();
        let answer = match respond {
            Some(respond) => respond(&received),
            None => {
                let mut book = lock(book);
                book.received.push(received);
                let last = book.answers.len() <= 1;
                let answer = if last { book.answers.last().cloned() } else { book.answers.pop() };
                answer.unwrap_or_else(Answer::ok)
            }
        };
        thread::sleep(answer.delay);
        if answer.hang_up {
            stream.shutdown(Shutdown::Both).ok();
            break;
        }
        write_answer(&stream, &answer).ok()?;
        if answer.half {
            stream.shutdown(Shutdown::Both).ok();
            break;
        }
    }
    Some(())
}

fn write_answer(mut stream: &TcpStream, answer: &Answer) -> io::Result<()> {
    let interim = answer.interim.map(|status| format!("HTTP/1.1 {status} Interim\r\n\r\n"));
    let mut head = interim.unwrap_or_default();
    head.push_str(&format!("HTTP/1.1 {} Scripted\r\n", answer.status));
    for (name, value) in &answer.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    let bodiless = matches!(answer.status, 204 | 304);
    if !bodiless {
        head.extend(["Content-Length: ", &answer.body.len().to_string(), "\r\n"]);
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if !bodiless {
        let sent = if answer.half { answer.body.len() / 2 } else { answer.body.len() };
        bytes.extend_from_slice(&answer.body[..sent]);
    }
    stream.write_all(&bytes)
}

//! Stands between us and a registry, counts what is asked, and spoils it by rule. One request a connection.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PIECE: usize = 16 << 10;

/// What goes wrong with a request. Bytes are counted in bodies.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The connection is reset after that much of the answer.
    Reset(usize),
    /// It is closed as if all were well, after that much of the answer.
    Truncate(usize),
    /// Nothing comes any more after that much of the answer.
    Stall(usize),
    /// A bit of that byte of the answer is another.
    Flip(usize),
    /// So long a pause before each piece of the answer.
    Slow(Duration),
    /// This is the answer, and the registry hears nothing: status line and headers.
    Answer(String),
    /// The connection is reset after that much of what is sent.
    SentReset(usize),
    /// A bit of that byte of what is sent is another.
    SentFlip(usize),
    /// The registry hears all of it, but its answer is lost.
    Unheard,
    /// The registry is not told which range is wanted.
    NoRange,
}

/// For the next requests of that method whose path has that in it.
struct Rule {
    method: &'static str,
    path: String,
    times: usize,
    fault: Fault,
}

/// A request as it came, and what became of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
    /// Bytes of the body that came from us.
    pub(crate) sent: usize,
    /// 0 where we heard none.
    pub(crate) status: u16,
    /// Bytes of the answer's body that were let through.
    pub(crate) answered: usize,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: u16,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Arc<Mutex<Seen>>>>,
}

impl Proxy {
    pub(crate) fn start(target: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { target, rules: Mutex::default(), seen: Mutex::default() });
        let shared_too = shared.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let shared = shared_too.clone();
                std::thread::spawn(move || shared.pass(&mut connection.unwrap()));
            }
        });
        Proxy { port, shared }
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Rules are used up in the order in which they are made.
    pub(crate) fn spoil(&self, times: usize, method: &'static str, path: &str, fault: Fault) {
        self.shared.rules.lock().unwrap().push(Rule { method, path: path.to_owned(), times, fault });
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().iter().map(|seen| seen.lock().unwrap().clone()).collect()
    }

    /// `METHOD STATUS` of each request whose path has that in it.
    pub(crate) fn outcomes(&self, path: &str) -> Vec<String> {
        let seen = self.seen();
        seen.iter()
            .filter(|seen| seen.path.contains(path))
            .map(|seen| format!("{} {}", seen.method, seen.status))
            .collect()
    }

    pub(crate) fn forget_rules(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    pub(crate) fn forget(&self) {
        self.shared.seen.lock().unwrap().clear();
    }
}

impl Shared {
    fn pass(&self, client: &mut TcpStream) -> io::Result<()> {
        let Some(head) = Head::read(client)? else { return Ok(()) };
        let fault = self.fault(&head);
        let seen = self.note(&head);
        let note = |change: &dyn Fn(&mut Seen)| change(&mut seen.lock().unwrap());
        if let Some(Fault::Answer(answer)) = &fault {
            // What is sent is read first: a connection that closes on unread bytes is reset.
            io::copy(&mut Read::take(&mut *client, head.length().unwrap_or(0) as u64), &mut io::sink())?;
            note(&|seen| seen.status = answer.split(' ').next().unwrap().parse().unwrap());
            return write!(client, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        let mut server = TcpStream::connect(("127.0.0.1", self.target))?;
        let without = if matches!(fault, Some(Fault::NoRange)) { "range" } else { "connection" };
        server.write_all(head.with_close(without).as_bytes())?;
        if !send(client, &mut server, &head, fault.as_ref(), &|count| note(&|seen| seen.sent += count))? {
            return reset(client);
        }
        let Some(answer) = Head::read(&mut server)? else { return reset(client) };
        if matches!(fault, Some(Fault::Unheard)) {
            return reset(client);
        }
        note(&|seen| seen.status = answer.path.parse().unwrap());
        client.write_all(answer.with_close("connection").as_bytes())?;
        relay(&mut server, client, fault.as_ref(), &|count| note(&|seen| seen.answered += count))
    }

    fn fault(&self, head: &Head) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let fits =
            |rule: &&mut Rule| rule.times > 0 && rule.method == head.method && head.path.contains(&rule.path);
        let rule = rules.iter_mut().find(fits)?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }

    fn note(&self, head: &Head) -> Arc<Mutex<Seen>> {
        let header = |name| head.header(name).map(str::to_owned);
        let (method, path) = (head.method.clone(), head.path.clone());
        let (range, authorization) = (header("range"), header("authorization"));
        let seen = Arc::new(Mutex::new(Seen { method, path, range, authorization, ..Seen::default() }));
        self.seen.lock().unwrap().push(seen.clone());
        seen
    }
}

/// `false`: it is to end here.
fn send(
    client: &mut TcpStream,
    server: &mut TcpStream,
    head: &Head,
    fault: Option<&Fault>,
    count: &dyn Fn(usize),
) -> io::Result<bool> {
    let total = head.length().unwrap_or(0);
    let mut sent = 0;
    let mut piece = vec![0; PIECE];
    while sent < total {
        let read = client.read(&mut piece[..PIECE.min(total - sent)])?;
        if read == 0 {
            return Ok(false);
        }
        let limit = if let Some(Fault::SentReset(limit)) = fault { *limit } else { usize::MAX };
        let passed = read.min(limit - sent);
        if let Some(Fault::SentFlip(at)) = fault
            && (sent..sent + read).contains(at)
        {
            piece[at - sent] ^= 1;
        }
        server.write_all(&piece[..passed])?;
        sent += passed;
        count(passed);
        if sent == limit {
            return Ok(false);
        }
    }
    Ok(true)
}

fn relay(
    server: &mut TcpStream,
    client: &mut TcpStream,
    fault: Option<&Fault>,
    count: &dyn Fn(usize),
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut passed = 0;
    loop {
        let limit = match fault {
            Some(Fault::Reset(limit) | Fault::Truncate(limit) | Fault::Stall(limit)) => *limit,
            _ => usize::MAX,
        };
        if passed == limit {
            match fault {
                Some(Fault::Reset(_)) => return reset(client),
                // Until we go away.
                Some(Fault::Stall(_)) => return client.read(&mut piece).map(|_| ()),
                _ => return Ok(()),
            }
        }
        if let Some(Fault::Slow(pause)) = fault {
            std::thread::sleep(*pause);
        }
        let read = server.read(&mut piece[..PIECE.min(limit - passed)])?;
        if read == 0 {
            return Ok(());
        }
        if let Some(Fault::Flip(at)) = fault
            && (passed..passed + read).contains(at)
        {
            piece[at - passed] ^= 1;
        }
        client.write_all(&piece[..read])?;
        passed += read;
        count(read);
    }
}

fn reset(client: &TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO))?;
    Ok(())
}

/// The head of a request, or of an answer: then `method` is its protocol and `path` its status.
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    lines: Vec<String>,
}

impl Head {
    /// Reads no byte of the body. `None` for what is no HTTP, as a greeting of TLS is.
    pub(crate) fn read(from: &mut TcpStream) -> io::Result<Option<Head>> {
        let (mut first, mut bytes) = ([0], Vec::new());
        if from.peek(&mut first)? == 0 || first == [0x16] {
            return Ok(None);
        }
        let mut one = BufReader::with_capacity(1, from);
        while !bytes.ends_with(b"\r\n\r\n") {
            if one.read_until(b'\n', &mut bytes)? == 0 {
                return Ok(None);
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines: Vec<String> = text.trim_end().split("\r\n").map(str::to_owned).collect();
        let mut words = lines[0].split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        Ok(Some(Head { method, path, lines }))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.lines[1..].iter().filter_map(|line| line.split_once(':'));
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub(crate) fn length(&self) -> Option<usize> {
        self.header("content-length").map(|length| length.parse().unwrap())
    }

    fn with_close(&self, without: &str) -> String {
        let is_kept = |line: &&String| {
            let name = line.split(':').next().unwrap();
            !name.eq_ignore_ascii_case(without) && !name.eq_ignore_ascii_case("connection")
        };
        let lines = self.lines[1..].iter().filter(is_kept);
        let lines: Vec<&str> = std::iter::once(&self.lines[0]).chain(lines).map(String::as_str).collect();
        format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n"))
    }
}

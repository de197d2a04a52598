//! The way from a run to other machines: names are resolved here, by the machine, and what is connected to is looked
//! at by its address, so that no name leads a run to this machine itself, to its link or to a cloud's metadata.
//! Blocks; nothing of it is async, since it serves threads that wait for a run.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::time::Duration;

use crate::net::hosts::{Hosts, Standing, canonical};
use crate::net::proxies::{BadProxy, Proxies, ProxyServer};

const CONNECT: Duration = Duration::from_secs(20);
/// Of a proxy's answer, bytes.
const LONGEST_ANSWER: usize = 16 << 10;

/// Where commands in a sandbox may get.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outside {
    /// `None`: everywhere.
    pub hosts: Option<Hosts>,
    /// Through which this machine itself reaches others.
    pub proxies: Proxies,
}

/// Why a run does not get where it wants to.
#[derive(Debug, thiserror::Error)]
pub enum NotReached {
    #[error("the policy does not name it")]
    NotListed,
    #[error("its address {0} is this machine's own, or one that only this machine may ask")]
    Inside(IpAddr),
    #[error("no address is known for it")]
    Unknown,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    BadProxy(#[from] BadProxy),
    #[error("the proxy {proxy} answered: {answer}")]
    Proxy { proxy: String, answer: String },
}

/// A connection to the other machine, or to the proxy that speaks with it.
#[derive(Debug)]
pub struct Reached {
    pub stream: TcpStream,
    /// The proxy wants whole URLs; with what it is told who we are.
    pub through: Option<ProxyServer>,
    /// This machine, or one that only this machine may ask.
    pub is_inside: bool,
}

impl Outside {
    pub fn standing(&self, host: &str, port: u16) -> Standing {
        self.hosts.as_ref().map_or(Standing::Listed, |hosts| hosts.standing(host, port))
    }

    /// Whether anything of that name may be reached.
    pub fn lets_through(&self, name: &str) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| hosts.names(name))
    }

    /// Whether the machine knows the name, as far as it can tell: behind a proxy others resolve names.
    pub fn knows(&self, name: &str) -> bool {
        let is_direct = |port, is_tunnel| self.proxies.server(name, port, is_tunnel) == Ok(None);
        !(is_direct(80, false) && is_direct(443, true)) || resolve(name, 443).is_ok()
    }

    /// For plain HTTP. `at` is the address that the run's own lines give the name.
    pub fn open(&self, host: &str, port: u16, at: Option<IpAddr>) -> Result<Reached, NotReached> {
        self.connect(host, port, at, false)
    }

    /// For bytes that nobody on the way reads.
    pub fn tunnel(&self, host: &str, port: u16, at: Option<IpAddr>) -> Result<Reached, NotReached> {
        let mut reached = self.connect(host, port, at, true)?;
        if let Some(server) = reached.through.take() {
            ask_for_tunnel(&reached.stream, &server, host, port)?;
        }
        Ok(reached)
    }

    fn connect(
        &self,
        host: &str,
        port: u16,
        at: Option<IpAddr>,
        is_tunnel: bool,
    ) -> Result<Reached, NotReached> {
        let is_literal = match self.standing(host, port) {
            Standing::NotListed => return Err(NotReached::NotListed),
            standing => standing == Standing::Literal,
        };
        let server = self.proxies.server(host, port, is_tunnel)?.filter(|_| at.is_none());
        if let Some(server) = server {
            // What the name means there is the proxy's matter; what it means everywhere is not.
            if !is_literal && let Some(address) = meant(host).filter(|address| is_inside(*address)) {
                return Err(NotReached::Inside(address));
            }
            let stream = first(&resolve(&server.host, server.port)?)?;
            return Ok(Reached { stream, through: Some(server.clone()), is_inside: false });
        }
        let addresses = match at {
            Some(address) => vec![SocketAddr::new(address, port)],
            None => resolve(host, port)?,
        };
        let inside = addresses.iter().find(|address| is_inside(address.ip()) || is_own(**address));
        if let Some(address) = inside.filter(|_| !is_literal) {
            return Err(NotReached::Inside(address.ip()));
        }
        Ok(Reached { stream: first(&addresses)?, through: None, is_inside: inside.is_some() })
    }
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, NotReached> {
    if let Some(address) = meant(host) {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found: Vec<SocketAddr> =
        (canonical(host).as_str(), port).to_socket_addrs().map_err(|_| NotReached::Unknown)?.collect();
    if found.is_empty() { Err(NotReached::Unknown) } else { Ok(found) }
}

/// What needs no resolving: addresses, and names that mean this machine wherever they are said (RFC 6761, 6.3).
fn meant(host: &str) -> Option<IpAddr> {
    let host = canonical(host);
    let is_local = host == "localhost" || host.ends_with(".localhost");
    if is_local { Some(Ipv4Addr::LOCALHOST.into()) } else { host.parse().ok() }
}

fn first(addresses: &[SocketAddr]) -> Result<TcpStream, NotReached> {
    let mut last = NotReached::Unknown;
    for address in addresses {
        match TcpStream::connect_timeout(address, CONNECT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

/// Loopback, link-local, no address at all, or where clouds tell a machine its secrets.
fn is_inside(address: IpAddr) -> bool {
    /// Alibaba, Oracle and Azure have theirs outside of the link.
    const METADATA: [Ipv4Addr; 3] =
        [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.octets()[0] == 0
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || METADATA.contains(&address)
        }
        IpAddr::V6(address) => {
            /// Amazon's.
            const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unicast_link_local()
                || address == METADATA_V6
                || carried(address).is_some_and(|carried| is_inside(carried.into()))
        }
    }
}

/// The older address that an address of a gateway stands for (RFC 6052, RFC 3056, and the compatible form).
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, second, third, _, _, _, seventh, eighth] = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0, 0, 0, 0, 0, 0, _, _] => Some(v4(seventh, eighth)),
        _ if first == 0x2002 => Some(v4(second, third)),
        _ => None,
    }
}

/// Whether the machine would speak with itself. No packet is sent for it.
fn is_own(address: SocketAddr) -> bool {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == address.ip())
}

/// `CONNECT` (RFC 9110, section 9.3.6). No byte behind the answer is taken.
fn ask_for_tunnel(
    mut stream: &TcpStream,
    server: &ProxyServer,
    host: &str,
    port: u16,
) -> Result<(), NotReached> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let authorization = server
        .authorization
        .as_ref()
        .map_or(String::new(), |value| format!("Proxy-Authorization: {value}\r\n"));
    stream.set_read_timeout(Some(CONNECT))?;
    let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    // Byte by byte: what follows belongs to whoever asked for the tunnel.
    let mut reader = BufReader::with_capacity(1, stream);
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < LONGEST_ANSWER {
        let next = reader
            .fill_buf()?
            .first()
            .copied()
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        answer.push(next);
        reader.consume(1);
    }
    stream.set_read_timeout(None)?;
    let text = String::from_utf8_lossy(&answer);
    let line = text.lines().next().unwrap_or_default();
    if line.split(' ').nth(1).is_some_and(|status| status.starts_with('2')) {
        return Ok(());
    }
    let said: String = line.chars().filter(|symbol| !symbol.is_control()).take(200).collect();
    Err(NotReached::Proxy { proxy: format!("{}:{}", server.host, server.port), answer: said })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn outside(hosts: Option<&[&str]>) -> Outside {
        let hosts = hosts.map(|hosts| Hosts(hosts.iter().map(|text| text.parse().unwrap()).collect()));
        Outside { hosts, proxies: Proxies::default() }
    }

    #[test]
    fn addresses_that_are_nobody_elses() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("127.8.8.8", true),
            ("0.0.0.0", true),
            ("0.1.2.3", true),
            ("169.254.169.254", true),
            ("100.100.100.200", true),
            ("224.0.0.1", true),
            ("255.255.255.255", true),
            ("::1", true),
            ("::", true),
            ("fe80::1", true),
            ("ff02::1", true),
            ("fd00:ec2::254", true),
            ("::ffff:127.0.0.1", true),
            ("::127.0.0.1", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("2002:7f00:1::", true),
            ("10.0.0.1", false),
            ("192.168.0.1", false),
            ("93.184.216.34", false),
            ("2606:4700::1111", false),
            ("fd12::1", false),
        ] {
            assert_eq!(is_inside(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn this_machine_is_reached_only_where_it_is_named() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let everywhere = outside(None);
        for host in ["127.0.0.1", "localhost", "x.localhost", "LOCALHOST.", "::ffff:127.0.0.1"] {
            let refused = everywhere.open(host, port, None).unwrap_err();
            assert!(matches!(refused, NotReached::Inside(_)), "{host}: {refused}");
        }
        let named = outside(Some(&[&format!("127.0.0.1:{port}"), &format!("*.localhost:{port}")]));
        assert!(named.open("127.0.0.1", port, None).unwrap().is_inside);
        assert!(matches!(named.open("x.localhost", port, None), Err(NotReached::Inside(_))));
        assert!(matches!(named.open("localhost", port, None), Err(NotReached::NotListed)));
        let other = outside(Some(&[&format!("files.example:{port}")]));
        assert!(other.tunnel("files.example", port, Some(Ipv4Addr::LOCALHOST.into())).unwrap().is_inside);
        assert!(matches!(other.open("example", port, None), Err(NotReached::NotListed)));
    }

    #[test]
    fn names_that_nobody_has_are_not_known() {
        assert!(!outside(None).knows("nobody.invalid"));
        assert!(outside(None).knows("localhost"));
        assert!(matches!(outside(None).open("nobody.invalid", 80, None), Err(NotReached::Unknown)));
    }

    #[test]
    fn a_proxy_of_the_machine_is_asked_for_a_tunnel() {
        let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = format!("http://me:pass@{}", proxy.local_addr().unwrap());
        let proxies = Proxies::new(None, Some(&address), None);
        let outside = Outside { hosts: None, proxies };
        let asked = std::thread::spawn(move || {
            let mut heads = Vec::new();
            for answer in ["HTTP/1.1 200 Connection established", "HTTP/1.1 407 Who are you"] {
                let (mut stream, _) = proxy.accept().unwrap();
                let mut head = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while !head.ends_with("\r\n\r\n") {
                    reader.read_line(&mut head).unwrap();
                }
                stream.write_all(format!("{answer}\r\n\r\nfirst").as_bytes()).unwrap();
                heads.push(head);
            }
            heads
        });
        let reached = outside.tunnel("nobody.invalid", 443, None).unwrap();
        let mut first = [0; 5];
        io::Read::read_exact(&mut &reached.stream, &mut first).unwrap();
        assert_eq!(&first, b"first");
        let refused = outside.tunnel("nobody.invalid", 443, None).unwrap_err().to_string();
        assert!(refused.ends_with("answered: HTTP/1.1 407 Who are you"), "{refused}");
        assert!(!refused.contains("pass"), "{refused}");
        let head = "CONNECT nobody.invalid:443 HTTP/1.1\r\nHost: nobody.invalid:443\r\n\
                    Proxy-Authorization: Basic bWU6cGFzcw==\r\n\r\n";
        assert_eq!(asked.join().unwrap()[0], head);
        assert!(matches!(outside.tunnel("169.254.169.254", 443, None), Err(NotReached::Inside(_))));
        assert!(outside.knows("nobody.invalid"));
    }
}

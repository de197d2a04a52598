//! The only way out of a sandbox that has one: its sockets are made inside, in the run's own network namespace, and
//! handed to this process, which answers names, speaks HTTP and carries bytes, to the hosts that the policy lets
//! through and to no other. Nothing else connects the two networks, so nothing has to be filtered.

mod body;
mod connection;
mod content;
mod exchange;
mod head;
mod hello;
mod ledger;
mod listen;
mod names;
mod open;
mod opened;
mod pins;
mod server;
mod tunnel;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) use crate::exec::proxy::ledger::Differs;
use crate::exec::proxy::ledger::Ledger;
use crate::exec::proxy::names::{Names, Standing};
use crate::exec::proxy::open::Open;
pub(crate) use crate::exec::proxy::opened::Opened;
use crate::exec::proxy::server::Place;
use crate::net::hosts::{self, USUAL_PORTS, canonical};
use crate::net::outside::{NotReached, Outside};
use crate::store::traffic::{Refused, Traffic};

/// Where programs that are told of a proxy find it.
pub(crate) const PROXY_ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;
pub(crate) const PROXY_PORT: u16 = 3128;

/// For connections that still count what they carried when the run is over.
const END: Duration = Duration::from_secs(5);

/// The ports that a sandbox listens to, for its proxy.
pub(crate) fn ports(outside: &Outside) -> Vec<u16> {
    let mut ports = outside.hosts.as_ref().map(|hosts| hosts.ports()).unwrap_or_default();
    ports.extend(USUAL_PORTS);
    ports.push(PROXY_PORT);
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Whether a run that did so would do just so now: it was let through to nobody whom it would not be let through to,
/// and to everybody whom it would.
pub(crate) fn would_repeat(outside: &Outside, traffic: &Traffic) -> bool {
    let reaches = |host: &str, port, inside: bool| match outside.standing(host, port) {
        hosts::Standing::Literal => true,
        hosts::Standing::Listed => !inside,
        hosts::Standing::NotListed => false,
    };
    traffic.hosts.iter().all(|reached| reaches(&reached.host, reached.port, reached.inside))
        && traffic.refused.iter().all(|refused| match refused.port {
            Some(port) => !reaches(&refused.host, port, refused.inside),
            None => !outside.lets_through(&refused.host),
        })
}

/// What programs in a sandbox are told, so that those which ask their environment know how to get out. `inside` are
/// names that lead nowhere else.
pub(crate) fn environment(inside: &[&str]) -> Vec<(String, String)> {
    let address = format!("http://{PROXY_ADDRESS}:{PROXY_PORT}");
    let direct = [&["localhost", "127.0.0.1", "::1"], inside].concat().join(",");
    let pair = |name: &str, value: &str| {
        [(name.to_lowercase(), value.to_owned()), (name.to_owned(), value.to_owned())]
    };
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].map(|name| pair(name, &address));
    proxies.into_iter().chain([pair("NO_PROXY", &direct)]).flatten().collect()
}

/// What holds for one run.
#[derive(Default)]
pub(crate) struct Terms {
    pub outside: Outside,
    /// Names whose addresses the run itself says.
    pub given: BTreeMap<String, IpAddr>,
    /// What the sandbox calls itself.
    pub hostname: String,
    /// Where its TLS is opened.
    pub opened: Option<Opened>,
}

/// What all connections of a run know.
struct Shared {
    outside: Outside,
    given: BTreeMap<String, IpAddr>,
    hostname: String,
    opened: Option<Opened>,
    names: Names,
    ledger: Ledger,
    open: Open,
    /// Names that are being looked for.
    asking: AtomicUsize,
}

/// Serves one run.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    /// When it is closed, nobody is let in any more.
    stop: Option<UnixStream>,
    listening: Option<JoinHandle<()>>,
}

impl Proxy {
    /// `line` is where the sandbox sends its sockets.
    pub(crate) fn start(line: OwnedFd, terms: Terms) -> io::Result<Proxy> {
        let Terms { outside, given, hostname, opened } = terms;
        let shared = Arc::new(Shared {
            outside,
            given: given.into_iter().map(|(name, address)| (canonical(&name), address)).collect(),
            hostname: canonical(&hostname),
            opened,
            names: Names::default(),
            ledger: Ledger::default(),
            open: Open::default(),
            asking: AtomicUsize::new(0),
        });
        let (stop, stopped) = UnixStream::pair()?;
        let serving = shared.clone();
        let listening = std::thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || listen::listen(&serving, &UnixStream::from(line), &stopped))?;
        Ok(Proxy { shared, stop: Some(stop), listening: Some(listening) })
    }

    /// When everything inside is dead: what went through, and the first of it that was not what is pinned.
    pub(crate) fn finish(mut self) -> (Traffic, Option<Differs>) {
        self.end();
        let differs = self.shared.ledger.first_difference();
        (self.shared.ledger.sum(), differs)
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
            self.shared.open.end(END);
        }
    }
}

/// A run that was given up leaves nobody who listens.
impl Drop for Proxy {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn given(&self, host: &str) -> Option<IpAddr> {
        self.given.get(host).copied()
    }

    /// To the host, or to what is pinned of it.
    fn lets_through(&self, place: &Place) -> bool {
        let standing = self.outside.standing(&place.host, place.port);
        standing != hosts::Standing::NotListed || self.has_pins_of(&place.host)
    }

    fn has_pins_of(&self, host: &str) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.pins.has_host(host))
    }

    /// Whether answers to such requests go to the store.
    fn keeps_answers(&self, method: &str) -> bool {
        self.opened.is_some() && method == "GET"
    }

    fn standing(&self, name: &str) -> Standing {
        if self.has_pins_of(name) {
            return Standing::Reachable;
        }
        if !self.outside.lets_through(name) {
            self.note_refusal(name, None, &NotReached::NotListed);
            return Standing::NotAllowed;
        }
        let is_known = self.given.contains_key(name) || self.outside.knows(name);
        if is_known { Standing::Reachable } else { Standing::Unknown }
    }

    /// Only of what the policy is the reason for.
    fn note_refusal(&self, host: &str, port: Option<u16>, error: &NotReached) {
        let inside = match error {
            NotReached::NotListed => false,
            NotReached::Inside(_) => true,
            _ => return,
        };
        self.ledger.refused(Refused { host: host.to_owned(), port, inside });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::hosts::Hosts;
    use crate::store::traffic::HostTraffic;

    fn outside(hosts: Option<&[&str]>) -> Outside {
        let hosts = hosts.map(|hosts| Hosts(hosts.iter().map(|text| text.parse().unwrap()).collect()));
        Outside { hosts, ..Outside::default() }
    }

    #[test]
    fn what_is_listened_to() {
        assert_eq!(ports(&outside(None)), [80, 443, 3128]);
        assert_eq!(ports(&outside(Some(&["a.b:8080", "a.b:443", "c.d:22"]))), [22, 80, 443, 3128, 8080]);
    }

    #[test]
    fn results_hold_where_the_same_hosts_are_let_through() {
        let host = |host: &str, port, inside| HostTraffic {
            host: host.to_owned(),
            port,
            sent: 1,
            received: 1,
            inside,
        };
        let refused = |host: &str, port, inside| Refused { host: host.to_owned(), port, inside };
        let traffic = |hosts: &[HostTraffic], refused: &[Refused]| Traffic {
            hosts: hosts.to_vec(),
            refused: refused.to_vec(),
            ..Traffic::default()
        };
        let all = || outside(None);
        let some = |hosts: &[&str]| outside(Some(hosts));
        for (now, then, expected) in [
            (all(), traffic(&[host("a.b", 443, false)], &[]), true),
            (some(&["a.b"]), traffic(&[host("a.b", 443, false)], &[]), true),
            (some(&["c.d"]), traffic(&[host("a.b", 443, false)], &[]), false),
            (some(&["a.b"]), traffic(&[host("a.b", 22, false)], &[]), false),
            (some(&["a.b"]), traffic(&[], &[refused("c.d", None, false)]), true),
            (all(), traffic(&[], &[refused("c.d", None, false)]), false),
            (some(&["c.d"]), traffic(&[], &[refused("c.d", Some(22), false)]), true),
            (some(&["c.d"]), traffic(&[], &[refused("c.d", Some(80), false)]), false),
            (all(), traffic(&[host("10.0.0.1", 80, true)], &[]), false),
            (some(&["10.0.0.1"]), traffic(&[host("10.0.0.1", 80, true)], &[]), true),
            (all(), traffic(&[], &[refused("10.0.0.1", Some(80), true)]), true),
            (some(&["10.0.0.1"]), traffic(&[], &[refused("10.0.0.1", Some(80), true)]), false),
        ] {
            assert_eq!(would_repeat(&now, &then), expected, "{now:?} {then:?}");
        }
    }
}

//! The proxies through which this machine reaches others, as `http_proxy`, `https_proxy` and `no_proxy` name them.
//! They are values here: who reads the environment is `cli`.

use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::net::hosts::{canonical, split};
use crate::net::reference::is_loopback;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    http: Option<Result<ProxyServer, BadProxy>>,
    https: Option<Result<ProxyServer, BadProxy>>,
    /// Hosts that are reached without one; those below them too.
    direct: Vec<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct ProxyServer {
    pub host: String,
    pub port: u16,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<String>,
}

/// Who we are is told to the proxy only.
impl std::fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this machine's proxy is not named like `http://proxy.example:3128`")]
pub struct BadProxy;

impl Proxies {
    /// For HTTP, for everything that is a tunnel, and the list of whom to reach without one. What cannot be used is
    /// told when it would be.
    pub fn new(http: Option<&str>, https: Option<&str>, direct: Option<&str>) -> Proxies {
        let server = |text: Option<&str>| text.map(ProxyServer::from_str);
        let entries = direct.unwrap_or_default().split([',', ' ']).map(str::trim);
        let entries = entries.map(|entry| canonical(entry.trim_start_matches("*.").trim_start_matches('.')));
        let direct = entries.filter(|entry| !entry.is_empty()).collect();
        Proxies { http: server(http), https: server(https), direct }
    }

    /// Who is asked instead of the host itself.
    pub(in crate::net) fn server(
        &self,
        host: &str,
        port: u16,
        is_tunnel: bool,
    ) -> Result<Option<&ProxyServer>, BadProxy> {
        let server = if is_tunnel { &self.https } else { &self.http };
        match server.as_ref().filter(|_| !self.is_direct(&canonical(host), port)) {
            None => Ok(None),
            Some(Ok(server)) => Ok(Some(server)),
            Some(Err(error)) => Err(error.clone()),
        }
    }

    fn is_direct(&self, host: &str, port: u16) -> bool {
        is_loopback(host)
            || self.direct.iter().any(|entry| {
                let (name, own) = split(entry).unwrap_or((entry, None));
                own.is_none_or(|own| own == port) && (entry == "*" || covers(name, host))
            })
    }
}

fn covers(name: &str, host: &str) -> bool {
    let below = |before: &str| before.ends_with('.');
    host == name || host.strip_suffix(name).is_some_and(below) || is_in_network(name, host)
}

/// `10.0.0.0/8`
fn is_in_network(network: &str, host: &str) -> bool {
    let Some((address, length)) = network.split_once('/') else { return false };
    let bits = |address: &str| match address.parse().ok()? {
        IpAddr::V4(address) => Some((u128::from(u32::from(address)) << 96, 32)),
        IpAddr::V6(address) => Some((u128::from(address), 128)),
    };
    let (Some((one, width)), Some((other, same))) = (bits(address), bits(host)) else { return false };
    let Some(length) = length.parse::<u32>().ok().filter(|length| *length <= width) else { return false };
    width == same && (length == 0 || (one ^ other) >> (128 - length) == 0)
}

impl FromStr for ProxyServer {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<ProxyServer, BadProxy> {
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(_) => return Err(BadProxy),
            None => text,
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let (host, port) = split(host).filter(|(host, _)| !host.is_empty()).ok_or(BadProxy)?;
        let authorization = user.map(|user| {
            let user = if user.contains(':') { user.to_owned() } else { format!("{user}:") };
            format!("Basic {}", STANDARD.encode(unescaped(&user)))
        });
        Ok(ProxyServer { host: host.to_owned(), port: port.unwrap_or(80), authorization })
    }
}

/// `%40` is `@`; what is no such form stands for itself.
fn unescaped(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                plain.push(byte);
                at += 3;
            }
            _ => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_as_they_are_written() {
        let read = |text: &str| text.parse::<ProxyServer>();
        let server = |host: &str, port, authorization: Option<&str>| {
            Ok(ProxyServer { host: host.to_owned(), port, authorization: authorization.map(str::to_owned) })
        };
        assert_eq!(read("http://p.example:3128/"), server("p.example", 3128, None));
        assert_eq!(read("p.example:3128"), server("p.example", 3128, None));
        assert_eq!(read("http://[::1]"), server("::1", 80, None));
        assert_eq!(read("http://a%40b:c@p:1"), server("p", 1, Some("Basic YUBiOmM=")));
        for text in ["https://p:1", "socks5://p:1", "http://", "http://p:x", ""] {
            assert_eq!(read(text), Err(BadProxy), "{text}");
        }
        assert!(!format!("{:?}", read("http://me:pass@p:1").unwrap()).contains("YUBi"));
    }

    #[test]
    fn some_hosts_are_reached_without() {
        let direct = "example.org, .corp.example,10.0.0.0/8,h.io:8080,192.168.1.1,fd00::/8";
        let proxies = Proxies::new(Some("http://p:1"), None, Some(direct));
        for (host, port, expected) in [
            ("example.org", 80, true),
            ("a.example.org", 80, true),
            ("anexample.org", 80, false),
            ("a.corp.example", 80, true),
            ("10.200.0.1", 80, true),
            ("11.0.0.1", 80, false),
            ("h.io", 8080, true),
            ("h.io", 80, false),
            ("192.168.1.1", 80, true),
            ("fd00::1", 80, true),
            ("fe00::1", 80, false),
            ("127.0.0.1", 80, true),
        ] {
            assert_eq!(proxies.server(host, port, false) == Ok(None), expected, "{host}:{port}");
        }
        assert_eq!(proxies.server("other.example", 443, true), Ok(None));
        let nobody = Proxies::new(Some("http://p:1"), None, Some("*"));
        assert_eq!(nobody.server("other.example", 80, false), Ok(None));
        let odd = Proxies::new(Some("socks5://p:1"), None, None);
        assert_eq!(odd.server("other.example", 80, false), Err(BadProxy));
        assert_eq!(odd.server("127.0.0.1", 80, false), Ok(None));
    }
}

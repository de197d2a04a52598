//! Which machines may be reached, as policies write it: `example.org`, `*.example.org`, `example.org:8080`, an address.
//! Knows names and numbers only; whether a name leads somewhere it should not is seen when it is connected to
//! (`outside.rs`).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What a host without a port may be asked on: HTTP and HTTPS.
pub const USUAL_PORTS: [u16; 2] = [80, 443];

/// A list of hosts that may be reached; an empty one lets nobody through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hosts(pub Vec<HostPattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    name: Name,
    /// `None`: the usual ones.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// In lower case, without the dot at the end.
    Exact(String),
    /// All names below that one, and not itself.
    Below(String),
    Address(IpAddr),
}

/// How a host stands to a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    NotListed,
    /// A pattern, or no list at all, lets it through.
    Listed,
    /// It is written there as it is asked for.
    Literal,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    #[error("`{0}` is a URL, and a host is its name alone")]
    Url(String),
    #[error("`{0}` is no host: `*.` may stand before a name, and nowhere else")]
    Star(String),
    #[error("`{0}` is no host: a port is a number from 1 to 65535")]
    Port(String),
    #[error("`{0}` is no host: names are made of letters, digits, `-` and dots")]
    Name(String),
}

impl Hosts {
    pub fn standing(&self, host: &str, port: u16) -> Standing {
        let host = canonical(host);
        self.0.iter().map(|pattern| pattern.standing(&host, port)).max().unwrap_or(Standing::NotListed)
    }

    /// Whether the name may be asked for on any port.
    pub fn names(&self, host: &str) -> bool {
        let host = canonical(host);
        self.0.iter().any(|pattern| pattern.name_standing(&host) != Standing::NotListed)
    }

    /// Those beside the usual ones that some host may be asked on, each once.
    pub fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.0.iter().filter_map(|pattern| pattern.port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.retain(|port| !USUAL_PORTS.contains(port));
        ports
    }
}

impl HostPattern {
    /// `host` is canonical.
    fn standing(&self, host: &str, port: u16) -> Standing {
        let fits = self.port.map_or(USUAL_PORTS.contains(&port), |own| own == port);
        if fits { self.name_standing(host) } else { Standing::NotListed }
    }

    fn name_standing(&self, host: &str) -> Standing {
        let is_literal = match &self.name {
            Name::Exact(name) => name == host,
            Name::Address(address) => host.parse() == Ok(*address),
            Name::Below(_) => false,
        };
        match &self.name {
            _ if is_literal => Standing::Literal,
            Name::Below(name) => match host.strip_suffix(name.as_str()) {
                Some(before) if before.len() > 1 && before.ends_with('.') => Standing::Listed,
                _ => Standing::NotListed,
            },
            _ => Standing::NotListed,
        }
    }
}

/// As names are compared: in lower case, without a dot at the end, addresses without brackets.
pub fn canonical(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    // One address has many spellings.
    host.parse::<IpAddr>().map_or(host, |address| address.to_canonical().to_string())
}

/// `host:port`, `host`, `[address]:port`; `None` for what is none of these.
pub fn split(text: &str) -> Option<(&str, Option<u16>)> {
    if text.parse::<IpAddr>().is_ok() {
        return Some((text, None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        let _: IpAddr = address.parse().ok()?;
        return match after.strip_prefix(':') {
            Some(port) => Some((address, Some(number(port)?))),
            None => after.is_empty().then_some((address, None)),
        };
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, Some(number(port)?))),
        None => Some((text, None)),
    }
}

fn number(port: &str) -> Option<u16> {
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { port.parse().ok().filter(|port| *port > 0) } else { None }
}

/// What a machine may be called (RFC 1123, section 2.1, and `_`, which some are called all the same).
pub fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_plain);
    text.len() <= 253 && text.split('.').all(is_label)
}

impl FromStr for HostPattern {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<HostPattern, BadHost> {
        let own = || text.to_owned();
        if text.contains('/') {
            return Err(BadHost::Url(own()));
        }
        let (host, port) = split(text).ok_or_else(|| BadHost::Port(own()))?;
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(HostPattern { name: Name::Address(address.to_canonical()), port });
        }
        let host = canonical(host);
        let (is_below, name) = match host.strip_prefix("*.") {
            Some(below) => (true, below.to_owned()),
            None => (false, host),
        };
        if name.contains('*') {
            return Err(BadHost::Star(own()));
        }
        if !is_name(&name) {
            return Err(BadHost::Name(own()));
        }
        Ok(HostPattern { name: if is_below { Name::Below(name) } else { Name::Exact(name) }, port })
    }
}

/// As it is written.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.port) {
            (Name::Address(IpAddr::V6(address)), Some(_)) => write!(f, "[{address}]")?,
            (Name::Address(address), _) => write!(f, "{address}")?,
            (Name::Exact(name), _) => f.write_str(name)?,
            (Name::Below(name), _) => write!(f, "*.{name}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// As it stands behind `network`.
impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<String> = self.0.iter().map(|pattern| format!("\"{pattern}\"")).collect();
        f.write_str(&quoted.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(patterns: &[&str]) -> Hosts {
        Hosts(patterns.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn who_is_listed() {
        use Standing::{Listed, Literal, NotListed};
        let list =
            hosts(&["deb.debian.org", "*.Example.org", "h.io:8080", "10.0.0.5", "[::1]:80", "a.b:443"]);
        for (host, port, expected) in [
            ("deb.debian.org", 80, Literal),
            ("DEB.debian.org.", 443, Literal),
            ("deb.debian.org", 22, NotListed),
            ("xdeb.debian.org", 80, NotListed),
            ("example.org", 80, NotListed),
            ("a.example.org", 80, Listed),
            ("a.b.example.org", 443, Listed),
            (".example.org", 443, NotListed),
            ("aexample.org", 80, NotListed),
            ("h.io", 8080, Literal),
            ("h.io", 80, NotListed),
            ("10.0.0.5", 80, Literal),
            ("::ffff:10.0.0.5", 80, Literal),
            ("10.0.0.50", 80, NotListed),
            ("[::1]", 80, Literal),
            ("0:0:0:0:0:0:0:1", 80, Literal),
            ("a.b", 443, Literal),
            ("a.b", 80, NotListed),
        ] {
            assert_eq!(list.standing(host, port), expected, "{host} {port}");
        }
        assert_eq!(list.ports(), [8080]);
        assert!(list.names("H.io") && !list.names("x.io"));
        assert_eq!(Hosts::default().standing("a.b", 80), NotListed);
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |text: &str| text.parse::<HostPattern>().unwrap_err().to_string();
        assert_eq!(refused("https://a.b"), "`https://a.b` is a URL, and a host is its name alone");
        for text in ["*", "a.*.b", "*a.b", "*.*.b"] {
            assert!(refused(text).contains("`*.` may stand before a name"), "{text}");
        }
        for text in ["a.b:", "a.b:0", "a.b:65536", "a.b:x", "a.b:+1", "::1:zz", "[::1", "[a]:1"] {
            assert!(refused(text).contains("a port is a number"), "{text}");
        }
        for text in ["", ".", "a..b", "a b", "ä.de", "*."] {
            assert!(refused(text).contains("names are made of") || refused(text).contains("`*.`"), "{text}");
        }
        assert!(refused(&"a".repeat(64)).contains("names are made of"));
    }

    proptest! {
        /// What is read is written so that it is read as the same.
        #[test]
        fn written_and_read(text in "(\\*\\.)?[a-z0-9.:*\\[\\]-]{1,12}") {
            if let Ok(pattern) = text.parse::<HostPattern>() {
                prop_assert_eq!(pattern.to_string().parse::<HostPattern>(), Ok(pattern));
            }
        }
    }
}

//! What names an image in a registry: `[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]`, with Docker's defaults for what is
//! left out. Never asks a registry. A reference is kept in full, so that two spellings of one image are equal.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::base::digest::OciDigest;
use crate::net::error::NetError;

/// The registry that is meant where none is named.
const DOCKER_HUB: &str = "docker.io";
/// Of host and repository together, as other tools have it.
const LONGEST_NAME: usize = 255;
const LONGEST_TAG: usize = 128;

/// A name of an image, whole: `alpine` is `docker.io/library/alpine:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// `host` or `host:port`; Docker Hub is `docker.io`.
    pub host: String,
    pub repository: String,
    /// `latest` where neither tag nor digest is written.
    pub tag: Option<String>,
    /// Decides where both are there: the tag is then for people only.
    pub digest: Option<OciDigest>,
}

impl Reference {
    /// Where the registry's API is served, `host[:port]`.
    pub fn api_host(&self) -> &str {
        api_host(&self.host)
    }

    /// `HOST/REPOSITORY`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// What a manifest is asked by: the digest, else the tag.
    pub fn version(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The image of the same repository with that digest.
    pub fn at(&self, digest: OciDigest) -> Reference {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }
}

/// Docker Hub's API has another host than its name.
pub fn api_host(host: &str) -> &str {
    if host == DOCKER_HUB { "registry-1.docker.io" } else { host }
}

/// Whether a `host[:port]` is this machine itself.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || name.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = NetError;

    /// Grammar of the distribution specification ("Pulling manifests") and of Docker's names.
    fn from_str(text: &str) -> Result<Reference, NetError> {
        parse(text).map_err(|why| NetError::Reference { text: text.to_owned(), why })
    }
}

fn parse(text: &str) -> Result<Reference, &'static str> {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => {
            (name, Some(digest.parse().map_err(|_| "a digest is `sha256:` and 64 hexadecimal digits")?))
        }
        None => (text, None),
    };
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(
            "a tag is up to 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two",
        );
    }
    let (host, path) = split_host(name);
    if host.is_some_and(|host| !is_host(host)) {
        return Err("a host is a name or an address, and may end in `:` and a port");
    }
    if path.is_empty() || !path.split('/').all(is_path_component) {
        return Err(
            "a repository is lower-case letters and digits, with single `.`, `_`, `__`, `-` or `/` between",
        );
    }
    if host.is_none() && path.len() == 64 && path.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("64 hexadecimal digits name no repository");
    }
    let host = match host {
        None | Some("index.docker.io") => DOCKER_HUB,
        Some(host) => host,
    };
    let repository = match host {
        DOCKER_HUB if !path.contains('/') => format!("library/{path}"),
        _ => path.to_owned(),
    };
    if host.len() + 1 + repository.len() > LONGEST_NAME {
        return Err("host and repository are longer than 255 characters");
    }
    let tag = tag.or(if digest.is_none() { Some("latest") } else { None });
    Ok(Reference { host: host.to_owned(), repository, tag: tag.map(str::to_owned), digest })
}

/// The first part is a host where it cannot be a part of a repository: it has a dot or a colon, or is `localhost`.
fn split_host(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, name),
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_number =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if !port.is_none_or(is_number) {
        return false;
    }
    match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => name.split('.').all(is_host_component),
    }
}

fn is_host_component(part: &str) -> bool {
    !part.is_empty()
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !part.starts_with('-')
        && !part.ends_with('-')
}

/// Runs of letters and digits, with `.`, `_`, `__` or any number of `-` between them.
fn is_path_component(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends_are_words =
        bytes.first().is_some_and(|byte| is_word(*byte)) && bytes.last().is_some_and(|byte| is_word(*byte));
    let separators = part.split(|symbol: char| symbol.is_ascii() && is_word(symbol as u8));
    ends_are_words
        && separators.filter(|separator| !separator.is_empty()).all(|separator| {
            matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_filled_in() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, expected) in [
            ("alpine", "docker.io/library/alpine:latest".to_owned()),
            ("alpine:3.22", "docker.io/library/alpine:3.22".to_owned()),
            ("docker.io/alpine", "docker.io/library/alpine:latest".to_owned()),
            ("index.docker.io/alpine", "docker.io/library/alpine:latest".to_owned()),
            ("user/app", "docker.io/user/app:latest".to_owned()),
            ("localhost/x", "localhost/x:latest".to_owned()),
            ("host:5000/x", "host:5000/x:latest".to_owned()),
            ("host:5000/x:5", "host:5000/x:5".to_owned()),
            ("[::1]:5000/x", "[::1]:5000/x:latest".to_owned()),
            ("[::1]/x", "[::1]/x:latest".to_owned()),
            ("Host.example/a/b__c.d-e--f:V1", "Host.example/a/b__c.d-e--f:V1".to_owned()),
            (&format!("a@{digest}"), format!("docker.io/library/a@{digest}")),
            (&format!("h.io/a:1@{digest}"), format!("h.io/a:1@{digest}")),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), expected, "{text}");
            assert_eq!(expected.parse::<Reference>().unwrap(), reference, "its full spelling is the same");
        }
    }

    #[test]
    fn what_names_no_image() {
        let hexadecimal = "0a".repeat(32);
        let long_tag = format!("a:{}", "t".repeat(129));
        let long_name = format!("h.io/{}", "n".repeat(251));
        for text in [
            "",
            "Alpine",
            "a//b",
            "/a",
            "a/",
            "alpine:",
            "alpine:-x",
            "alpine:.x",
            "a b",
            "docker://alpine",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "host:/x",
            "host:99999/x",
            "host:+5/x",
            "-h.io/x",
            "h..io/x",
            "[::g]/x",
            "a@sha256:0a",
            "a@",
            "a@md5:0a",
            "é",
            "localhost/",
            &hexadecimal,
            &long_tag,
            &long_name,
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        assert!(format!("h.io/{}", "n".repeat(250)).parse::<Reference>().is_ok());
    }

    #[test]
    fn versions_and_hosts() {
        let digest = OciDigest::of(b"x");
        let both: Reference = format!("alpine:3@{digest}").parse().unwrap();
        assert_eq!(both.version(), digest.to_string());
        assert_eq!(both.api_host(), "registry-1.docker.io");
        let tagged: Reference = "h.io/a:3".parse().unwrap();
        assert_eq!((tagged.version().as_str(), tagged.api_host()), ("3", "h.io"));
        assert_eq!(tagged.at(digest).to_string(), format!("h.io/a@{digest}"));
    }

    #[test]
    fn this_machine() {
        for (host, expected) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("10.0.0.1:5000", false),
            ("localhost.example", false),
            ("[::2]:5000", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}

//! One entry of the lock file: its key, its one line, and how it is decoded.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::base::address::holds_secret;
use crate::base::digest::{Digest, OciDigest};
use crate::graph::op::Pin;
use crate::lang::flat;
use crate::lang::mistake::Findings;
use crate::lang::syntax::Node;

/// What the lock file says about one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Image {
        /// As the build file writes it.
        reference: String,
        /// `sha256:…` of the manifest, or of the index that leads to those of all platforms.
        digest: Option<String>,
        /// Manifests by platform (`linux/amd64`), where no one digest leads to all of them.
        platforms: BTreeMap<String, String>,
    },
    Http {
        url: String,
        /// Hexadecimal.
        sha256: String,
        /// Bytes.
        size: Option<u64>,
    },
    Git {
        url: String,
        reference: Option<String>,
        commit: String,
    },
    /// What is imported from elsewhere.
    Library {
        url: String,
        reference: Option<String>,
        commit: String,
    },
    /// An output of a run with `network locked`.
    Run {
        /// `//package:name`
        label: String,
        output: String,
        /// As `memobuild hash` prints it: of a file's content or of a folder's tree.
        digest: String,
    },
    /// What an address answered a run with `network intercept`.
    Fetch {
        /// `//package:name`
        label: String,
        pin: Pin,
    },
}

/// What an entry is about: a file holds each key once, and is sorted by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The first word of the line.
    pub word: String,
    pub name: String,
    /// The git reference, the run's output, or the address that it asked.
    pub part: Option<String>,
}

impl Key {
    pub fn new(word: &str, name: &str, part: Option<&str>) -> Key {
        Key { word: word.to_owned(), name: name.to_owned(), part: part.map(str::to_owned) }
    }
}

/// As the line begins.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.word, quoted(&self.name))?;
        match &self.part {
            Some(part) if self.word == FETCH => write!(f, " url={}", quoted(part)),
            Some(part) if self.word == RUN => write!(f, " output={}", quoted(part)),
            Some(part) => write!(f, " ref={}", quoted(part)),
            None => Ok(()),
        }
    }
}

pub const IMAGE: &str = "image";
pub const HTTP: &str = "http";
pub const GIT: &str = "git";
pub const LIBRARY: &str = "library";
pub const RUN: &str = "run";
pub const FETCH: &str = "fetch";

impl Entry {
    pub fn key(&self) -> Key {
        match self {
            Entry::Image { reference, .. } => Key::new(IMAGE, reference, None),
            Entry::Http { url, .. } => Key::new(HTTP, url, None),
            Entry::Git { url, reference, .. } => Key::new(GIT, url, reference.as_deref()),
            Entry::Library { url, reference, .. } => Key::new(LIBRARY, url, reference.as_deref()),
            Entry::Run { label, output, .. } => Key::new(RUN, label, Some(output)),
            Entry::Fetch { label, pin } => Key::new(FETCH, label, Some(&pin.url)),
        }
    }

    /// The one spelling that this program writes, without the last line end.
    pub fn text(&self) -> String {
        let key = self.key();
        match self {
            Entry::Image { digest, platforms, .. } => {
                let digest = digest.iter().map(|digest| format!(" digest={}", quoted(digest)));
                let line: String = std::iter::once(key.to_string()).chain(digest).collect();
                let platforms: String = platforms
                    .iter()
                    .map(|(name, digest)| {
                        format!("    platform {} digest={}\n", quoted(name), quoted(digest))
                    })
                    .collect();
                if platforms.is_empty() { line } else { format!("{line} {{\n{platforms}}}") }
            }
            Entry::Http { sha256, size, .. } => {
                let size = size.map(|size| format!(" size={size}")).unwrap_or_default();
                format!("{key} sha256={}{size}", quoted(sha256))
            }
            Entry::Git { commit, .. } | Entry::Library { commit, .. } => {
                format!("{key} commit={}", quoted(commit))
            }
            Entry::Run { digest, .. } => format!("{key} digest={}", quoted(digest)),
            Entry::Fetch { pin, .. } => {
                let status = if pin.status == OK { String::new() } else { format!(" status={}", pin.status) };
                let text = |name: &str, value: &Option<String>| {
                    value.as_ref().map(|value| format!(" {name}={}", quoted(value))).unwrap_or_default()
                };
                let (to, kind) = (text("to", &pin.location), text("type", &pin.media_type));
                format!("{key}{status}{to} sha256={} size={}{kind}", quoted(&pin.sha256), pin.size)
            }
        }
    }

    /// `None` when it was reported. `Some(None)`: a kind of entry that a newer program wrote.
    pub(super) fn decode(text: &str, node: &Node, findings: &mut Findings) -> Option<Option<Entry>> {
        let entry = match node.word.as_str() {
            IMAGE => flat::decode::<ImageLine>(text, node, IMAGE_EXAMPLE, findings)?.entry(),
            HTTP => flat::decode::<HttpLine>(text, node, HTTP_EXAMPLE, findings)?.entry(),
            GIT => {
                let GitLine { url, reference, commit } = flat::decode(text, node, GIT_EXAMPLE, findings)?;
                Entry::Git { url: url.0, reference, commit: commit.0 }
            }
            LIBRARY => {
                let GitLine { url, reference, commit } = flat::decode(text, node, GIT_EXAMPLE, findings)?;
                Entry::Library { url: url.0, reference, commit: commit.0 }
            }
            RUN => flat::decode::<RunLine>(text, node, RUN_EXAMPLE, findings)?.entry(),
            FETCH => flat::decode::<FetchLine>(text, node, FETCH_EXAMPLE, findings)?.entry(),
            _ => return Some(None),
        };
        Some(Some(entry))
    }
}

const IMAGE_EXAMPLE: &str = "image \"docker.io/library/node:22-alpine\" digest=\"sha256:…\"";
const HTTP_EXAMPLE: &str = "http \"https://…\" sha256=\"…\" size=1024";
const GIT_EXAMPLE: &str = "git \"https://…\" ref=\"v1.2\" commit=\"…\"";
const RUN_EXAMPLE: &str = "run \"//package:name\" output=\"name\" digest=\"…\"";

const FETCH_EXAMPLE: &str = "fetch \"//package:name\" url=\"https://…\" sha256=\"…\" size=1024";

/// What is answered where nothing else is said.
const OK: u16 = 200;

#[derive(knus::Decode)]
struct ImageLine {
    #[knus(argument)]
    reference: String,
    #[knus(property, str)]
    digest: Option<ImageDigest>,
    #[knus(children(name = "platform"))]
    platforms: Vec<PlatformLine>,
}

#[derive(knus::Decode)]
struct PlatformLine {
    #[knus(argument)]
    name: String,
    #[knus(property, str)]
    digest: ImageDigest,
}

#[derive(knus::Decode)]
struct HttpLine {
    #[knus(argument, str)]
    url: Address,
    #[knus(property, str)]
    sha256: Hexadecimal,
    #[knus(property)]
    size: Option<u64>,
}

#[derive(knus::Decode)]
struct GitLine {
    #[knus(argument, str)]
    url: Address,
    #[knus(property(name = "ref"))]
    reference: Option<String>,
    #[knus(property, str)]
    commit: Commit,
}

#[derive(knus::Decode)]
struct RunLine {
    #[knus(argument)]
    label: String,
    #[knus(property)]
    output: String,
    #[knus(property, str)]
    digest: Hexadecimal,
}

#[derive(knus::Decode)]
struct FetchLine {
    #[knus(argument)]
    label: String,
    #[knus(property, str)]
    url: Address,
    #[knus(property)]
    status: Option<u16>,
    #[knus(property(name = "to"))]
    location: Option<String>,
    #[knus(property, str)]
    sha256: Hexadecimal,
    #[knus(property)]
    size: u64,
    #[knus(property(name = "type"))]
    media_type: Option<String>,
}

impl FetchLine {
    fn entry(self) -> Entry {
        let FetchLine { label, url, status, location, sha256, size, media_type } = self;
        let pin =
            Pin { url: url.0, status: status.unwrap_or(OK), sha256: sha256.0, size, media_type, location };
        Entry::Fetch { label, pin }
    }
}

impl ImageLine {
    fn entry(self) -> Entry {
        let platforms = self.platforms.into_iter().map(|line| (line.name, line.digest.0)).collect();
        Entry::Image { reference: self.reference, digest: self.digest.map(|digest| digest.0), platforms }
    }
}

impl HttpLine {
    fn entry(self) -> Entry {
        Entry::Http { url: self.url.0, sha256: self.sha256.0, size: self.size }
    }
}

impl RunLine {
    fn entry(self) -> Entry {
        Entry::Run { label: self.label, output: self.output, digest: self.digest.0 }
    }
}

/// A text of a form that is checked where it is read.
macro_rules! form {
    ($name:ident, $what:literal, $fits:expr) => {
        #[derive(Debug)]
        struct $name(String);

        impl FromStr for $name {
            type Err = BadForm;

            fn from_str(text: &str) -> Result<$name, BadForm> {
                let fits: fn(&str) -> bool = $fits;
                if fits(text) { Ok($name(text.to_owned())) } else { Err(BadForm($what)) }
            }
        }
    };
}

/// What the text should have been.
#[derive(Debug, thiserror::Error)]
#[error("is not {0}")]
struct BadForm(&'static str);

form!(ImageDigest, "`sha256:` and 64 hexadecimal digits", |text| text.parse::<OciDigest>().is_ok());
form!(Hexadecimal, "64 hexadecimal digits", |text| Digest::from_hex(text).is_ok());
form!(Address, "an address without a login", |text| !holds_secret(text));
form!(Commit, "a commit of 40 or 64 hexadecimal digits", |text| {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    matches!(text.len(), 40 | 64) && text.bytes().all(is_digit)
});

/// A text as KDL 2 reads it on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for symbol in text.chars() {
        match symbol {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            symbol if is_odd(symbol) => quoted.push_str(&format!("\\u{{{:x}}}", u32::from(symbol))),
            symbol => quoted.push(symbol),
        }
    }
    quoted.push('"');
    quoted
}

/// Line ends, and what may not stand in a file or would turn its text about.
fn is_odd(symbol: char) -> bool {
    symbol.is_control()
        || matches!(symbol, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

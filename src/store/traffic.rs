//! What a run did on the network, as the build's own proxy saw it: kept with its record. It holds no content and no
//! login; where a connection is encrypted and not opened, host and bytes are all there is to see.

use serde::{Deserialize, Serialize};

use crate::base::digest::OciDigest;

/// Sorted, so that equal runs have equal records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Each host and port once.
    pub hosts: Vec<HostTraffic>,
    /// What was answered over plain HTTP, or where the proxy opened the encryption; whole answers only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
    /// Whom it was not let through to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// Answers, hosts and refusals beyond those that are kept.
    #[serde(default)]
    pub left_out: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostTraffic {
    pub host: String,
    pub port: u16,
    /// Bytes, with what HTTP or TLS puts around content.
    pub sent: u64,
    pub received: u64,
    /// It was this machine itself.
    #[serde(default)]
    pub inside: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Answer {
    /// Passwords and tokens read `***`.
    pub url: String,
    pub method: String,
    pub status: u16,
    /// Of the content.
    pub sha256: OciDigest,
    /// Bytes of content.
    pub size: u64,
    /// `Content-Type`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Where else to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What was asked for is not known from here, since `url` does not show all of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_hidden: bool,
}

impl Answer {
    /// A `GET` that found nothing in it.
    pub fn of(url: &str) -> Answer {
        Answer {
            url: url.to_owned(),
            method: "GET".to_owned(),
            status: 200,
            sha256: OciDigest::of(b""),
            size: 0,
            media_type: None,
            location: None,
            is_hidden: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refused {
    pub host: String,
    /// `None`: it asked for the name only.
    pub port: Option<u16>,
    /// The policy lets the name through, and its address is this machine's own.
    #[serde(default)]
    pub inside: bool,
}

impl Traffic {
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.answers.is_empty() && self.refused.is_empty()
    }

    /// Whether something that only this machine may ask had a part in it.
    pub fn is_of_this_machine(&self) -> bool {
        self.hosts.iter().any(|host| host.inside)
    }
}

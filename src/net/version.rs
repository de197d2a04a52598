//! What a server says by which one can ask it later whether something changed (RFC 9110, 13.1).

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

/// Of the whole that was downloaded; empty where the server says nothing that can be relied on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Version {
    /// A strong `ETag`, with its quotes: a weak one does not say that every byte is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// `Last-Modified`, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

impl Version {
    pub(in crate::net) fn of(headers: &HeaderMap) -> Version {
        let text =
            |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Version {
            tag: text(header::ETAG).filter(|tag| tag.starts_with('"')),
            modified: text(header::LAST_MODIFIED),
        }
    }

    /// Asks for the whole only where it is another one by now.
    pub(in crate::net) fn condition(&self, headers: &mut HeaderMap) {
        let (name, value) = match self {
            Version { tag: Some(tag), .. } => (header::IF_NONE_MATCH, tag),
            Version { modified: Some(time), .. } => (header::IF_MODIFIED_SINCE, time),
            Version { tag: None, modified: None } => return,
        };
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_asked_for() {
        for (tag, modified, expected) in [
            (Some("\"a\""), Some("then"), Some(("if-none-match", "\"a\""))),
            (Some("W/\"a\""), Some("then"), Some(("if-modified-since", "then"))),
            (Some("W/\"a\""), None, None),
            (None, None, None),
        ] {
            let mut said = HeaderMap::new();
            for (name, value) in [(header::ETAG, tag), (header::LAST_MODIFIED, modified)] {
                value.map(|value| said.insert(name, HeaderValue::from_static(value)));
            }
            let mut asked = HeaderMap::new();
            Version::of(&said).condition(&mut asked);
            let found: Vec<(&str, &str)> =
                asked.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
            assert_eq!(found, Vec::from_iter(expected));
        }
    }
}

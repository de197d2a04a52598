//! Texts that only the build can complete: they name variables of the configuration that the node in
//! `from` turns out to have. The engine completes them before an action has a key, so that no executor
//! meets an open one.

use serde::{Deserialize, Serialize};

use crate::oci::image::Config;

/// Pieces in order; a known text is one piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct LateText(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Piece {
    Text(String),
    /// The value of this variable, or nothing where it is not set: `${from.env.NAME}`.
    FromEnv(String),
}

/// A known text is written as the text that it is.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Known(String),
    Open(Vec<Piece>),
}

impl LateText {
    /// Neighbouring texts become one.
    pub fn new(pieces: impl IntoIterator<Item = Piece>) -> LateText {
        let mut joined: Vec<Piece> = Vec::new();
        for piece in pieces {
            match (joined.last_mut(), piece) {
                (_, Piece::Text(text)) if text.is_empty() => {}
                (Some(Piece::Text(text)), Piece::Text(more)) => text.push_str(&more),
                (_, piece) => joined.push(piece),
            }
        }
        LateText(joined)
    }

    pub fn is_known(&self) -> bool {
        self.text().is_some()
    }

    /// Only for what the engine has completed.
    pub fn known(&self) -> &str {
        self.text().expect("bug: an open text came to an executor")
    }

    pub fn complete(&self, config: &Config) -> LateText {
        LateText::new(self.0.iter().map(|piece| match piece {
            Piece::Text(text) => Piece::Text(text.clone()),
            Piece::FromEnv(name) => Piece::Text(config.env(name).unwrap_or_default().to_owned()),
        }))
    }

    fn text(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }
}

impl<T: Into<String>> From<T> for LateText {
    fn from(text: T) -> LateText {
        LateText(vec![Piece::Text(text.into())])
    }
}

impl From<Written> for LateText {
    fn from(written: Written) -> LateText {
        match written {
            Written::Known(text) => LateText(vec![Piece::Text(text)]),
            Written::Open(pieces) => LateText(pieces),
        }
    }
}

impl From<LateText> for Written {
    fn from(text: LateText) -> Written {
        match text.text() {
            Some(text) => Written::Known(text.to_owned()),
            None => Written::Open(text.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_completed_from_a_configuration() {
        let open = LateText::new([Piece::Text("/srv/bin:".into()), Piece::FromEnv("PATH".into())]);
        assert!(!open.is_known());
        let config = Config { env: vec![("PATH".into(), "/bin".into())], ..Config::default() };
        assert_eq!(open.complete(&config).known(), "/srv/bin:/bin");
        assert_eq!(open.complete(&Config::default()).known(), "/srv/bin:");
    }

    #[test]
    fn a_known_text_is_written_as_it_is() {
        assert_eq!(serde_json::to_string(&LateText::from("x")).unwrap(), "\"x\"");
        let open = LateText::new([Piece::FromEnv("A".into())]);
        let json = serde_json::to_string(&open).unwrap();
        assert_eq!(json, "[{\"from-env\":\"A\"}]");
        assert_eq!(serde_json::from_str::<LateText>(&json).unwrap(), open);
    }
}

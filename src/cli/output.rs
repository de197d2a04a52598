//! `-o [TARGET=]TRANSPORT`: what goes where. Destinations are looked at before anything is built, and each appears
//! whole or not at all.

pub(super) mod destination;
pub(super) mod choose;
mod check;
mod files;
pub(super) mod write;
pub(super) mod metadata;

use std::path::Path;

use crate::cli::failure::Failure;
use crate::cli::output::destination::Destination;
use crate::graph::graph::OutputRef;

pub(super) struct Output {
    /// `TARGET=` before the transport: what goes there.
    pub(super) target: Option<String>,
    pub(super) destination: Destination,
    /// As it was asked for, to be shown.
    pub(super) written: String,
}

/// An output and what it takes: one for each platform.
pub(super) struct Planned {
    pub(super) output: Output,
    /// The target as it is named on the command line.
    pub(super) target: String,
    pub(super) sources: Vec<OutputRef>,
    /// References that the image gets: those that the destination says, else its own.
    pub(super) references: Vec<String>,
}

pub(super) fn parse(text: &str) -> Result<Output, Failure> {
    let (target, transport) = split_target(text);
    let destination = destination::parse(transport)
        .map_err(|refused| Failure::input(format!("`-o {text}` {}", refused.reason), refused.help))?;
    Ok(Output { target: target.map(str::to_owned), destination, written: text.to_owned() })
}

/// A target may hold `=` and `:` itself, and so may a path: it is the transport's word that divides them.
fn split_target(text: &str) -> (Option<&str>, &str) {
    let begins = |text: &str| {
        destination::WORDS
            .iter()
            .any(|word| text.strip_prefix(word).is_some_and(|rest| rest.starts_with(':')))
    };
    let mut places = text.match_indices('=').map(|(place, _)| place);
    match places.find(|place| begins(&text[place + 1..])) {
        Some(place) if !begins(text) => (Some(&text[..place]), &text[place + 1..]),
        _ => (None, text),
    }
}

impl Planned {
    /// A file or folder that it writes.
    pub(super) fn path(&self) -> Option<&Path> {
        self.output.destination.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_stands_before_the_transport() {
        for (text, target) in [
            ("files:/a", None),
            ("files:/a=oci:/b", None),
            ("unit.cover=files:/a", Some("unit.cover")),
            ("app=docker://host/app:1", Some("app")),
            ("//services/api:app[python=3.12]=oci:/a", Some("//services/api:app[python=3.12]")),
        ] {
            let Ok(output) = parse(text) else { panic!("{text} is a transport") };
            assert_eq!(output.target.as_deref(), target, "{text}");
        }
    }
}

//! A user's own settings, `config.kdl`: what changes nothing but where things are kept and how much is done
//! at once. Results and policies are the workspace's.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::base::suggest;
use crate::lang::code::Code;
use crate::lang::flat;
use crate::lang::mistake::{Findings, Mistake, Mistakes, shorten};
use crate::lang::settings::{Cache, Remote, SecretSource, Settings};
use crate::lang::source::Sources;
use crate::lang::syntax::Node;
use crate::lang::{parse, size};

/// Below the user's settings folder.
pub const FILE_NAME: &str = "memobuild/config.kdl";

/// `None`: not said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// Absolute, or below the user's home: `~/…`.
    pub store: Option<String>,
    pub profile: Option<String>,
    pub jobs: Option<u16>,
    pub progress: Option<String>,
    /// Bytes.
    pub l2_max: Option<u64>,
    pub secrets: BTreeMap<String, SecretSource>,
    /// By the registry that they stand for.
    pub remotes: BTreeMap<String, Remote>,
}

impl User {
    /// `name` is what messages call the file.
    pub fn parse(name: &str, text: &str) -> Result<User, Mistakes> {
        let mut sources = Sources::default();
        let id = sources.add(name, text);
        let text = &sources.source(id).text;
        let mut findings = Findings::default();
        let mut user = User::default();
        if let Some(document) = parse::parse(text, 0, &mut findings) {
            let mut seen: BTreeMap<String, &Node> = BTreeMap::new();
            for node in &document.nodes {
                user.add(text, node, &mut seen, &mut findings);
            }
        }
        if findings.is_empty() { Ok(user) } else { Err(findings.finish(&sources)) }
    }

    /// As the lowest layer: what a workspace says wins.
    pub fn settings(&self) -> Settings {
        Settings {
            cache: Cache { l2_max: self.l2_max, ..Cache::default() },
            remotes: self.remotes.clone(),
            secrets: self.secrets.clone(),
            ..Settings::default()
        }
    }

    fn add<'a>(
        &mut self,
        text: &str,
        node: &'a Node,
        seen: &mut BTreeMap<String, &'a Node>,
        findings: &mut Findings,
    ) {
        let word = node.word.as_str();
        let Some((_, example)) = LINES.iter().find(|(known, _)| *known == word) else {
            findings.add(unknown(node));
            return;
        };
        let key = match (word, node.name()) {
            ("secret", Some(name)) => format!("secret {name}"),
            ("remote", _) => {
                format!(
                    "remote for {}",
                    node.property("for").and_then(|entry| entry.value.text()).unwrap_or_default()
                )
            }
            _ => word.to_owned(),
        };
        if let Some(first) = seen.insert(key.clone(), node) {
            let mistake = Mistake::new(
                Code::SlotTwice,
                format!("`{}` is given twice", shorten(&key)),
                "keep one of them",
            );
            findings.add(
                mistake
                    .at(node.word_span.clone(), "and again here")
                    .at(first.word_span.clone(), "first here"),
            );
            return;
        }
        let Some(line) = flat::decode::<Setting>(text, node, example, findings) else { return };
        if let Some(mistake) = self.set(line, node, example) {
            findings.add(mistake);
        }
    }

    fn set(&mut self, line: Setting, node: &Node, example: &str) -> Option<Mistake> {
        match line {
            Setting::Store(place) => self.store = Some(place.0),
            Setting::Profile(name) => self.profile = Some(name),
            Setting::Jobs(0) => {
                let mistake = Mistake::new(Code::TypeValue, "`jobs` is at least 1", example);
                return Some(mistake.at(node.word_span.clone(), "given here"));
            }
            Setting::Jobs(count) => self.jobs = Some(count),
            Setting::Progress(form) => self.progress = Some(form.0),
            Setting::Cache(cache) => {
                self.l2_max = cache.l2.map(|l2| l2.max.0);
            }
            Setting::Secret(Secret { name, from_env, from_file, from_command }) => {
                let source =
                    SecretSource::new(from_env.as_deref(), from_file.as_deref(), from_command.as_deref());
                match source {
                    Ok(source) => drop(self.secrets.insert(name, source)),
                    Err(what) => {
                        let message = format!("`secret {}` {what}", shorten(&name));
                        let mistake = Mistake::new(Code::SlotMissing, message, example);
                        return Some(mistake.at(node.word_span.clone(), "where is its value?"));
                    }
                }
            }
            Setting::Remote(RemoteLine { kind: _, host, stands_for, insecure }) => {
                let insecure = insecure.unwrap_or_default();
                self.remotes.insert(stands_for, Remote { host, insecure });
            }
        }
        None
    }
}

/// What a user may set, each with an example.
const LINES: &[(&str, &str)] = &[
    ("store", "store \"/var/cache/memobuild\""),
    ("profile", "profile \"dev\""),
    ("jobs", "jobs 4"),
    ("progress", "progress \"plain\""),
    ("cache", "cache { l2 max=\"40GiB\"; }"),
    ("secret", "secret \"npm-token\" from-env=\"NPM_TOKEN\""),
    ("remote", "remote \"registry\" \"mirror.example\" for=\"docker.io\""),
];

/// What is known elsewhere, and would change results or policies, gets a reason.
fn unknown(node: &Node) -> Mistake {
    let word = node.word.as_str();
    let words: Vec<&str> = LINES.iter().map(|(word, _)| *word).collect();
    let (message, help) = match word {
        "param" | "policy" | "host" | "workspace" => (
            format!("`{word}` is no setting of a user: it would change what is built"),
            "say it in the `workspace` block of memobuild.kdl, or on the command line".to_owned(),
        ),
        _ => (
            format!("there is no setting `{}`", shorten(word)),
            suggest::help(word, &words, suggest::ticked, "settings"),
        ),
    };
    Mistake::new(Code::UnknownSlot, message, help).at(node.word_span.clone(), "not known here")
}

#[derive(knus::Decode)]
enum Setting {
    Store(#[knus(argument, str)] Place),
    Profile(#[knus(argument)] String),
    Jobs(#[knus(argument)] u16),
    Progress(#[knus(argument, str)] Form),
    Cache(CacheLine),
    Secret(Secret),
    Remote(RemoteLine),
}

#[derive(knus::Decode)]
struct CacheLine {
    #[knus(child)]
    l2: Option<L2>,
}

#[derive(knus::Decode)]
struct L2 {
    #[knus(property, str)]
    max: Size,
}

#[derive(knus::Decode)]
struct Secret {
    #[knus(argument)]
    name: String,
    #[knus(property)]
    from_env: Option<String>,
    #[knus(property)]
    from_file: Option<String>,
    #[knus(property)]
    from_command: Option<String>,
}

#[derive(knus::Decode)]
struct RemoteLine {
    #[knus(argument, str)]
    #[expect(dead_code, reason = "there is one kind so far, and it is checked while it is read")]
    kind: Registry,
    #[knus(argument)]
    host: String,
    #[knus(property(name = "for"))]
    stands_for: String,
    #[knus(property)]
    insecure: Option<bool>,
}

/// A folder that does not depend on where the command is given.
struct Place(String);

/// How progress is shown.
struct Form(String);

/// Bytes.
struct Size(u64);

/// The one kind of remote.
struct Registry;

/// What the text should have been.
#[derive(Debug)]
struct Bad(&'static str);

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Bad {}

impl FromStr for Place {
    type Err = Bad;

    fn from_str(text: &str) -> Result<Place, Bad> {
        let fits = text.starts_with('/') || text.starts_with("~/");
        if fits { Ok(Place(text.to_owned())) } else { Err(Bad("begins with neither `/` nor `~/`")) }
    }
}

impl FromStr for Form {
    type Err = Bad;

    fn from_str(text: &str) -> Result<Form, Bad> {
        match text {
            "auto" | "tty" | "plain" | "json" => Ok(Form(text.to_owned())),
            _ => Err(Bad("is none of `auto`, `tty`, `plain` and `json`")),
        }
    }
}

impl FromStr for Size {
    type Err = Bad;

    fn from_str(text: &str) -> Result<Size, Bad> {
        size::size(text).map(Size).ok_or(Bad("is not a size"))
    }
}

impl FromStr for Registry {
    type Err = Bad;

    fn from_str(text: &str) -> Result<Registry, Bad> {
        if text == "registry" { Ok(Registry) } else { Err(Bad("is no kind of remote: only `registry` is")) }
    }
}

#[cfg(test)]
mod tests;

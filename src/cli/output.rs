//! `-o TRANSPORT`: where a result goes, as skopeo spells it. Destinations are looked at before
//! anything is built, and each appears whole or not at all.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::base::cancel::Cancel;
use crate::base::durable;
use crate::base::remove::remove;
use crate::cli::failure::Failure;
use crate::cli::place;
use crate::engine::history::History;
use crate::exec::executor::ExecError;
use crate::graph::graph::{Graph, OutputRef};
use crate::graph::select;
use crate::graph::value::{Type, Value};
use crate::oci::archive::ArchiveSink;
use crate::oci::export::export;
use crate::oci::image::Image;
use crate::oci::layout::LayoutSink;
use crate::oci::sink::Sink;
use crate::oci::supply::Supply;
use crate::store::memo::Memo;
use crate::tree::disk::materialize::{Materialize, Owners, Whiteouts, materialize};
use crate::tree::disk::snapshot::FIRST_TIME;
use crate::tree::error::TreeError;
use crate::tree::flatten::flatten;
use crate::tree::tree::Entry;

pub(super) struct Output {
    /// `TARGET=` before the transport: what goes there.
    pub(super) target: Option<String>,
    transport: Transport,
    /// Absolute.
    pub(super) path: PathBuf,
    tag: Option<String>,
    written: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Layout,
    Archive,
    Files,
}

const WORDS: [&str; 3] = ["oci:", "oci-archive:", "files:"];

const TRANSPORTS: &str = "transports are oci:DIR[:TAG], oci-archive:FILE[:TAG] and files:DIR";

pub(super) fn parse(text: &str) -> Result<Output, Failure> {
    let unknown = || Failure::input(format!("`-o {text}` names no transport"), TRANSPORTS);
    let (target, transport) = split_target(text);
    let (transport, rest) = transport.split_once(':').ok_or_else(unknown)?;
    let transport = match transport {
        "oci" => Transport::Layout,
        "oci-archive" => Transport::Archive,
        "files" => Transport::Files,
        _ => return Err(unknown()),
    };
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) if transport != Transport::Files => (path, Some(tag.to_owned())),
        _ => (rest, None),
    };
    if let Some(tag) = tag.as_deref().filter(|tag| !is_tag(tag)) {
        return Err(Failure::input(
            format!("`-o {text}`: `{tag}` is not a tag"),
            "a tag is letters and digits with `-`, `.`, `_`, `:`, `@`, `/` or `+` between them",
        ));
    }
    if path.is_empty() {
        return Err(Failure::input(format!("`-o {text}` names no path"), TRANSPORTS));
    }
    Ok(Output {
        target: target.map(str::to_owned),
        transport,
        path: place::absolute(Path::new(path))?,
        tag,
        written: text.to_owned(),
    })
}

/// A target may hold `=` and `:` itself, and so may a path: it is the transport's word that divides them.
fn split_target(text: &str) -> (Option<&str>, &str) {
    let begins = |text: &str| WORDS.iter().any(|word| text.starts_with(word));
    let mut places = text.match_indices('=').map(|(place, _)| place);
    match places.find(|place| begins(&text[place + 1..])) {
        Some(place) if !begins(text) => (Some(&text[..place]), &text[place + 1..]),
        _ => (None, text),
    }
}

/// image-spec, annotations.md, `org.opencontainers.image.ref.name`.
fn is_tag(text: &str) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric();
    let ends = [text.as_bytes().first(), text.as_bytes().last()];
    ends.iter().all(|end| end.is_some_and(is_plain))
        && text.bytes().all(|byte| is_plain(&byte) || b"-._:@/+".contains(&byte))
}

impl Output {
    /// The only output among the targets that can go there; where it names a target itself, among those.
    pub(super) fn choose(&self, graph: &Graph, targets: &[OutputRef]) -> Result<OutputRef, Failure> {
        let own = self.target.as_slice();
        let own = if own.is_empty() { Vec::new() } else { select::targets(graph, own)? };
        let targets = if own.is_empty() { targets } else { &own };
        let of = |wanted: &[Type]| -> Vec<&OutputRef> {
            targets
                .iter()
                .filter(|target| wanted.contains(&graph.node(target.node).outputs[&target.output]))
                .collect()
        };
        let mut fitting = of(&[Type::Image]);
        if self.transport == Transport::Files && fitting.is_empty() {
            fitting = of(&[Type::Tree, Type::Rootfs]);
        }
        match fitting.as_slice() {
            [one] => Ok((*one).clone()),
            _ => Err(self.no_single(graph, targets, fitting.len())),
        }
    }

    fn no_single(&self, graph: &Graph, targets: &[OutputRef], fitting: usize) -> Failure {
        let what = if self.transport == Transport::Files { "image or tree" } else { "image" };
        let found = if fitting == 0 { "none is one" } else { "several are" };
        let listed: Vec<String> = targets
            .iter()
            .map(|target| {
                let node = graph.node(target.node);
                let shown = match &node.main {
                    Some(main) if *main == target.output => node.name.clone(),
                    _ => format!("{}.{}", node.name, target.output),
                };
                format!("{shown} ({})", node.outputs[&target.output].name())
            })
            .collect();
        Failure::input(
            format!(
                "`-o {}` wants one {what} among the targets, and {found}: {}",
                self.written,
                listed.join(", ")
            ),
            "name the target to export: memobuild build TARGET -o …",
        )
    }

    /// Refuses a destination that is not ours to replace, before anything is built.
    pub(super) fn check(&self, history: &History) -> Result<(), Failure> {
        let shown = self.path.display();
        if let Some(parent) = self.path.parent()
            && !parent.is_dir()
        {
            return Err(Failure::input(
                format!("`-o {}`: there is no folder `{}`", self.written, parent.display()),
                "make it first",
            ));
        }
        let written_in = match (self.transport, self.path.parent()) {
            (Transport::Layout, _) if self.path.is_dir() => &self.path,
            (_, Some(parent)) => parent,
            (_, None) => &self.path,
        };
        durable::may_write_in(written_in).map_err(|error| {
            Failure::environment(
                format!("`-o {}`: cannot write in `{}`: {error}", self.written, written_in.display()),
                Some("name a folder that you may write to".to_owned()),
            )
        })?;
        match self.transport {
            Transport::Layout => Ok(LayoutSink::open(&self.path, None).map(drop)?),
            Transport::Archive => Ok(ArchiveSink::open(&self.path, None).map(drop)?),
            Transport::Files => {
                if history.is_exported(&self.path) || self.is_free() {
                    return Ok(());
                }
                Err(Failure::input(
                    format!("`{shown}` exists and was not written by this program"),
                    "name a folder that does not exist, or remove this one",
                ))
            }
        }
    }

    /// Nothing there, or an empty folder. A link is neither, wherever it leads: it would be replaced.
    fn is_free(&self) -> bool {
        match self.path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => {
                std::fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none())
            }
            Ok(_) => false,
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }

    /// One line that tells what was written.
    pub(super) fn write(&self, supply: &Supply, value: &Value, created: u64) -> Result<String, ExecError> {
        match (self.transport, value) {
            (Transport::Files, value) => {
                self.write_files(supply.memo(), &tree_of(supply, value)?, supply.cancel())?;
                Ok(format!("wrote {}", self.written))
            }
            (Transport::Layout, Value::Image(image)) => self.write_image(
                supply,
                image,
                created,
                &mut LayoutSink::open(&self.path, self.tag.as_deref())?,
            ),
            (Transport::Archive, Value::Image(image)) => self.write_image(
                supply,
                image,
                created,
                &mut ArchiveSink::open(&self.path, self.tag.as_deref())?,
            ),
            (_, other) => panic!("bug: chose a {} for an image transport", other.type_of().name()),
        }
    }

    fn write_image(
        &self,
        supply: &Supply,
        image: &Image,
        created: u64,
        sink: &mut dyn Sink,
    ) -> Result<String, ExecError> {
        let exported = export(supply, image, created, sink)?;
        Ok(format!("wrote {} {}", self.written, exported.manifest))
    }

    /// Made beside the destination and put in its place in one rename.
    fn write_files(&self, memo: &Memo, entry: &Entry, cancel: &Cancel) -> Result<(), ExecError> {
        let shown = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!(".{shown}.memobuild-{}", std::process::id());
        let fresh = self.path.with_file_name(&name);
        let options = Materialize { owners: Owners::Single, time: FIRST_TIME, whiteouts: Whiteouts::Refuse };
        let swapped = materialize(memo, entry, &fresh, &options, cancel)
            .map_err(|error| self.unmade(&name, error))
            .and_then(|()| {
                durable::exchange(&fresh, &self.path).map_err(|error| {
                    environment(format!("cannot put `{}` in place: {error}", self.path.display()))
                })
            });
        // What was there before, or what an error left.
        remove(&fresh)
            .map_err(|error| environment(format!("cannot remove `{}`: {error}", fresh.display())))?;
        swapped
    }

    /// The error names a path below the destination's folder; whoever reads it knows the destination only.
    fn unmade(&self, name: &str, error: TreeError) -> ExecError {
        let TreeError::Io { action, path, source } = error else { return error.into() };
        let shown = match path.strip_prefix(Path::new("/").join(name)) {
            Ok(below) if below.as_os_str().is_empty() => self.path.clone(),
            Ok(below) => self.path.join(below),
            Err(_) => path,
        };
        let help = match source.kind() {
            ErrorKind::StorageFull => Some("free some room, or name another folder".to_owned()),
            // The folder may be written to, so it is what only root makes.
            ErrorKind::PermissionDenied => {
                Some("leave out what only root may make, or export an image to oci:DIR".to_owned())
            }
            _ => None,
        };
        ExecError::Environment { message: format!("{action} {}: {source}", shown.display()), help }
    }
}

fn environment(message: String) -> ExecError {
    ExecError::Environment { message, help: None }
}

fn tree_of(supply: &Supply, value: &Value) -> Result<Entry, ExecError> {
    match value {
        Value::Tree(entry) => Ok(entry.clone()),
        other => {
            let rootfs = other.rootfs().expect("bug: chose neither a tree nor a rootfs");
            let layers = supply.trees(&rootfs.layers)?;
            Ok(Entry::directory(flatten(supply.memo(), &layers)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, path: &str, tag: Option<&str>) {
        let Ok(output) = parse(text) else { panic!("{text} is a transport") };
        assert_eq!((output.path.to_str(), output.tag.as_deref()), (Some(path), tag), "{text}");
    }

    #[test]
    fn transports_are_spelled_as_skopeo_does() {
        check("oci:/a", "/a", None);
        check("oci:/a:1.2", "/a", Some("1.2"));
        check("oci:/a:b/c:1", "/a", Some("b/c:1"));
        check("oci-archive:/a.tar:x", "/a.tar", Some("x"));
        check("files:/a:b", "/a:b", None);
        check("app=oci:/a:1", "/a", Some("1"));
        check("files:/a=files:/b", "/a=files:/b", None);
        for text in ["oci", "oci:", "docker:/a", "", "oci:/a:", "oci:/a:b c", "oci-archive:/a:-b"] {
            assert!(matches!(parse(text), Err(Failure::Input { .. })), "{text}");
        }
    }

    #[test]
    fn a_target_stands_before_the_transport() {
        for (text, target) in [
            ("files:/a", None),
            ("files:/a=oci:/b", None),
            ("unit.cover=files:/a", Some("unit.cover")),
            ("//services/api:app[python=3.12]=oci:/a", Some("//services/api:app[python=3.12]")),
        ] {
            let Ok(output) = parse(text) else { panic!("{text} is a transport") };
            assert_eq!(output.target.as_deref(), target, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_made_is_named_at_its_destination() {
        let Ok(output) = parse("files:/a/out") else { panic!("a transport") };
        for (path, shown) in
            [("/.draft", "/a/out"), ("/.draft/dev/null", "/a/out/dev/null"), ("/else", "/else")]
        {
            let source = std::io::Error::from(ErrorKind::PermissionDenied);
            let error = TreeError::Io { action: "cannot make", path: path.into(), source };
            match output.unmade(".draft", error) {
                ExecError::Environment { message, help: Some(_) } => {
                    assert!(message.starts_with(&format!("cannot make {shown}: ")), "{message}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

//! Transports, as skopeo spells them.

use std::path::{Path, PathBuf};

use crate::cli::{place, settings};
use crate::exec::executor::ExecError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Destination {
    Layout {
        folder: PathBuf,
        tag: Option<String>,
    },
    Archive {
        file: PathBuf,
        tag: Option<String>,
    },
    DockerArchive {
        file: PathBuf,
        reference: Option<String>,
    },
    /// `None`: the references that the image has itself; so it is with all that follow.
    Registry(Option<String>),
    DockerDaemon(Option<String>),
    ContainersStorage(Option<String>),
    Containerd(Option<String>),
    Files(PathBuf),
    /// `None`: standard output.
    Tar(Option<PathBuf>),
}

/// What a transport takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Takes {
    /// An image, for all its platforms.
    Platforms,
    /// An image for one.
    Image,
    /// Files: of an image, a root or a tree.
    Files,
}

/// Words that end what begins with the argument itself.
#[derive(Debug)]
pub(in crate::cli) struct Refused {
    pub(in crate::cli) reason: String,
    pub(in crate::cli) help: &'static str,
}

pub(in crate::cli) const WORDS: [&str; 9] = [
    "oci",
    "oci-archive",
    "docker-archive",
    "docker",
    "docker-daemon",
    "containers-storage",
    "containerd",
    "files",
    "tar",
];

const TRANSPORTS: &str = "transports are oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF], docker://HOST/REPO[:TAG], \
     docker-daemon:REF, containers-storage:REF, containerd:REF, files:DIR and tar:FILE (tar:- for stdout)";

pub(in crate::cli) fn parse(text: &str) -> Result<Destination, Refused> {
    let refused = |reason: &str| Refused { reason: reason.to_owned(), help: TRANSPORTS };
    let (word, rest) = text.split_once(':').ok_or_else(|| refused("names no transport"))?;
    let path = |path: &str| match path {
        "" => Err(refused("names no path")),
        path => place::absolute(Path::new(path)).map_err(|_| refused("names a path from nowhere")),
    };
    let (before, after) = match rest.split_once(':') {
        Some((before, after)) => (before, Some(after)),
        None => (rest, None),
    };
    let named = || (!rest.is_empty()).then(|| rest.to_owned());
    Ok(match word {
        "oci" => Destination::Layout { folder: path(before)?, tag: after.map(tag).transpose()? },
        "oci-archive" => Destination::Archive { file: path(before)?, tag: after.map(tag).transpose()? },
        "docker-archive" => {
            Destination::DockerArchive { file: path(before)?, reference: after.map(reference).transpose()? }
        }
        "docker" => match rest.strip_prefix("//") {
            Some("") => Destination::Registry(None),
            Some(named) => Destination::Registry(Some(reference(named)?)),
            None => return Err(refused("lacks the slashes of docker://HOST/REPO")),
        },
        "docker-daemon" => Destination::DockerDaemon(named().map(|text| reference(&text)).transpose()?),
        "containerd" => Destination::Containerd(named().map(|text| reference(&text)).transpose()?),
        // With what skopeo lets stand before the reference: `[driver@root+run]`.
        "containers-storage" => Destination::ContainersStorage(named()),
        "files" => Destination::Files(path(rest)?),
        "tar" if rest == "-" => Destination::Tar(None),
        "tar" => Destination::Tar(Some(path(rest)?)),
        _ => return Err(refused("names no transport")),
    })
}

/// image-spec, annotations.md, `org.opencontainers.image.ref.name`.
fn tag(text: &str) -> Result<String, Refused> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric();
    let ends = [text.as_bytes().first(), text.as_bytes().last()];
    let is_tag = ends.iter().all(|end| end.is_some_and(is_plain))
        && text.bytes().all(|byte| is_plain(&byte) || b"-._:@/+".contains(&byte));
    if is_tag {
        return Ok(text.to_owned());
    }
    Err(Refused {
        reason: format!("has a tag that is none: `{text}`"),
        help: "a tag is letters and digits with `-`, `.`, `_`, `:`, `@`, `/` or `+` between them",
    })
}

fn reference(text: &str) -> Result<String, Refused> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    let is_reference = ends.iter().all(|end| end.is_some_and(|end| is_plain(*end) || *end == b'['))
        && bytes.iter().all(|byte| is_plain(*byte) || b"-._:/[]".contains(byte))
        && !text.contains("//");
    if is_reference {
        return Ok(text.to_owned());
    }
    Err(Refused {
        reason: format!("names no image: `{text}`"),
        help: "a reference is HOST[:PORT]/NAME[:TAG], without a digest: that follows from what is built",
    })
}

impl Destination {
    /// The word that it is asked for with.
    pub(in crate::cli) fn word(&self) -> &'static str {
        match self {
            Destination::Layout { .. } => "oci",
            Destination::Archive { .. } => "oci-archive",
            Destination::DockerArchive { .. } => "docker-archive",
            Destination::Registry(_) => "docker",
            Destination::DockerDaemon(_) => "docker-daemon",
            Destination::ContainersStorage(_) => "containers-storage",
            Destination::Containerd(_) => "containerd",
            Destination::Files(_) => "files",
            Destination::Tar(_) => "tar",
        }
    }

    pub(in crate::cli) fn takes(&self) -> Takes {
        match self {
            Destination::Layout { .. }
            | Destination::Archive { .. }
            | Destination::Registry(_)
            | Destination::Containerd(_) => Takes::Platforms,
            Destination::DockerArchive { .. }
            | Destination::DockerDaemon(_)
            | Destination::ContainersStorage(_) => Takes::Image,
            Destination::Files(_) | Destination::Tar(_) => Takes::Files,
        }
    }

    /// A file or folder of this machine, absolute.
    pub(in crate::cli) fn path(&self) -> Option<&Path> {
        match self {
            Destination::Layout { folder: path, .. }
            | Destination::Archive { file: path, .. }
            | Destination::DockerArchive { file: path, .. }
            | Destination::Files(path)
            | Destination::Tar(Some(path)) => Some(path),
            Destination::Tar(None)
            | Destination::Registry(_)
            | Destination::DockerDaemon(_)
            | Destination::ContainersStorage(_)
            | Destination::Containerd(_) => None,
        }
    }

    /// The reference or tag that was asked for.
    pub(in crate::cli) fn named(&self) -> Option<&str> {
        match self {
            Destination::Layout { tag, .. } | Destination::Archive { tag, .. } => tag.as_deref(),
            Destination::DockerArchive { reference, .. } => reference.as_deref(),
            Destination::Registry(named)
            | Destination::DockerDaemon(named)
            | Destination::ContainersStorage(named)
            | Destination::Containerd(named) => named.as_deref(),
            Destination::Files(_) | Destination::Tar(_) => None,
        }
    }

    /// It keeps an image by its configuration: that one's digest is the image's id.
    pub(in crate::cli) fn has_no_manifest(&self) -> bool {
        matches!(self, Destination::DockerArchive { .. } | Destination::DockerDaemon(_))
    }

    /// Without a reference nobody could find the image there.
    pub(in crate::cli) fn needs_name(&self) -> bool {
        matches!(
            self,
            Destination::Registry(_)
                | Destination::DockerDaemon(_)
                | Destination::ContainersStorage(_)
                | Destination::Containerd(_)
        )
    }
}

/// `DOCKER_HOST`, where it names a socket of this machine; else where Docker makes it.
pub(in crate::cli) fn docker_socket() -> Result<PathBuf, ExecError> {
    let Some(host) = settings::set("DOCKER_HOST") else { return Ok(PathBuf::from("/var/run/docker.sock")) };
    let host = host.to_string_lossy().into_owned();
    match host.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
        _ => Err(ExecError::Environment {
            message: format!("DOCKER_HOST is `{host}`, no socket of this machine"),
            help: Some(
                "set it to unix:///PATH, or push the image to a registry that the daemon pulls from"
                    .to_owned(),
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, path: Option<&str>, named: Option<&str>) {
        let destination = parse(text).unwrap_or_else(|refused| panic!("{text} {}", refused.reason));
        assert_eq!((destination.path(), destination.named()), (path.map(Path::new), named), "{text}");
        assert_eq!(Some(destination.word()), text.split(':').next());
        assert!(WORDS.contains(&destination.word()));
    }

    #[test]
    fn transports_are_spelled_as_skopeo_does() {
        for (text, path, named) in [
            ("oci:/a", Some("/a"), None),
            ("oci:/a:1.2", Some("/a"), Some("1.2")),
            ("oci:/a:b/c:1", Some("/a"), Some("b/c:1")),
            ("oci-archive:/a.tar:x", Some("/a.tar"), Some("x")),
            ("docker-archive:/a.tar", Some("/a.tar"), None),
            ("docker-archive:/a.tar:host:5000/app:1", Some("/a.tar"), Some("host:5000/app:1")),
            ("docker://host:5000/app:1", None, Some("host:5000/app:1")),
            ("docker://", None, None),
            ("docker-daemon:app:1", None, Some("app:1")),
            ("docker-daemon:", None, None),
            ("containers-storage:[vfs@/a+/b]app:1", None, Some("[vfs@/a+/b]app:1")),
            ("containerd:app", None, Some("app")),
            ("files:/a:b", Some("/a:b"), None),
            ("tar:/a:b.tar", Some("/a:b.tar"), None),
            ("tar:-", None, None),
        ] {
            check(text, path, named);
        }
    }

    #[test]
    fn what_is_no_transport() {
        for text in [
            "oci",
            "oci:",
            "docker:/a",
            "docker:a",
            "docker://host//app",
            "docker://-host/app",
            "docker://host/app@sha256:00",
            "",
            "oci:/a:",
            "oci:/a:b c",
            "oci-archive:/a:-b",
            "docker-archive::x",
            "containerd:-x",
            "tar:",
            "what:/a",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

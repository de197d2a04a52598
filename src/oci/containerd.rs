//! `containerd:REF`: into containerd's store, through `ctr images import`. What its content store has is not sent
//! again. Address and namespace are those that `ctr` itself takes from its environment.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Mutex;

use crate::base::digest::OciDigest;
use crate::net::reference::Reference;
use crate::oci::archive::ArchiveSink;
use crate::oci::descriptor::Descriptor;
use crate::oci::error::OciError;
use crate::oci::image::Platform;
use crate::oci::manifest::Annotations;
use crate::oci::outgoing::Outgoing;
use crate::oci::program::{Fed, run};
use crate::oci::sink::{Blob, Sink};

pub struct ContainerdSink {
    references: Vec<String>,
    import: Mutex<Option<Import>>,
    arguments: Vec<String>,
    held: BTreeSet<OciDigest>,
}

/// One that does not get everything ends without an image.
struct Import {
    archive: ArchiveSink,
    child: Fed,
}

/// What containerd takes an image's name from.
const NAME: &str = "io.containerd.image.name";

/// Whether it answers, and these can be names of images.
pub fn check(references: &[String]) -> Result<(), OciError> {
    canonical(references)?;
    run("ctr", &["version"]).map(drop)
}

/// In full: containerd itself knows no shorter ones, and those who use it look for these.
fn canonical(references: &[String]) -> Result<Vec<String>, OciError> {
    references.iter().map(|reference| Ok(reference.parse::<Reference>()?.to_string())).collect()
}

impl ContainerdSink {
    pub fn open(references: &[String], platforms: &[Platform]) -> Result<ContainerdSink, OciError> {
        let held = run("ctr", &["content", "ls", "--quiet"])?;
        let held =
            String::from_utf8_lossy(&held).lines().filter_map(|line| line.trim().parse().ok()).collect();
        let mut arguments = vec!["images".to_owned(), "import".to_owned()];
        if platforms.len() > 1 {
            arguments.push("--all-platforms".to_owned());
        }
        let here = Platform::current();
        let runs_here =
            |platform: &Platform| (&platform.os, &platform.architecture) == (&here.os, &here.architecture);
        if !platforms.iter().any(runs_here) {
            arguments.push("--no-unpack".to_owned());
        }
        arguments.push("-".to_owned());
        let references = canonical(references)?;
        Ok(ContainerdSink { references, import: Mutex::new(None), arguments, held })
    }

    /// Where it no longer reads, it says why.
    fn import(&self, then: impl FnOnce(&ArchiveSink) -> Result<(), OciError>) -> Result<(), OciError> {
        let mut import = self.import.lock().expect("bug: poisoned");
        if import.is_none() {
            *import = Some(self.start()?);
        }
        let Import { archive, child } = import.as_mut().expect("bug: was just started");
        then(archive).map_err(|error| match error {
            OciError::Stream { source, .. } if source.kind() == ErrorKind::BrokenPipe => {
                child.end().err().unwrap_or(OciError::Peer {
                    message: "`ctr` ended before it had the image".to_owned(),
                    help: None,
                })
            }
            error => error,
        })
    }

    fn start(&self) -> Result<Import, OciError> {
        let (child, stdin) = Fed::start("ctr", &self.arguments)?;
        let names = self.references.iter().map(|name| [(NAME.to_owned(), name.clone())].into());
        let names: Vec<Annotations> = names.collect();
        Ok(Import { archive: ArchiveSink::stream(Box::new(stdin), &names), child })
    }
}

impl Sink for ContainerdSink {
    fn is_current(&self, outgoing: &Outgoing) -> Result<bool, OciError> {
        let listed = run("ctr", &["images", "ls"])?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let digest = outgoing.top().descriptor.digest.to_string();
        let is_listed = |name: &String| {
            listed.lines().any(|line| {
                let mut columns = line.split_whitespace();
                columns.next() == Some(name) && columns.nth(1) == Some(&digest)
            })
        };
        Ok(self.references.iter().all(is_listed))
    }

    /// Documents are few bytes, and without them no import knows what to keep.
    fn has(&self, descriptor: &Descriptor) -> Result<bool, OciError> {
        Ok(descriptor.is_layer() && self.held.contains(&descriptor.digest))
    }

    fn blob(&self, blob: &Blob<'_>) -> Result<(), OciError> {
        self.import(|archive| archive.blob(blob))
    }

    fn finish(&self, outgoing: &Outgoing) -> Result<(), OciError> {
        self.import(|archive| archive.finish(outgoing))?;
        let import = self.import.lock().expect("bug: poisoned").take().expect("bug: was started");
        let Import { archive, mut child } = import;
        drop(archive);
        child.end()
    }
}

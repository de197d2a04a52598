//! Images that exist already: what their names point to now, the images, and where their layers lie. What lies on a
//! disk is opened once in a build: an archive has to be gone through, and compressed layers of Docker's hashed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::exec::executor::ExecError;
use crate::exec::found::Found;
use crate::graph::op::{ImageSource, LayoutForm, Pull};
use crate::graph::value::Value;
use crate::oci::error::OciError;
use crate::oci::image::{Image, Platform};
use crate::oci::pull;
use crate::oci::source::Source;
use crate::oci::supply::Supply;

pub(super) struct Pulling {
    supply: Supply,
    workspace: PathBuf,
    /// By path, and by the word for its form.
    opened: Found<(String, &'static str), Arc<Source>>,
}

impl Pulling {
    pub(super) fn new(supply: &Supply, workspace: &Path) -> Pulling {
        Pulling { supply: supply.clone(), workspace: workspace.to_owned(), opened: Found::default() }
    }

    /// Fills in the digest of what the image's name stands for now.
    pub(super) fn pin(&self, pull: &mut Pull, platform: &Platform) -> Result<(), ExecError> {
        let found = match (&pull.source, &pull.digest) {
            // It says all there is to know; whether it is there shows when it is wanted.
            (ImageSource::Registry(_), Some(_)) => return Ok(()),
            (ImageSource::Registry(name), None) => {
                let registries = self.supply.network().registries()?;
                registries.resolve(&name.parse()?, self.supply.cancel())?.digest
            }
            (ImageSource::Layout { .. }, digest) => {
                let (source, reference) = self.source(pull)?;
                pull::resolve(&source, reference, digest.as_deref(), platform)?
            }
        };
        pull.digest = Some(found.to_string());
        Ok(())
    }

    pub(super) fn pull(&self, pull: &Pull, platform: &Platform) -> Result<Image, ExecError> {
        let (source, reference) = self.source(pull)?;
        Ok(pull::pull(&source, reference, pull.digest.as_deref(), platform)?)
    }

    /// Tells where the layers of the images among `outputs` can be had.
    pub(super) fn settled(&self, pull: &Pull, outputs: &BTreeMap<String, Value>) {
        // One that can't be opened any more is missed by whoever wants its layers.
        let Ok((source, _)) = self.source(pull) else { return };
        for value in outputs.values() {
            if let Value::Image(image) = value {
                self.supply.offer(image, &source);
            }
        }
    }

    /// Where the image lies, and what it is called there.
    fn source<'p>(&self, pull: &'p Pull) -> Result<(Arc<Source>, Option<&'p str>), ExecError> {
        match &pull.source {
            ImageSource::Layout { path, reference, form } => {
                let open = || Ok(Arc::new(open(&self.workspace.join(path), *form)?));
                let source = self.opened.get((path.clone(), form.word()), open)?;
                Ok((source, reference.as_deref()))
            }
            ImageSource::Registry(name) => {
                let source = Source::registry(self.supply.network(), &name.parse()?, self.supply.cancel());
                Ok((Arc::new(source), None))
            }
        }
    }
}

/// Images on a disk.
pub fn open(path: &Path, form: LayoutForm) -> Result<Source, OciError> {
    match form {
        LayoutForm::Folder => Source::layout(path),
        LayoutForm::Archive => Source::archive(path),
        LayoutForm::DockerArchive => Source::docker_archive(path),
    }
}

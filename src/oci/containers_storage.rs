//! `containers-storage:REF`: into the store of podman, buildah and CRI-O, through `skopeo copy`. skopeo pulls from
//! us what that store lacks.

use crate::base::digest::OciDigest;
use crate::oci::descriptor::Descriptor;
use crate::oci::error::OciError;
use crate::oci::lending::lend;
use crate::oci::outgoing::Outgoing;
use crate::oci::program::run;
use crate::oci::sink::{Blob, Sink};
use crate::oci::supply::Supply;

pub struct ContainersStorageSink {
    supply: Supply,
    /// As skopeo spells them, without the transport.
    references: Vec<String>,
}

/// Whether there is a skopeo.
pub fn check() -> Result<(), OciError> {
    run("skopeo", &["--version"]).map(drop)
}

impl ContainersStorageSink {
    pub fn new(supply: &Supply, references: &[String]) -> ContainersStorageSink {
        ContainersStorageSink { supply: supply.clone(), references: references.to_vec() }
    }
}

impl Sink for ContainersStorageSink {
    fn is_current(&self, outgoing: &Outgoing) -> Result<bool, OciError> {
        let expected = outgoing.images[0].manifest.descriptor.digest;
        Ok(self.references.iter().all(|reference| {
            let held = run("skopeo", &["inspect", "--raw", &format!("containers-storage:{reference}")]);
            held.is_ok_and(|manifest| OciDigest::of(&manifest) == expected)
        }))
    }

    /// It comes and takes.
    fn has(&self, _: &Descriptor) -> Result<bool, OciError> {
        Ok(true)
    }

    fn blob(&self, _: &Blob<'_>) -> Result<(), OciError> {
        Ok(())
    }

    fn finish(&self, outgoing: &Outgoing) -> Result<(), OciError> {
        lend(&self.supply, outgoing, |lent| {
            for reference in &self.references {
                let from = format!("docker://{lent}");
                let to = format!("containers-storage:{reference}");
                // The policy is about images of others.
                let arguments =
                    ["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", &from, &to];
                run("skopeo", &arguments)?;
            }
            Ok(())
        })
    }
}

//! Results into their destinations.

use std::path::Path;

use crate::cli::output::Planned;
use crate::cli::output::destination::{Destination, Takes, docker_socket};
use crate::cli::output::files::{write_files, write_tar};
use crate::cli::output::metadata::Written;
use crate::exec::executor::ExecError;
use crate::graph::value::Value;
use crate::oci::archive::ArchiveSink;
use crate::oci::containerd::ContainerdSink;
use crate::oci::containers_storage::ContainersStorageSink;
use crate::oci::docker_archive::DockerArchiveSink;
use crate::oci::docker_daemon::DockerDaemonSink;
use crate::oci::export::export;
use crate::oci::image::{Compression, Image};
use crate::oci::layout::LayoutSink;
use crate::oci::manifest::{Annotations, REFERENCE};
use crate::oci::outgoing::{Leaving, Listing, Order, Outgoing};
use crate::oci::registry::RegistrySink;
use crate::oci::sink::Sink;
use crate::oci::supply::Supply;
use crate::oci::written;

/// What all outputs of a build have in common.
pub(in crate::cli) struct Desk<'d> {
    pub(in crate::cli) supply: &'d Supply,
    /// For images that do not say when they were created, in seconds since 1970.
    pub(in crate::cli) created: u64,
}

/// A result for one platform, and what made each of its layers.
pub(in crate::cli) struct Made {
    pub(in crate::cli) value: Value,
    pub(in crate::cli) by: Vec<Option<String>>,
}

impl Planned {
    /// What was written, for people and for programs. `made` is that of each of its sources.
    pub(in crate::cli) fn write(&self, desk: &Desk<'_>, made: &[Made]) -> Result<Written, ExecError> {
        let supply = desk.supply;
        match &self.output.destination {
            Destination::Files(path) => {
                write_files(supply, &made[0].value, path)?;
                Ok(Written::files(self))
            }
            Destination::Tar(path) => {
                write_tar(supply, &made[0].value, self.file_name(), path.as_deref())?;
                Ok(Written::files(self))
            }
            _ => {
                let own = self.own_sink()?;
                let outgoing = self.outgoing(desk, made, own.as_deref())?;
                if self.is_written(supply, &outgoing)? {
                    return Ok(Written::image(self, &outgoing));
                }
                let sinks = own.map_or_else(|| self.sinks(desk, &outgoing), |own| Ok(vec![own]))?;
                for sink in sinks {
                    export(supply, &outgoing, sink.as_ref())?;
                }
                self.remember_written(supply, &outgoing)?;
                Ok(Written::image(self, &outgoing))
            }
        }
    }

    fn outgoing(
        &self,
        desk: &Desk<'_>,
        made: &[Made],
        own: Option<&dyn Sink>,
    ) -> Result<Outgoing, ExecError> {
        let images: Vec<Image> = made
            .iter()
            .map(|made| match &made.value {
                Value::Image(image) => self.packed_for(image),
                other => panic!("bug: chose a {} for an image transport", other.type_of().name()),
            })
            .collect();
        let images: Vec<Leaving<'_>> = images
            .iter()
            .zip(made)
            .map(|(image, made)| Leaving { image, made_by: made.by.clone() })
            .collect();
        let listing = match self.output.destination {
            Destination::Layout { .. } | Destination::Archive { .. } => Listing::OfLayout,
            _ => Listing::OfFormat,
        };
        let order = Order { images: &images, created: desk.created, listing };
        Ok(match own {
            Some(sink) => Outgoing::into(desk.supply, &order, sink)?,
            None => Outgoing::new(desk.supply, &order)?,
        })
    }

    /// What takes one platform keeps no index. Without a manifest nobody sees how layers are packed, and Docker
    /// unpacks them first of all.
    fn packed_for(&self, image: &Image) -> Image {
        let mut image = image.clone();
        if self.output.destination.takes() == Takes::Image {
            image.index_annotations.clear();
        }
        if self.output.destination.has_no_manifest() {
            image.packing.compression = Compression::None;
        }
        image
    }

    fn sinks(&self, desk: &Desk<'_>, outgoing: &Outgoing) -> Result<Vec<Box<dyn Sink>>, ExecError> {
        Ok(match &self.output.destination {
            Destination::DockerArchive { file, .. } => {
                vec![Box::new(DockerArchiveSink::open(file, &self.references)?)]
            }
            Destination::Registry(_) => {
                let sinks = RegistrySink::of_all(desk.supply, &self.references)?;
                sinks.into_iter().map(|sink| Box::new(sink) as Box<dyn Sink>).collect()
            }
            Destination::DockerDaemon(_) => {
                vec![Box::new(DockerDaemonSink::new(&docker_socket()?, &self.references))]
            }
            Destination::ContainersStorage(_) => {
                vec![Box::new(ContainersStorageSink::new(desk.supply, &self.references))]
            }
            Destination::Containerd(_) => {
                let platforms: Vec<_> = outgoing.images.iter().map(|image| image.platform.clone()).collect();
                vec![Box::new(ContainerdSink::open(&self.references, &platforms)?)]
            }
            Destination::Layout { .. } | Destination::Archive { .. } => {
                unreachable!("bug: these take layers while they are packed")
            }
            Destination::Files(_) | Destination::Tar(_) => unreachable!("bug: files go to no sink"),
        })
    }

    /// One that takes layers while they are packed.
    fn own_sink(&self) -> Result<Option<Box<dyn Sink>>, ExecError> {
        let tags = || -> Vec<Annotations> {
            self.references.iter().map(|tag| [(REFERENCE.to_owned(), tag.clone())].into()).collect()
        };
        Ok(match &self.output.destination {
            Destination::Layout { folder, .. } => Some(Box::new(LayoutSink::open(folder, &tags())?)),
            Destination::Archive { file, .. } => Some(Box::new(ArchiveSink::open(file, &tags())?)),
            _ => None,
        })
    }

    /// Whether the file holds the image under these names already, and nobody touched it since.
    fn is_written(&self, supply: &Supply, outgoing: &Outgoing) -> Result<bool, ExecError> {
        Ok(match self.file() {
            Some((form, file)) => written::is_current(
                supply.memo(),
                file,
                form,
                &self.references,
                outgoing.top().descriptor.digest,
            )?,
            None => false,
        })
    }

    fn remember_written(&self, supply: &Supply, outgoing: &Outgoing) -> Result<(), ExecError> {
        let Some((form, file)) = self.file() else { return Ok(()) };
        let digest = outgoing.top().descriptor.digest;
        Ok(written::remember(supply.memo(), file, form, &self.references, digest)?)
    }

    /// The only file that it writes, if it does.
    fn file(&self) -> Option<(&'static str, &Path)> {
        match &self.output.destination {
            Destination::Archive { file, .. } => Some(("oci-archive", file)),
            Destination::DockerArchive { file, .. } => Some(("docker-archive", file)),
            _ => None,
        }
    }

    /// What a single file is called: the output's own name.
    fn file_name(&self) -> &str {
        let name = self.target.split('[').next().unwrap_or(&self.target);
        name.rsplit(['.', ':', '/']).next().filter(|name| !name.is_empty()).unwrap_or("file")
    }
}

//! Destinations, looked at before anything is built.

use std::io::ErrorKind;
use std::path::Path;

use crate::base::durable;
use crate::cli::failure::Failure;
use crate::cli::output::Planned;
use crate::cli::output::destination::{Destination, docker_socket};
use crate::engine::history::History;
use crate::oci::archive::ArchiveSink;
use crate::oci::docker_archive::DockerArchiveSink;
use crate::oci::layout::LayoutSink;
use crate::oci::{containerd, containers_storage, docker_daemon, registry};

impl Planned {
    /// Refuses a destination that is not ours to replace, or that is not there.
    pub(in crate::cli) fn check(&self, history: &History) -> Result<(), Failure> {
        if let Some(path) = self.path() {
            self.check_folder(path)?;
        }
        match &self.output.destination {
            Destination::Layout { folder, .. } => Ok(LayoutSink::open(folder, &[]).map(drop)?),
            Destination::Archive { file, .. } => Ok(ArchiveSink::open(file, &[]).map(drop)?),
            Destination::DockerArchive { file, .. } | Destination::Tar(Some(file)) => {
                Ok(DockerArchiveSink::open(file, &[]).map(drop)?)
            }
            Destination::Files(path) => check_files(path, history),
            Destination::Tar(None) => Ok(()),
            Destination::Registry(_) => Ok(registry::check(&self.references)?),
            Destination::DockerDaemon(_) => Ok(docker_daemon::check(&docker_socket()?)?),
            Destination::ContainersStorage(_) => Ok(containers_storage::check()?),
            Destination::Containerd(_) => Ok(containerd::check(&self.references)?),
        }
    }

    fn check_folder(&self, path: &Path) -> Result<(), Failure> {
        let written = &self.output.written;
        if let Some(parent) = path.parent()
            && !parent.is_dir()
        {
            return Err(Failure::input(
                format!("`-o {written}`: there is no folder `{}`", parent.display()),
                "make it first",
            ));
        }
        let is_layout = matches!(self.output.destination, Destination::Layout { .. });
        let written_in = match path.parent() {
            _ if is_layout && path.is_dir() => path,
            Some(parent) => parent,
            None => path,
        };
        durable::may_write_in(written_in).map_err(|error| {
            Failure::environment(
                format!("`-o {written}`: cannot write in `{}`: {error}", written_in.display()),
                Some("name a folder that you may write to".to_owned()),
            )
        })
    }
}

fn check_files(path: &Path, history: &History) -> Result<(), Failure> {
    if history.is_exported(path) || is_free(path) {
        return Ok(());
    }
    Err(Failure::input(
        format!("`{}` exists and was not written by this program", path.display()),
        "name a folder that does not exist, or remove this one",
    ))
}

/// Nothing there, or an empty folder. A link is neither, wherever it leads: it would be replaced.
fn is_free(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => {
            std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
        }
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

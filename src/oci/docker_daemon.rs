//! `docker-daemon:REF`: into the Docker daemon, by its Engine API. An image that is there only gets its names, and
//! layers that are there under others are not sent.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

use crate::base::digest::OciDigest;
use crate::oci::daemon_http::{Answer, answer, request, upload};
use crate::oci::descriptor::Descriptor;
use crate::oci::docker_archive::{DockerArchiveSink, with_tag};
use crate::oci::error::OciError;
use crate::oci::outgoing::{Outgoing, Packed};
use crate::oci::sink::{Blob, Sink};

pub struct DockerDaemonSink {
    socket: PathBuf,
    references: Vec<String>,
    /// The image is there, whatever it is called.
    is_there: OnceLock<bool>,
    spared: OnceLock<BTreeSet<OciDigest>>,
    load: Mutex<Option<Load>>,
}

struct Load {
    archive: DockerArchiveSink,
    connection: UnixStream,
}

/// Images that are asked for their layers.
const IMAGES_MOST: usize = 200;

/// Whether it answers.
pub fn check(socket: &Path) -> Result<(), OciError> {
    let answer = request(socket, "GET", "/_ping")?;
    if answer.status == 200 { Ok(()) } else { Err(refused(&answer)) }
}

impl DockerDaemonSink {
    /// Asks nothing yet.
    pub fn new(socket: &Path, references: &[String]) -> DockerDaemonSink {
        DockerDaemonSink {
            socket: socket.to_owned(),
            references: references.iter().map(|reference| with_tag(reference)).collect(),
            is_there: OnceLock::new(),
            spared: OnceLock::new(),
            load: Mutex::new(None),
        }
    }

    /// The image that has that name or id.
    fn id(&self, name: &str) -> Result<Option<String>, OciError> {
        let answer = request(&self.socket, "GET", &format!("/images/{name}/json"))?;
        match answer.status {
            200 => Ok(answer.json()["Id"].as_str().map(str::to_owned)),
            404 => Ok(None),
            _ => Err(refused(&answer)),
        }
    }

    fn tag(&self, id: &str, reference: &str) -> Result<(), OciError> {
        let (name, tag) = reference.rsplit_once(':').unwrap_or((reference, "latest"));
        let answer = request(&self.socket, "POST", &format!("/images/{id}/tag?repo={name}&tag={tag}"))?;
        if answer.status == 201 { Ok(()) } else { Err(refused(&answer)) }
    }

    /// Layers that an image there has in the same places. A daemon that keeps its images in containerd wants
    /// all of them.
    fn layers_there(&self, image: &Packed) -> Result<BTreeSet<OciDigest>, OciError> {
        let info = request(&self.socket, "GET", "/info")?.json();
        if info["DriverStatus"].to_string().contains("io.containerd") {
            return Ok(BTreeSet::new());
        }
        let ours: Vec<String> = image.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        let mut most = 0;
        let images = request(&self.socket, "GET", "/images/json")?.json();
        let ids = images.as_array().into_iter().flatten().filter_map(|image| image["Id"].as_str());
        for id in ids.take(IMAGES_MOST) {
            let theirs = request(&self.socket, "GET", &format!("/images/{id}/json"))?.json();
            let theirs = theirs["RootFS"]["Layers"].as_array().into_iter().flatten();
            let equal = theirs.zip(&ours).take_while(|(theirs, ours)| theirs.as_str() == Some(ours)).count();
            most = most.max(equal);
        }
        let lacking: BTreeSet<_> = image.layers[most..].iter().map(|layer| layer.descriptor.digest).collect();
        let there = image.layers[..most].iter().map(|layer| layer.descriptor.digest);
        Ok(there.filter(|digest| !lacking.contains(digest)).collect())
    }

    fn load(&self, then: impl FnOnce(&DockerArchiveSink) -> Result<(), OciError>) -> Result<(), OciError> {
        let mut load = self.load.lock().expect("bug: poisoned");
        if load.is_none() {
            let (body, connection) = upload(&self.socket, "/images/load?quiet=1", "application/x-tar")?;
            let archive = DockerArchiveSink::stream(Box::new(body), &self.references);
            *load = Some(Load { archive, connection });
        }
        let Load { archive, connection } = load.as_ref().expect("bug: was just begun");
        then(archive).map_err(|error| match error {
            // It says why before it closes.
            OciError::Stream { source, .. } if source.kind() == ErrorKind::BrokenPipe => {
                answer(connection).map_or_else(|error| error, |answer| refused(&answer))
            }
            error => error,
        })
    }
}

impl Sink for DockerDaemonSink {
    fn is_current(&self, outgoing: &Outgoing) -> Result<bool, OciError> {
        let image = &outgoing.images[0];
        let id = image.config.descriptor.digest.to_string();
        let is_there = self.id(&id)?.as_deref() == Some(&id);
        let _ = self.is_there.set(is_there);
        if !is_there {
            let _ = self.spared.set(self.layers_there(image)?);
            return Ok(false);
        }
        for reference in &self.references {
            if self.id(reference)?.as_deref() != Some(&id) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn has(&self, descriptor: &Descriptor) -> Result<bool, OciError> {
        let is_spared = self.spared.get().is_some_and(|spared| spared.contains(&descriptor.digest));
        Ok(is_spared || self.is_there.get().copied().unwrap_or(false))
    }

    fn blob(&self, blob: &Blob<'_>) -> Result<(), OciError> {
        self.load(|archive| archive.blob(blob))
    }

    fn finish(&self, outgoing: &Outgoing) -> Result<(), OciError> {
        if self.is_there.get() == Some(&true) {
            let id = outgoing.images[0].config.descriptor.digest.to_string();
            return self.references.iter().try_for_each(|reference| self.tag(&id, reference));
        }
        self.load(|archive| archive.finish(outgoing))?;
        let load = self.load.lock().expect("bug: poisoned").take().expect("bug: was begun");
        let answer = answer(&load.connection)?;
        match (answer.status, error_in(&answer.body)) {
            (200, None) => Ok(()),
            (200, Some(message)) => Err(said(&message)),
            _ => Err(refused(&answer)),
        }
    }
}

/// Among the lines of JSON in which it tells of its progress.
fn error_in(body: &[u8]) -> Option<String> {
    let lines = serde_json::Deserializer::from_slice(body).into_iter::<Value>().map_while(Result::ok);
    lines.filter_map(|line| line["error"].as_str().map(str::to_owned)).next()
}

fn refused(answer: &Answer) -> OciError {
    said(&answer.message())
}

fn said(message: &str) -> OciError {
    OciError::Peer { message: format!("the Docker daemon refused the image: {message}"), help: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_among_progress() {
        let body = b"{\"stream\":\"Loaded\"}\n{\"errorDetail\":{\"message\":\"bad\"},\"error\":\"bad\"}\n";
        assert_eq!(error_in(body).as_deref(), Some("bad"));
        assert_eq!(error_in(b"{\"stream\":\"Loaded\"}\r\n"), None);
        assert_eq!(error_in(b""), None);
    }
}

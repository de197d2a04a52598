//! What is read of registries: which manifest a name means, manifests, and blobs. Mirrors are asked first. Nothing is
//! believed but what has the digest that was asked for.

use std::io::Write;

use reqwest::Method;
use reqwest::header::{self, HeaderValue};

use crate::base::cancel::Cancel;
use crate::base::digest::OciDigest;
use crate::net::auth::{Access, May};
use crate::net::download::{Download, Expected};
use crate::net::error::NetError;
use crate::net::http::Response;
use crate::net::reference::Reference;
use crate::net::registry::{Asking, Place, Registries, Server};

/// Registries need not take more than 4 MiB (distribution-spec, "Pushing Manifests").
const LARGEST_MANIFEST: u64 = 8 << 20;
/// What this program can read; a registry that has an image in several forms chooses by it.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
pub(in crate::net) const CONTENT_DIGEST: &str = "docker-content-digest";

/// What a name stands for at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub digest: OciDigest,
    pub media_type: String,
    /// Of the manifest.
    pub size: u64,
}

/// A manifest or an index, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub digest: OciDigest,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl Registries {
    /// What the reference means now; only looked up, where the server allows that.
    pub fn resolve(&self, image: &Reference, cancel: &Cancel) -> Result<Resolved, NetError> {
        let what = format!("the image `{image}`");
        self.client.run(cancel, async {
            let from = async |server: &Server| {
                let access = server.access(image, May::Pull, cancel);
                match self.look_up(server, &access, image, &what).await? {
                    Some(resolved) => Ok(resolved),
                    None => {
                        let Manifest { digest, media_type, bytes } =
                            self.get(server, &access, image, &what).await?;
                        Ok(Resolved { digest, media_type, size: bytes.len() as u64 })
                    }
                }
            };
            self.first_of(&image.host, from).await
        })
    }

    /// What the registry itself, and no mirror, has under the reference: for who is about to write there.
    pub fn held(&self, image: &Reference, cancel: &Cancel) -> Result<Option<OciDigest>, NetError> {
        let (server, what) = (self.origin(&image.host), format!("the image `{image}`"));
        let access = server.access(image, May::PullAndPush, cancel);
        self.client.run(cancel, async {
            match self.look_up(&server, &access, image, &what).await {
                Ok(resolved) => Ok(resolved.map(|resolved| resolved.digest)),
                Err(NetError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// The manifest of that digest or tag, its bytes verified.
    pub fn manifest(&self, image: &Reference, cancel: &Cancel) -> Result<Manifest, NetError> {
        let what = format!("the image `{image}`");
        self.client.run(cancel, async {
            let from = async |server: &Server| {
                self.get(server, &server.access(image, May::Pull, cancel), image, &what).await
            };
            self.first_of(&image.host, from).await
        })
    }

    /// Writes a blob of the repository of `image` to `out`. Goes on where a connection breaks, at another server too.
    /// After an error that `is_of_content`, one more call with an empty `out` may go well: it trusts no mirror that
    /// took part.
    pub fn blob(
        &self,
        image: &Reference,
        digest: OciDigest,
        size: u64,
        out: &mut dyn Write,
        cancel: &Cancel,
    ) -> Result<(), NetError> {
        let what = format!("the blob {digest} of `{}`", image.name());
        let path = format!("blobs/{digest}");
        let expected = Expected { size: Some(size), digest: Some(digest), limit: size };
        let mut download = Download::new(&expected, out);
        self.client.run(cancel, async {
            let from = async |server: &Server| {
                let access = server.access(image, May::Pull, cancel);
                let ask = async |headers| {
                    let mut asking = Asking::new(Method::GET, Place::Path(&path), &what);
                    asking.headers = headers;
                    self.once(server, &access, &asking).await
                };
                download.change_server();
                self.client.complete(&mut download, ask).await
            };
            self.first_of(&image.host, from).await
        })
    }

    /// `None` where the server does not answer to HEAD, or does not say enough.
    async fn look_up(
        &self,
        server: &Server,
        access: &Access<'_>,
        image: &Reference,
        what: &str,
    ) -> Result<Option<Resolved>, NetError> {
        let path = format!("manifests/{}", image.version());
        let mut asking = Asking::new(Method::HEAD, Place::Path(&path), what);
        asking.headers.insert(header::ACCEPT, HeaderValue::from_static(MANIFESTS));
        let response = self.ask(server, access, &asking).await?;
        match response.status().as_u16() {
            200 => {}
            400 | 405 => return Ok(None),
            _ => return Err(response.refusal().await),
        }
        let resolved = || {
            let digest = response.header(CONTENT_DIGEST)?.parse().ok()?;
            let size = response.header(header::CONTENT_LENGTH)?.parse().ok()?;
            Some(Resolved { digest, size, media_type: media_type(&response)? })
        };
        let resolved = resolved();
        match (&resolved, image.digest) {
            (Some(found), Some(expected)) if found.digest != expected => {
                Err(NetError::WrongDigest { host: response.host, what: response.what, found: found.digest })
            }
            _ => Ok(resolved),
        }
    }

    async fn get(
        &self,
        server: &Server,
        access: &Access<'_>,
        image: &Reference,
        what: &str,
    ) -> Result<Manifest, NetError> {
        let path = format!("manifests/{}", image.version());
        let mut asking = Asking::new(Method::GET, Place::Path(&path), what);
        asking.headers.insert(header::ACCEPT, HeaderValue::from_static(MANIFESTS));
        let attempt = async || {
            let mut response = self.once(server, access, &asking).await?;
            if response.status() != 200 {
                return Err(response.refusal().await);
            }
            let bytes = response.whole(LARGEST_MANIFEST).await?;
            let digest = OciDigest::of(&bytes);
            // Of a tag, only the server can say which digest was meant.
            let said = response.header(CONTENT_DIGEST).and_then(|digest| digest.parse().ok());
            if image.digest.or(said).is_some_and(|expected| expected != digest) {
                return Err(NetError::WrongDigest {
                    host: response.host,
                    what: response.what,
                    found: digest,
                });
            }
            match media_type(&response).or_else(|| own_media_type(&bytes)) {
                Some(media_type) => Ok(Manifest { digest, media_type, bytes }),
                None => Err(NetError::Malformed {
                    host: response.host,
                    what: response.what,
                    why: "it does not say its media type".to_owned(),
                }),
            }
        };
        self.client.retrying(attempt).await
    }
}

/// Without parameters; servers that know no better say that it is plain text.
fn media_type(response: &Response) -> Option<String> {
    let value = response.header(header::CONTENT_TYPE)?;
    let value = value.split_once(';').map_or(value, |(value, _)| value).trim();
    value.starts_with("application/vnd.").then(|| value.to_owned())
}

/// What a manifest says of itself.
fn own_media_type(bytes: &[u8]) -> Option<String> {
    let manifest: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    manifest.get("mediaType")?.as_str().map(str::to_owned)
}

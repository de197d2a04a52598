//! All registries, asked by the distribution specification: which server stands for a registry, over which scheme, and as
//! whom. What is pulled and pushed is in `pull.rs` and `push.rs`; here is what every request needs.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::header::{self, HeaderMap};
use reqwest::{Method, Url};

use crate::base::cancel::Cancel;
use crate::base::digest::OciDigest;
use crate::net::auth::{Access, Auth, May, Scope};
use crate::net::error::NetError;
use crate::net::http::{Body, Client, Request, Response};
use crate::net::reference::{Reference, api_host, is_loopback};
use crate::net::settings::{Mirror, Settings};

/// Shared by all threads that pull and push. Remembers, until the process ends, what it learned of each server.
pub struct Registries {
    pub(in crate::net) client: Client,
    auth: Auth,
    settings: Settings,
    /// Of servers on this machine, which may speak either: `https` or `http`, by host.
    schemes: Mutex<HashMap<String, &'static str>>,
    /// Mirrors that could not be reached, or gave wrong bytes.
    distrusted: Mutex<HashSet<String>>,
    /// Uploads that a server began where a mount was asked for.
    pub(in crate::net) begun: Mutex<HashMap<(String, OciDigest), Url>>,
}

/// Who is asked for a repository: the registry, or a mirror of it.
#[derive(Debug, Clone)]
pub(in crate::net) struct Server {
    /// As users name it, `docker.io`; credentials are for it.
    pub(in crate::net) host: String,
    api: String,
    /// Before each repository, with a `/` at its end.
    prefix: String,
    is_plain: bool,
}

/// One request to a registry, but for its host.
pub(in crate::net) struct Asking<'a> {
    pub(in crate::net) method: Method,
    /// After `/v2/REPOSITORY/`; or a whole URL, which the server gave.
    pub(in crate::net) at: Place<'a>,
    pub(in crate::net) headers: HeaderMap,
    pub(in crate::net) body: Body<'a>,
    pub(in crate::net) what: &'a str,
    pub(in crate::net) answer: Option<std::time::Duration>,
}

pub(in crate::net) enum Place<'a> {
    Path(&'a str),
    Given(&'a Url),
}

impl<'a> Asking<'a> {
    pub(in crate::net) fn new(method: Method, at: Place<'a>, what: &'a str) -> Asking<'a> {
        Asking { method, at, headers: HeaderMap::new(), body: Body::Bytes(b""), what, answer: None }
    }
}

impl Registries {
    pub fn new(client: Client, settings: Settings) -> Registries {
        let auth = Auth::new(settings.credentials.clone());
        let (schemes, distrusted, begun) = (Mutex::default(), Mutex::default(), Mutex::default());
        Registries { client, auth, settings, schemes, distrusted, begun }
    }

    /// The registry itself, to which alone is written.
    pub(in crate::net) fn origin(&self, host: &str) -> Server {
        let api = api_host(host).to_owned();
        let is_plain = self.settings.plain_http.contains(host) || self.settings.plain_http.contains(&api);
        Server { host: host.to_owned(), api, prefix: String::new(), is_plain }
    }

    /// Asks the mirrors, then the registry; the first that answers well is believed. Their errors are told with the
    /// registry's own, but that an image is not there is nothing to tell of a mirror.
    pub(in crate::net) async fn first_of<T>(
        &self,
        host: &str,
        mut attempt: impl AsyncFnMut(&Server) -> Result<T, NetError>,
    ) -> Result<T, NetError> {
        let mut of_mirror = None;
        for mirror in self.settings.mirrors.get(host).into_iter().flatten().map(Mirror::server) {
            if lock(&self.distrusted).contains(&mirror.host) {
                continue;
            }
            match attempt(&mirror).await {
                Err(NetError::NotFound { .. }) => {}
                Err(error) if self.goes_on_after(&mirror, &error) => of_mirror = Some(Box::new(error)),
                done => return done,
            }
        }
        attempt(&self.origin(host)).await.map_err(|origin| match of_mirror {
            Some(mirror) if !matches!(origin, NetError::Cancelled) => {
                NetError::Mirrored { origin: Box::new(origin), mirror }
            }
            _ => origin,
        })
    }

    /// Whether the next server is to be asked. What came whole and is wrong is written already: then only the next call
    /// can do better, and does not ask this mirror again.
    fn goes_on_after(&self, mirror: &Server, error: &NetError) -> bool {
        let is_wrong = matches!(error, NetError::WrongDigest { .. } | NetError::WrongSize { .. });
        if is_wrong
            || error.passes()
            || matches!(error, NetError::NotTls { .. } | NetError::Certificate { .. })
        {
            lock(&self.distrusted).insert(mirror.host.clone());
        }
        !matches!(
            error,
            NetError::Cancelled
                | NetError::Read { .. }
                | NetError::Write { .. }
                | NetError::WrongDigest { .. }
        )
    }

    /// Sends one request, told who we are where that is asked for. Tried once; statuses that may pass are errors.
    pub(in crate::net) async fn once(
        &self,
        server: &Server,
        access: &Access<'_>,
        asking: &Asking<'_>,
    ) -> Result<Response, NetError> {
        let base = self.base(server, access).await?;
        let url = match asking.at {
            Place::Given(url) => url.clone(),
            Place::Path(path) => {
                let path = format!("{}/{path}", access.scope.repository);
                base.join(&path).map_err(|_| NetError::Url { url: path })?
            }
        };
        // Some registries let others keep what is uploaded, and say where by a signed URL.
        let is_ours = url.origin() == base.origin();
        let mut request = Request::new(asking.method.clone(), url, asking.what);
        request.answer = asking.answer;
        request.body = asking.body;
        loop {
            request.headers = asking.headers.clone();
            if !is_ours {
                return self.client.once(&request).await;
            }
            let authorization = self.auth.authorize(&self.client, &base, access).await?;
            if let Some(header) = &authorization.header {
                request.headers.insert(header::AUTHORIZATION, header.clone());
            }
            let mut response = self.client.once(&request).await?;
            response.used = authorization.used;
            if response.status() != 401 {
                return Ok(response);
            }
            let asks = self.auth.learn(&access.scope, response.headers(), authorization.header.as_ref());
            if !(asks && authorization.is_a_try) {
                return Ok(response);
            }
        }
    }

    /// As `once`, and again where it may help.
    pub(in crate::net) async fn ask(
        &self,
        server: &Server,
        access: &Access<'_>,
        asking: &Asking<'_>,
    ) -> Result<Response, NetError> {
        self.client.retrying(async || self.once(server, access, asking).await).await
    }

    /// `SCHEME://HOST/v2/`. A server on this machine that nobody called plain is tried by TLS first, as Docker does.
    async fn base(&self, server: &Server, access: &Access<'_>) -> Result<Url, NetError> {
        let of = |scheme: &str| {
            let url = format!("{scheme}://{}/v2/", server.api);
            Url::parse(&url).map_err(|_| NetError::Url { url })
        };
        if server.is_plain {
            return of("http");
        }
        if !is_loopback(&server.api) {
            return of("https");
        }
        let known = lock(&self.schemes).get(&server.api).copied();
        if let Some(scheme) = known {
            return of(scheme);
        }
        let secure = of("https")?;
        let request = Request::new(Method::GET, secure.clone(), "its API");
        let scheme = match self.client.once(&request).await {
            Ok(response) => {
                if response.status() == 401 {
                    self.auth.learn(&access.scope, response.headers(), None);
                }
                "https"
            }
            // Nobody is there, perhaps not yet: nothing is known.
            Err(NetError::Unreachable { cause, .. }) if cause.contains("refused") => return of("http"),
            Err(NetError::NotTls { .. } | NetError::Unreachable { .. }) => "http",
            Err(_) => "https",
        };
        lock(&self.schemes).insert(server.api.clone(), scheme);
        of(scheme)
    }
}

impl Mirror {
    fn server(&self) -> Server {
        let (api, prefix) = self.host.split_once('/').unwrap_or((&self.host, ""));
        let prefix = if prefix.is_empty() { String::new() } else { format!("{}/", prefix.trim_matches('/')) };
        let (host, is_plain) = (api.to_owned(), self.insecure);
        Server { host, api: api_host(api).to_owned(), prefix, is_plain }
    }
}

impl Server {
    /// What is to be done there in the repository of `image`.
    pub(in crate::net) fn access<'a>(&self, image: &Reference, may: May, cancel: &'a Cancel) -> Access<'a> {
        let repository = format!("{}{}", self.prefix, image.repository);
        Access { scope: Scope { host: self.host.clone(), repository, may, from: None }, cancel }
    }
}

pub(in crate::net) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

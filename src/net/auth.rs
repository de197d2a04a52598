//! Who we are to each registry, told only when it asks: the first request goes without, and what its `401` wants is
//! remembered for the host. Tokens are kept in memory for as long as they last, and passwords go only where the registry
//! sends us.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;

use crate::base::cancel::Cancel;
use crate::net::challenge::{self, Challenge};
use crate::net::credentials::{Credential, Credentials, Login, Places, Used};
use crate::net::error::NetError;
use crate::net::http::{Body, Client, Request};
use crate::net::reference::is_loopback;

const LONGEST_ANSWER: u64 = 1 << 20;
/// Where a token does not say how long it lasts (token authentication specification).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

pub(in crate::net) struct Auth {
    credentials: Credentials,
    /// By host.
    challenges: Mutex<HashMap<String, Challenge>>,
    tokens: Mutex<HashMap<Scope, Token>>,
    /// By host: who come at the same time share what the first of them gets.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// What is to be done at a registry, and until when it may be waited for.
pub(in crate::net) struct Access<'a> {
    pub(in crate::net) scope: Scope,
    pub(in crate::net) cancel: &'a Cancel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::net) struct Scope {
    /// As users name it: `docker.io`.
    pub(in crate::net) host: String,
    pub(in crate::net) repository: String,
    pub(in crate::net) may: May,
    /// Another repository, that is read from.
    pub(in crate::net) from: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::net) enum May {
    Pull,
    PullAndPush,
}

struct Token {
    header: HeaderValue,
    used: Used,
    until: Instant,
}

/// What to send with a request.
pub(in crate::net) struct Authorization {
    pub(in crate::net) header: Option<HeaderValue>,
    pub(in crate::net) used: Used,
    /// A `401` to it may only mean that nothing was asked for yet, or that a token is no longer good.
    pub(in crate::net) is_a_try: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(alias = "access_token")]
    token: Option<String>,
    expires_in: Option<u64>,
}

impl Auth {
    pub(in crate::net) fn new(places: Places) -> Auth {
        let (challenges, tokens, turns) = (Mutex::default(), Mutex::default(), Mutex::default());
        Auth { credentials: Credentials::new(places), challenges, tokens, turns }
    }

    /// Gets a token where one is needed. `server` is where the request goes to.
    pub(in crate::net) async fn authorize(
        &self,
        client: &Client,
        server: &Url,
        access: &Access<'_>,
    ) -> Result<Authorization, NetError> {
        let scope = &access.scope;
        let challenge = lock(&self.challenges).get(&scope.host).cloned();
        let Some(challenge) = challenge else {
            return Ok(Authorization { header: None, used: Used::Anonymous, is_a_try: true });
        };
        let turn = lock(&self.turns).entry(scope.host.clone()).or_default().clone();
        let _turn = turn.lock().await;
        if let Some((header, used)) = self.kept(scope) {
            return Ok(Authorization { header: Some(header), used, is_a_try: true });
        }
        let credential = self.credentials.find(&scope.host, &scope.repository, access.cancel)?;
        let used = credential.as_ref().map_or(Used::Anonymous, |credential| credential.from.clone());
        let header = match &challenge {
            Challenge::Basic => credential.and_then(|credential| basic(&credential.login)),
            Challenge::Bearer { realm, service } => {
                let service = TokenService { realm, service: service.as_deref(), server };
                let token = service.ask(client, scope, credential.as_ref(), &used).await?;
                let header = token.header.clone();
                lock(&self.tokens).insert(scope.clone(), token);
                Some(header)
            }
        };
        Ok(Authorization { header, used, is_a_try: false })
    }

    /// Remembers what a `401` asks for; whether it asks for anything that can be given. Only the token that was `sent`
    /// is no longer good: another thread may have a newer one.
    pub(in crate::net) fn learn(
        &self,
        scope: &Scope,
        headers: &HeaderMap,
        sent: Option<&HeaderValue>,
    ) -> bool {
        lock(&self.tokens).retain(|_, known| sent != Some(&known.header));
        let asked =
            headers.get_all(header::WWW_AUTHENTICATE).into_iter().filter_map(|value| value.to_str().ok());
        let challenge = challenge::choose(asked);
        let is_there = challenge.is_some();
        challenge.map(|challenge| lock(&self.challenges).insert(scope.host.clone(), challenge));
        is_there
    }

    /// A token for more than what is needed is good too.
    fn kept(&self, scope: &Scope) -> Option<(HeaderValue, Used)> {
        let tokens = lock(&self.tokens);
        let (_, token) =
            tokens.iter().find(|(known, token)| known.covers(scope) && token.until > Instant::now())?;
        Some((token.header.clone(), token.used.clone()))
    }
}

impl Scope {
    /// Whether who may do this may do that.
    fn covers(&self, other: &Scope) -> bool {
        self.host == other.host
            && self.repository == other.repository
            && self.may >= other.may
            && (other.from.is_none() || self.from == other.from)
    }

    /// As token services read them.
    fn texts(&self) -> Vec<String> {
        let may = match self.may {
            May::Pull => "pull",
            May::PullAndPush => "pull,push",
        };
        let own = format!("repository:{}:{may}", self.repository);
        let from = self.from.as_ref().map(|from| format!("repository:{from}:pull"));
        std::iter::once(own).chain(from).collect()
    }
}

struct TokenService<'a> {
    realm: &'a str,
    service: Option<&'a str>,
    server: &'a Url,
}

impl TokenService<'_> {
    async fn ask(
        &self,
        client: &Client,
        scope: &Scope,
        credential: Option<&Credential>,
        used: &Used,
    ) -> Result<Token, NetError> {
        let what = format!("a token for `{}`", scope.repository);
        let url = self.url(scope, &what)?;
        let texts = scope.texts();
        let form;
        let mut request = match credential.map(|credential| &credential.login) {
            Some(Login::IdentityToken(identity)) => {
                form = self.form(&texts, &identity.0);
                let mut request = Request::new(Method::POST, url, &what);
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                request.headers.insert(header::CONTENT_TYPE, kind);
                request.body = Body::Bytes(form.as_bytes());
                request
            }
            login => {
                let mut request = Request::new(Method::GET, self.with_query(url, &texts, login), &what);
                let header = login.and_then(basic);
                header.map(|header| request.headers.insert(header::AUTHORIZATION, header));
                request
            }
        };
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let mut response = client.once(&request).await?;
        if !response.status().is_success() {
            response.host.clone_from(&scope.host);
            response.used = used.clone();
            return Err(response.refusal().await);
        }
        let answer = serde_json::from_slice::<Answer>(&response.whole(LONGEST_ANSWER).await?).ok();
        let life =
            answer.as_ref().and_then(|answer| answer.expires_in).map_or(DEFAULT_LIFE, Duration::from_secs);
        let header = answer.and_then(|answer| secret_header(&format!("Bearer {}", answer.token?)));
        let header = header.ok_or_else(|| self.malformed(scope, &what, "it holds no token"))?;
        // Not used to the very end, since clocks and networks differ.
        let until = Instant::now() + life.min(Duration::from_secs(86_400)).mul_f32(0.9);
        Ok(Token { header, used: used.clone(), until })
    }

    /// A registry that is asked safely must not send passwords to where they can be read.
    fn url(&self, scope: &Scope, what: &str) -> Result<Url, NetError> {
        let url = Url::parse(self.realm)
            .map_err(|_| self.malformed(scope, what, "its token service has no URL"))?;
        let is_safe = url.scheme() == "https"
            || url.scheme() == "http"
                && (self.server.scheme() == "http" || is_loopback(url.host_str().unwrap_or_default()));
        if is_safe {
            Ok(url)
        } else {
            Err(self.malformed(scope, what, "its token service is not asked over HTTPS"))
        }
    }

    fn with_query(&self, mut url: Url, scopes: &[String], login: Option<&Login>) -> Url {
        let mut query = url.query_pairs_mut();
        self.service.map(|service| query.append_pair("service", service));
        scopes.iter().for_each(|scope| {
            query.append_pair("scope", scope);
        });
        if let Some(Login::Password { user, .. }) = login {
            query.append_pair("account", user);
        }
        drop(query);
        url
    }

    /// The body of an OAuth 2 request (RFC 6749, 6), made by the rules of a query.
    fn form(&self, scopes: &[String], identity: &str) -> String {
        let mut url = self.server.clone();
        url.query_pairs_mut()
            .clear()
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", identity)
            .append_pair("client_id", "memobuild")
            .append_pair("service", self.service.unwrap_or_default())
            .append_pair("scope", &scopes.join(" "));
        url.query().unwrap_or_default().to_owned()
    }

    fn malformed(&self, scope: &Scope, what: &str, why: &str) -> NetError {
        NetError::Malformed { host: scope.host.clone(), what: what.to_owned(), why: why.to_owned() }
    }
}

/// `None` where the login is no password.
fn basic(login: &Login) -> Option<HeaderValue> {
    let Login::Password { user, password } = login else { return None };
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{}", password.0));
    secret_header(&format!("Basic {pair}"))
}

/// Marked so that nothing prints it.
fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(may: May, from: Option<&str>) -> Scope {
        let (host, repository) = ("h.io".to_owned(), "a/b".to_owned());
        Scope { host, repository, may, from: from.map(str::to_owned) }
    }

    #[test]
    fn scopes() {
        for (scope, expected) in [
            (scope(May::Pull, None), vec!["repository:a/b:pull"]),
            (scope(May::PullAndPush, Some("c")), vec!["repository:a/b:pull,push", "repository:c:pull"]),
        ] {
            assert_eq!(scope.texts(), expected);
        }
    }

    #[test]
    fn wider_tokens_are_good_too() {
        let (pull, push) = (|from| scope(May::Pull, from), |from| scope(May::PullAndPush, from));
        for (known, wanted, expected) in [
            (pull(None), pull(None), true),
            (push(None), pull(None), true),
            (push(Some("c")), push(None), true),
            (pull(None), push(None), false),
            (push(None), push(Some("c")), false),
            (push(Some("d")), push(Some("c")), false),
        ] {
            assert_eq!(known.covers(&wanted), expected, "{known:?} {wanted:?}");
        }
        assert!(!Scope { host: "i.io".to_owned(), ..pull(None) }.covers(&pull(None)));
    }

    #[test]
    fn passwords_go_to_no_open_service() {
        for (realm, server, expected) in [
            ("https://auth.io/t", "https://h.io/", true),
            ("http://auth.io/t", "https://h.io/", false),
            ("http://127.0.0.1:5001/t", "https://h.io/", true),
            ("http://auth.io/t", "http://h.io/", true),
            ("file:///etc/passwd", "http://h.io/", false),
            ("token", "https://h.io/", false),
        ] {
            let server = Url::parse(server).unwrap();
            let service = TokenService { realm, service: None, server: &server };
            assert_eq!(service.url(&scope(May::Pull, None), "x").is_ok(), expected, "{realm}");
        }
    }

    #[test]
    fn what_a_token_service_is_asked() {
        let server = Url::parse("https://h.io/v2/").unwrap();
        let service = TokenService { realm: "https://a.io/t?x=1", service: Some("r s"), server: &server };
        let login = Login::Password {
            user: "u&v".to_owned(),
            password: crate::net::credentials::Secret("p".to_owned()),
        };
        let scopes = scope(May::PullAndPush, Some("c")).texts();
        let url = service.with_query(Url::parse(service.realm).unwrap(), &scopes, Some(&login));
        let scope = "scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ac%3Apull";
        assert_eq!(url.as_str(), format!("https://a.io/t?x=1&service=r+s&{scope}&account=u%26v"));
        let form = service.form(&scopes, "i=d");
        let scope = "repository%3Aa%2Fb%3Apull%2Cpush+repository%3Ac%3Apull";
        let start = "grant_type=refresh_token&refresh_token=i%3Dd&client_id=memobuild&service=r+s";
        assert_eq!(form, format!("{start}&scope={scope}"));
        assert_eq!(basic(&login).unwrap(), "Basic dSZ2OnA=");
        assert!(!format!("{:?}", basic(&login)).contains("dSZ2OnA"));
    }
}

//! Blobs and files that come through a bad network: what is complete is right, and what came is not asked for again.

use std::time::{Duration, Instant};

use memobuild::base::cancel::Cancel;
use memobuild::base::digest::OciDigest;
use memobuild::net::download::{Got, Wanted};
use memobuild::net::error::NetError;
use memobuild::net::http::Client;
use memobuild::net::reference::Reference;
use memobuild::net::registry::Registries;
use memobuild::net::traffic::Traffic;

use crate::registry::proxy::{Fault, Proxy, Seen};
use crate::registry::sample::{Sample, named};
use crate::registry::server::{Kind, Registry, quick_settings, registries};

const SIZE: usize = 1_000_000;

/// An image in a registry, and the bad way to it.
struct Bench {
    _registry: Registry,
    proxy: Proxy,
    registries: Registries,
    image: Reference,
    sample: Sample,
}

impl Bench {
    fn new() -> Option<Bench> {
        let registry = Registry::start(Kind::Plain)?;
        let proxy = Proxy::start(registry.port);
        let (image, sample) = (named(&proxy.host(), "team/app:v1"), Sample::new(SIZE));
        let registries = registries(registry.settings_by(&proxy.host()));
        sample.push(&registries, &image).unwrap();
        proxy.forget();
        Some(Bench { _registry: registry, proxy, registries, image, sample })
    }

    fn pull(&self) -> Result<Vec<u8>, NetError> {
        self.sample.pull_layer(&self.registries, &self.image)
    }

    /// From here on, only this is spoiled, and only what is asked now is seen.
    fn spoil_only(&self, times: usize, fault: Fault) {
        self.proxy.forget_rules();
        self.proxy.forget();
        self.spoil(times, fault);
    }

    fn spoil(&self, times: usize, fault: Fault) {
        self.proxy.spoil(times, "GET", "/blobs/", fault);
    }

    /// All of it comes, and is right.
    fn comes(&self) -> Vec<Seen> {
        assert!(self.pull().unwrap() == self.sample.layer);
        self.proxy.seen()
    }

    fn url(&self) -> String {
        format!("http://{}/v2/team/app/blobs/{}", self.proxy.host(), self.sample.layer_digest())
    }

    fn download(&self, out: &mut Vec<u8>, digest: Option<OciDigest>) -> Result<Got, NetError> {
        let client = Client::new(quick_settings().http, Traffic::default()).unwrap();
        let wanted = Wanted { url: &self.url(), size: None, digest, limit: SIZE as u64 };
        client.download(&wanted, out, &Cancel::default())
    }
}

#[test]
fn what_came_is_not_asked_for_again() {
    let Some(bench) = Bench::new() else { return };
    for fault in [Fault::Reset, Fault::Truncate, Fault::Stall] {
        bench.spoil_only(2, fault(300_000));
        let seen = bench.comes();
        assert_eq!(seen.len(), 3, "{seen:?}");
        let answered: usize = seen.iter().map(|seen| seen.answered).sum();
        // A reset may take with it what was on its way.
        assert!((SIZE..SIZE + 600_000).contains(&answered), "{answered}");
        assert!(seen[0].range.is_none());
        for seen in &seen[1..] {
            let start: usize =
                seen.range.as_ref().unwrap()["bytes=".len()..].trim_end_matches('-').parse().unwrap();
            assert!(start > 0 && start <= 600_000, "{seen:?}");
        }
        if let Fault::Truncate(_) = fault(0) {
            assert_eq!(answered, SIZE, "all that arrived was kept");
        }
    }
}

#[test]
fn a_server_without_ranges_begins_again() {
    let Some(bench) = Bench::new() else { return };
    bench.spoil(1, Fault::Truncate(300_000));
    bench.spoil(1, Fault::NoRange);
    let seen = bench.comes();
    assert_eq!(seen.iter().map(|seen| seen.answered).collect::<Vec<_>>(), [300_000, SIZE]);
}

#[test]
fn no_wrong_byte_is_accepted() {
    let Some(bench) = Bench::new() else { return };
    for at in [0, SIZE / 2, SIZE - 1] {
        bench.spoil_only(1, Fault::Flip(at));
        let error = bench.pull().unwrap_err();
        assert!(matches!(error, NetError::WrongDigest { .. }) && error.is_of_content(), "{error}");
        bench.comes();
        bench.proxy.spoil(2, "GET", "/manifests/", Fault::Flip(at % 100));
        for image in [bench.image.clone(), bench.image.at(bench.sample.digest())] {
            let error = bench.registries.manifest(&image, &Cancel::default()).unwrap_err();
            assert!(matches!(error, NetError::WrongDigest { .. }), "{error}");
        }
    }
}

#[test]
fn what_passes_is_waited_for() {
    let Some(bench) = Bench::new() else { return };
    let server = |status: &str| Fault::Answer(status.to_owned());
    for (times, fault, expected, least) in [
        (2, server("500 Internal Server Error"), "GET 500, GET 500, GET 200", 0),
        (1, server("503 Service Unavailable"), "GET 503, GET 200", 0),
        (1, server("429 Too Many Requests\r\nRetry-After: 1"), "GET 429, GET 200", 1000),
        (1, Fault::Unheard, "GET 0, GET 200", 0),
        (1, Fault::Slow(Duration::from_millis(2)), "GET 200", 0),
    ] {
        let started = Instant::now();
        bench.spoil_only(times, fault);
        bench.comes();
        assert_eq!(bench.proxy.outcomes("").join(", "), expected);
        assert!(started.elapsed() >= Duration::from_millis(least), "{expected}");
    }
}

#[test]
fn what_does_not_pass_is_told() {
    let Some(bench) = Bench::new() else { return };
    for (answer, expected, requests) in [
        ("500 Internal Server Error", "HOST answered 500 for the blob DIGEST of `HOST/team/app`", 4),
        ("404 Not Found", "HOST does not have the blob DIGEST of `HOST/team/app`", 1),
        ("403 Forbidden", "HOST refuses the blob DIGEST of `HOST/team/app` anonymously", 1),
        ("418 I'm a teapot", "HOST answered 418 for the blob DIGEST of `HOST/team/app`", 1),
        (
            "429 Too Many Requests\r\nRetry-After: 3600",
            "HOST gets too many requests, and says to wait 3600 seconds",
            1,
        ),
    ] {
        bench.spoil_only(usize::MAX, Fault::Answer(answer.to_owned()));
        let error = bench.pull().unwrap_err().to_string();
        let error = error.replace(&bench.proxy.host(), "HOST");
        assert_eq!(error.replace(&bench.sample.layer_digest().to_string(), "DIGEST"), expected);
        assert_eq!(bench.proxy.seen().len(), requests, "{answer}");
    }
}

/// Some servers only give, and don't look up.
#[test]
fn a_name_is_looked_up_without_head() {
    let Some(bench) = Bench::new() else { return };
    bench.proxy.spoil(1, "HEAD", "/manifests/", Fault::Answer("405 Method Not Allowed".to_owned()));
    let found = bench.registries.resolve(&bench.image, &Cancel::default()).unwrap();
    assert_eq!((found.digest, found.size), (bench.sample.digest(), bench.sample.manifest.len() as u64));
    assert_eq!(bench.proxy.outcomes("").join(", "), "HEAD 405, GET 200");
}

#[test]
fn a_server_that_goes_silent() {
    let Some(bench) = Bench::new() else { return };
    bench.spoil(usize::MAX, Fault::Stall(0));
    let error = bench.pull().unwrap_err();
    assert!(matches!(error, NetError::Stalled { .. }), "{error}");
}

#[test]
fn a_cancel_ends_every_wait() {
    let Some(bench) = Bench::new() else { return };
    let mut settings = quick_settings();
    settings.plain_http = [bench.proxy.host()].into();
    settings.http.patience.stall = Duration::from_secs(60);
    settings.http.patience.first_pause = Duration::from_secs(60);
    settings.http.patience.longest_pause = Duration::from_secs(60);
    for fault in [Fault::Stall(100), Fault::Answer("503 Busy".to_owned())] {
        bench.spoil(1, fault);
        let (cancel, started) = (Cancel::default(), Instant::now());
        let (other, registries) = (cancel.clone(), registries(settings.clone()));
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            other.raise();
        });
        let (digest, mut out) = (bench.sample.layer_digest(), Vec::new());
        let ended = registries.blob(&bench.image, digest, SIZE as u64, &mut out, &cancel);
        assert!(matches!(ended, Err(NetError::Cancelled)));
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn files_of_urls() {
    let Some(bench) = Bench::new() else { return };
    let all = Got { size: SIZE as u64, digest: bench.sample.layer_digest() };
    // The registry's tags of versions are strong, so that it goes on without knowing the digest.
    bench.spoil(1, Fault::Truncate(300_000));
    let mut out = Vec::new();
    assert_eq!(bench.download(&mut out, None).unwrap(), all);
    assert!(out == bench.sample.layer);
    assert_eq!(bench.proxy.seen().iter().map(|seen| seen.answered).sum::<usize>(), SIZE);
    let client = Client::new(quick_settings().http, Traffic::default()).unwrap();
    let url = bench.url().replace("http://", "http://user:secret@");
    let small = Wanted { url: &url, size: None, digest: None, limit: 10 };
    let error = client.download(&small, &mut Vec::new(), &Cancel::default()).unwrap_err();
    assert!(matches!(error, NetError::TooLarge { limit: 10, .. }), "{error}");
    assert!(!error.to_string().contains("secret"));
    let short = Wanted { url: &bench.url(), size: Some(10), digest: None, limit: 100 };
    let error = client.download(&short, &mut Vec::new(), &Cancel::default()).unwrap_err();
    assert!(matches!(error, NetError::WrongSize { expected: 10, .. }), "{error}");
}

/// Without ranges, what comes again is compared with what is written.
#[test]
fn a_file_that_changes_while_it_comes() {
    let Some(bench) = Bench::new() else { return };
    bench.spoil(1, Fault::Truncate(300_000));
    bench.spoil(1, Fault::Flip(0));
    let other = Proxy::start(bench.proxy.port);
    let url = bench.url().replace(&bench.proxy.host(), &other.host());
    other.spoil(2, "GET", "/blobs/", Fault::NoRange);
    let client = Client::new(quick_settings().http, Traffic::default()).unwrap();
    let wanted = Wanted { url: &url, size: None, digest: None, limit: SIZE as u64 };
    let error = client.download(&wanted, &mut Vec::new(), &Cancel::default()).unwrap_err();
    assert!(matches!(error, NetError::Changed { .. }) && error.is_of_content(), "{error:?}");
}

/// What is meant for one server is not shown to another.
#[test]
fn redirects_are_followed_without_credentials() {
    let Some(registry) = Registry::start(Kind::Basic) else { return };
    let Some(store) = Bench::new() else { return };
    let proxy = Proxy::start(registry.port);
    let image = named(&proxy.host(), "team/app:v1");
    let registries = registries(registry.settings_by(&proxy.host()));
    store.sample.push(&registries, &image).unwrap();
    proxy.forget();
    let to = |location: &str| Fault::Answer(format!("307 Temporary Redirect\r\nLocation: {location}"));
    proxy.spoil(1, "GET", "/blobs/", to(&store.url()));
    assert!(store.sample.pull_layer(&registries, &image).unwrap() == store.sample.layer);
    assert!(proxy.seen()[0].authorization.is_some());
    assert!(store.proxy.seen()[0].authorization.is_none());
    for (location, expected) in
        [("/v2/team/app/blobs/x", "in circles"), ("file:///etc/passwd", "no URL of http")]
    {
        proxy.spoil(20, "GET", "/blobs/", to(location));
        let error = store.sample.pull_layer(&registries, &image).unwrap_err();
        assert!(
            matches!(error, NetError::Redirect { .. }) && error.to_string().contains(expected),
            "{error}"
        );
        proxy.forget_rules();
    }
}

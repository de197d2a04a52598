//! Uploads through a bad network: they go on or begin anew, and what the registry then has is what was sent.

use memobuild::base::cancel::Cancel;
use memobuild::net::error::NetError;
use memobuild::net::reference::Reference;
use memobuild::net::registry::Registries;

use crate::registry::ledger::Ledger;
use crate::registry::proxy::{Fault, Proxy};
use crate::registry::sample::{MANIFEST, Sample, named, upload};
use crate::registry::server::{Kind, Registry, quick_settings, registries};

const SIZE: usize = 1_000_000;

struct Bench {
    registry: Registry,
    proxy: Proxy,
    registries: Registries,
    image: Reference,
    sample: Sample,
}

impl Bench {
    fn new(kind: Kind) -> Option<Bench> {
        let registry = Registry::start(kind)?;
        let proxy = Proxy::start(registry.port);
        let registries = registries(registry.settings_by(&proxy.host()));
        let image = named(&proxy.host(), "team/app:v1");
        Some(Bench { registry, proxy, registries, image, sample: Sample::new(SIZE) })
    }

    /// It arrives, and nothing else does; gives the requests.
    fn arrives(&self) -> Vec<String> {
        upload(&self.registries, &self.image, &self.sample.layer).unwrap();
        let digest = self.sample.layer_digest();
        assert!(self.registry.blob_file(&digest.to_string()).unwrap() == self.sample.layer);
        self.proxy.outcomes("")
    }
}

#[test]
fn an_upload_that_breaks_arrives_all_the_same() {
    let Some(mut bench) = Bench::new(Kind::Token) else { return };
    let server = |status: &str| Fault::Answer(status.to_owned());
    for (times, method, fault) in [
        (2, "PATCH", Fault::SentReset(300_000)),
        (1, "PATCH", Fault::Unheard),
        (1, "PATCH", Fault::SentFlip(500_000)),
        (1, "PATCH", server("503 Busy")),
        (1, "PATCH", server("404 Not Found")),
        (2, "POST", server("500 Trouble")),
        (1, "POST", Fault::Unheard),
        (1, "PUT", server("502 Bad Gateway")),
    ] {
        // What is there already would arrive too easily.
        bench.sample = Sample::new(bench.sample.layer.len() + 1);
        bench.proxy.forget_rules();
        bench.proxy.forget();
        bench.proxy.spoil(times, method, "/blobs/uploads/", fault.clone());
        let outcomes = bench.arrives();
        assert_eq!(outcomes.last().unwrap(), "PUT 201", "{fault:?} {outcomes:?}");
    }
}

/// The registry has it, but we could not hear that.
#[test]
fn an_end_that_is_not_heard() {
    let Some(bench) = Bench::new(Kind::Plain) else { return };
    bench.proxy.spoil(1, "PUT", "/blobs/uploads/", Fault::Unheard);
    assert_eq!(bench.arrives().join(", "), "POST 202, PATCH 202, PUT 0, HEAD 200");
}

/// The registry still knows all that came before the break.
#[test]
fn an_upload_goes_on_where_it_stands() {
    let Some(bench) = Bench::new(Kind::Plain) else { return };
    bench.proxy.spoil(1, "PUT", "/blobs/uploads/", Fault::Answer("503 Busy".to_owned()));
    assert_eq!(bench.arrives().join(", "), "POST 202, PATCH 202, PUT 503, HEAD 404, GET 204, PUT 201");
    let sent: usize = bench.proxy.seen().iter().map(|seen| seen.sent).sum();
    assert_eq!(sent, SIZE);
}

#[test]
fn what_arrived_is_not_sent_again() {
    let ledger = Ledger::start();
    let proxy = Proxy::start(ledger.port);
    let mut settings = quick_settings();
    settings.plain_http = [proxy.host()].into();
    let sample = Sample::new(SIZE);
    // More often than it would try without getting further.
    proxy.spoil(9, "PATCH", "/session", Fault::SentReset(100_000));
    upload(&registries(settings), &named(&proxy.host(), "app:v1"), &sample.layer).unwrap();
    assert!(ledger.bytes() == sample.layer);
    let sent: usize = proxy.seen().iter().map(|seen| seen.sent).sum();
    assert_eq!(sent, SIZE);
    let rounds = "PATCH 0, GET 204, ".repeat(9);
    assert_eq!(proxy.outcomes("").join(", "), format!("POST 202, {rounds}PATCH 202, PUT 201"));
}

#[test]
fn an_upload_that_cannot_arrive_says_why() {
    let Some(bench) = Bench::new(Kind::Plain) else { return };
    bench.proxy.spoil(usize::MAX, "PATCH", "/blobs/uploads/", Fault::SentFlip(5));
    let error = upload(&bench.registries, &bench.image, &bench.sample.layer).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(" answered 400 for the upload of sha256:") && text.contains(", saying \""),
        "{text}"
    );
    assert!(bench.registry.blob_file(&bench.sample.layer_digest().to_string()).is_none());
    bench.proxy.forget_rules();
    bench.proxy.spoil(usize::MAX, "POST", "/blobs/uploads/", Fault::Answer("403 Forbidden".to_owned()));
    let error = upload(&bench.registries, &bench.image, &bench.sample.layer).unwrap_err();
    assert!(matches!(error, NetError::Denied { .. }), "{error}");
}

#[test]
fn what_is_sent_cannot_be_read() {
    let Some(bench) = Bench::new(Kind::Plain) else { return };
    let open = |_: u64| -> std::io::Result<Box<dyn std::io::Read + Send>> { Ok(Box::new(std::io::empty())) };
    let digest = bench.sample.layer_digest();
    let ended = bench.registries.upload(&bench.image, digest, 10, &open, &Cancel::default());
    assert!(matches!(ended, Err(NetError::Read { .. })), "{ended:?}");
}

/// Where nothing can be mounted, the upload that the registry began instead is used.
#[test]
fn a_mount_that_fails_costs_no_request() {
    let Some(bench) = Bench::new(Kind::Plain) else { return };
    let digest = bench.sample.layer_digest();
    assert!(!bench.registries.mount(&bench.image, digest, "not/there", &Cancel::default()).unwrap());
    assert_eq!(bench.arrives().join(", "), "POST 202, PATCH 202, PUT 201");
}

#[test]
fn a_manifest_that_breaks_leaves_no_wrong_tag() {
    let Some(bench) = Bench::new(Kind::Plain) else { return };
    let (cancel, sample) = (Cancel::default(), &bench.sample);
    upload(&bench.registries, &bench.image, &sample.config).unwrap();
    let put = || bench.registries.put_manifest(&bench.image, MANIFEST, &sample.manifest, &cancel);
    let early = put().unwrap_err();
    assert!(early.to_string().contains(", saying \""), "its layer is not there: {early}");
    assert!(matches!(bench.registries.resolve(&bench.image, &cancel), Err(NetError::NotFound { .. })));
    upload(&bench.registries, &bench.image, &sample.layer).unwrap();
    bench.proxy.spoil(1, "PUT", "/manifests/", Fault::SentReset(20));
    bench.proxy.spoil(1, "PUT", "/manifests/", Fault::Unheard);
    assert_eq!(put().unwrap(), sample.digest());
    assert_eq!(bench.registries.resolve(&bench.image, &cancel).unwrap().digest, sample.digest());
}

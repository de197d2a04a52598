//! Mirrors: asked first, believed only as far as digests go, and left alone once they fail.

use memobuild::base::cancel::Cancel;
use memobuild::net::error::NetError;
use memobuild::net::registry::Registries;
use memobuild::net::settings::Mirror;

use crate::registry::proxy::{Fault, Proxy};
use crate::registry::sample::{Sample, named};
use crate::registry::server::{Kind, Registry, registries};

struct Bench {
    origin: (Registry, Proxy),
    mirror: (Registry, Proxy),
    registries: Registries,
    sample: Sample,
}

impl Bench {
    fn new() -> Option<Bench> {
        let server = || {
            let registry = Registry::start(Kind::Plain)?;
            let proxy = Proxy::start(registry.port);
            Some((registry, proxy))
        };
        let (origin, mirror) = (server()?, server()?);
        let mut settings = origin.0.settings_by(&origin.1.host());
        let mirrors = vec![Mirror { host: format!("{}/copies", mirror.1.host()), insecure: true }];
        settings.mirrors = [(origin.1.host(), mirrors)].into();
        let sample = Sample::new(200_000);
        sample.push(&origin.0.registries(), &named(&origin.0.host(), "app:v1")).unwrap();
        Some(Bench { origin, mirror, registries: registries(settings), sample })
    }

    /// Into the mirror, below its prefix.
    fn fill(&self) {
        let image = named(&self.mirror.0.host(), "copies/app:v1");
        self.sample.push(&self.mirror.0.registries(), &image).unwrap();
    }

    fn resolves(&self) {
        let image = named(&self.origin.1.host(), "app:v1");
        let found = self.registries.resolve(&image, &Cancel::default()).unwrap();
        assert_eq!(found.digest, self.sample.digest());
    }

    fn pull(&self) -> Result<(), NetError> {
        let image = named(&self.origin.1.host(), "app:v1");
        assert!(self.sample.pull_layer(&self.registries, &image)? == self.sample.layer);
        Ok(())
    }

    fn requests(&self) -> (usize, usize) {
        (self.mirror.1.seen().len(), self.origin.1.seen().len())
    }
}

#[test]
fn a_mirror_stands_for_its_registry() {
    let Some(bench) = Bench::new() else { return };
    bench.fill();
    bench.resolves();
    bench.pull().unwrap();
    assert_eq!(bench.requests(), (2, 0));
}

#[test]
fn what_a_mirror_lacks_comes_from_the_registry() {
    let Some(bench) = Bench::new() else { return };
    bench.resolves();
    bench.pull().unwrap();
    assert_eq!(bench.requests(), (2, 2));
}

#[test]
fn a_mirror_that_breaks_is_left_alone() {
    let Some(bench) = Bench::new() else { return };
    bench.fill();
    bench.mirror.1.spoil(1, "GET", "/blobs/", Fault::Truncate(50_000));
    bench.mirror.1.spoil(usize::MAX, "GET", "/blobs/", Fault::Answer("500 Trouble".to_owned()));
    bench.pull().unwrap();
    let seen = bench.origin.1.seen();
    assert_eq!(seen[0].range.as_deref(), Some("bytes=50000-"), "what the mirror gave is kept");
    let (before, _) = bench.requests();
    bench.pull().unwrap();
    assert_eq!(bench.requests(), (before, 2));
}

#[test]
fn a_mirror_that_lies_is_asked_once() {
    let Some(bench) = Bench::new() else { return };
    bench.fill();
    bench.mirror.1.spoil(1, "GET", "/blobs/", Fault::Flip(7));
    let error = bench.pull().unwrap_err();
    assert!(error.is_of_content() && error.to_string().contains(&bench.mirror.1.host()), "{error}");
    bench.pull().unwrap();
    assert_eq!(bench.requests(), (1, 1));
}

#[test]
fn both_are_told_of_where_both_fail() {
    let Some(bench) = Bench::new() else { return };
    bench.mirror.1.spoil(usize::MAX, "GET", "/blobs/", Fault::Answer("418 Teapot".to_owned()));
    bench.origin.1.spoil(usize::MAX, "GET", "/blobs/", Fault::Answer("403 Forbidden".to_owned()));
    let error = bench.pull().unwrap_err().to_string();
    assert!(error.contains(" refuses the blob ") && error.contains("; its mirror failed too: "), "{error}");
    assert!(error.contains(" answered 418 for "), "{error}");
}

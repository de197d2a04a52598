//! Each way in which a registry asks who we are: with it images are pushed and pulled; without it one clear sentence says
//! what was tried.

use std::fs;

use memobuild::base::cancel::Cancel;
use memobuild::net::error::NetError;

use crate::registry::certificates;
use crate::registry::proxy::Proxy;
use crate::registry::sample::{MANIFEST, Sample, named, upload};
use crate::registry::server::{Kind, PASSWORD, Registry, USER, login, quick_settings, registries};
use crate::registry::tokens::IDENTITY;
use crate::space::tool;

/// All that there is to do at a registry.
fn round_trip(kind: Kind) {
    let Some(registry) = Registry::start(kind) else { return };
    let (registries, cancel) = (registry.registries(), Cancel::default());
    let (image, sample) = (named(&registry.host(), "team/app:v1"), Sample::new(100_000));
    let layer = sample.layer_digest();
    assert!(matches!(registries.resolve(&image, &cancel), Err(NetError::NotFound { .. })), "{kind:?}");
    assert!(!registries.has_blob(&image, layer, &cancel).unwrap());
    assert_eq!(sample.push(&registries, &image).unwrap(), sample.digest());
    assert!(registries.has_blob(&image, layer, &cancel).unwrap());
    let resolved = registries.resolve(&image, &cancel).unwrap();
    assert_eq!((resolved.digest, resolved.size), (sample.digest(), sample.manifest.len() as u64));
    assert_eq!(resolved.media_type, MANIFEST);
    for name in [image.clone(), image.at(sample.digest())] {
        let manifest = registries.manifest(&name, &cancel).unwrap();
        assert_eq!((manifest.bytes, manifest.media_type.as_str()), (sample.manifest.clone(), MANIFEST));
    }
    assert_eq!(sample.pull_layer(&registries, &image).unwrap(), sample.layer);
    let other = named(&registry.host(), "other/app:v1");
    assert!(!registries.has_blob(&other, layer, &cancel).unwrap());
    assert!(registries.mount(&other, layer, "team/app", &cancel).unwrap(), "{kind:?}");
    assert!(registries.has_blob(&other, layer, &cancel).unwrap());
    upload(&registries, &other, b"").unwrap();
    upload(&registries, &other, b"1").unwrap();
    assert_eq!(registry.blob_file(&layer.to_string()).unwrap(), sample.layer);
}

#[test]
fn plain() {
    round_trip(Kind::Plain);
}

#[test]
fn tls() {
    round_trip(Kind::Tls);
}

#[test]
fn basic() {
    round_trip(Kind::Basic);
}

#[test]
fn token() {
    round_trip(Kind::Token);
}

#[test]
fn what_is_refused_says_who_asked() {
    for kind in [Kind::Basic, Kind::Token] {
        let Some(registry) = Registry::start(kind) else { return };
        let (host, cancel) = (registry.host(), Cancel::default());
        let (image, sample) = (named(&host, "team/app:v1"), Sample::new(10));
        let mut settings = registry.settings();
        settings.credentials.registry_auth_file = None;
        let error = sample.push(&registries(settings.clone()), &image).unwrap_err();
        assert!(matches!(error, NetError::Denied { .. }), "{error}");
        assert!(error.to_string().starts_with(&format!("{host} refuses the upload of sha256:")), "{error}");
        assert!(
            error.to_string().contains("`127.0.0.1:") && error.to_string().contains(" anonymously"),
            "{error}"
        );
        assert_eq!(error.help(), format!("log in: docker login {host}"));
        let file = registry.folder.path().join("wrong.json");
        fs::write(&file, login(&host, USER, "guessed-by-nobody")).unwrap();
        settings.credentials.registry_auth_file = Some(file.clone());
        let error = registries(settings).resolve(&image, &cancel).unwrap_err();
        let with = format!(" with the credentials of `{}`", file.display());
        assert!(error.to_string().contains(&with), "{error}");
        assert!(!format!("{error} {error:?}").contains("guessed"), "{error:?}");
    }
}

#[test]
fn identity_tokens_and_helpers() {
    let Some(registry) = Registry::start(Kind::Token) else { return };
    let (image, sample) = (named(&registry.host(), "team/app:v1"), Sample::new(10));
    let helper = registry.folder.path().join("docker-credential-here");
    let answers = [
        (format!(r#"{{"Username": "<token>", "Secret": "{IDENTITY}"}}"#), "identity"),
        (format!(r#"{{"Username": "{USER}", "Secret": "{PASSWORD}"}}"#), "user"),
    ];
    for (answer, who) in answers {
        let mut settings = registry.settings();
        // Made by another process: what is open for writing anywhere in this one does not start.
        let script = r##"printf '%s\n' '#!/bin/sh' "echo '$1'" >"$2"; chmod 700 "$2""##;
        tool("sh", &["-ec", script, "sh", &answer, helper.to_str().unwrap()]);
        let file = registry.folder.path().join("auth.json");
        fs::write(&file, r#"{"credsStore": "here"}"#).unwrap();
        settings.credentials.registry_auth_file = Some(file);
        settings.credentials.search_path =
            Some(format!("{}:/usr/bin:/bin", registry.folder.path().display()).into());
        sample.push(&registries(settings), &image).unwrap();
        let asked = registry.tokens.as_ref().unwrap().asked();
        assert_eq!(asked.last().unwrap(), &format!("{who} repository:team/app:pull,push"));
    }
    assert_eq!(registry.tokens.as_ref().unwrap().asked().len(), 2, "one token is enough for all of a push");
}

/// A registry on this machine that nobody set may speak either.
#[test]
fn a_registry_on_this_machine_is_tried_by_tls_first() {
    for kind in [Kind::Plain, Kind::Tls] {
        let Some(registry) = Registry::start(kind) else { return };
        let mut settings = registry.settings();
        settings.plain_http.clear();
        let sample = Sample::new(10);
        sample.push(&registries(settings), &named(&registry.host(), "app:v1")).unwrap();
    }
}

#[test]
fn a_server_that_nobody_trusts() {
    let Some(registry) = Registry::start(Kind::Tls) else { return };
    let image = named(&registry.host(), "app:v1");
    let error = registries(quick_settings()).resolve(&image, &Cancel::default()).unwrap_err();
    assert!(matches!(error, NetError::Certificate { .. }), "{error:?}");
    assert!(error.help().contains(&format!("/etc/containers/certs.d/{}/ca.crt", registry.host())));
}

#[test]
fn a_certificate_of_our_own() {
    let Some(registry) = Registry::start(Kind::Mutual) else { return };
    let (image, sample, settings) = (named(&registry.host(), "app:v1"), Sample::new(10), registry.settings());
    let error = sample.push(&registries(settings.clone()), &image).unwrap_err();
    // A connection that is reset may take with it what the server said.
    assert!(matches!(error, NetError::OwnCertificate { .. } | NetError::Broken { .. }), "{error:?}");
    certificates::show(registry.folder.path(), &registry.host());
    sample.push(&registries(settings), &image).unwrap();
}

#[test]
fn nobody_is_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let image = named(&format!("127.0.0.1:{port}"), "app:v1");
    let error = registries(quick_settings()).resolve(&image, &Cancel::default()).unwrap_err();
    let expected = format!("127.0.0.1:{port} cannot be reached: Connection refused (os error 111)");
    assert_eq!(error.to_string(), expected);
}

/// Who come together wait for the token of the first.
#[test]
fn one_token_is_enough_for_many() {
    let Some(registry) = Registry::start(Kind::Token) else { return };
    let (image, registries) = (named(&registry.host(), "app:v1"), registry.registries());
    std::thread::scope(|scope| {
        for size in 0..8 {
            let (registries, image) = (&registries, &image);
            scope.spawn(move || upload(registries, image, &Sample::new(size).layer).unwrap());
        }
    });
    assert_eq!(registry.tokens.as_ref().unwrap().asked().len(), 1);
}

#[test]
fn a_push_of_what_is_there_needs_three_requests() {
    let Some(registry) = Registry::start(Kind::Token) else { return };
    let proxy = Proxy::start(registry.port);
    let (image, sample) = (named(&proxy.host(), "team/app:v1"), Sample::new(10));
    let settings = registry.settings_by(&proxy.host());
    sample.push(&registries(settings.clone()), &image).unwrap();
    proxy.forget();
    let before = registry.tokens.as_ref().unwrap().asked().len();
    let found = registries(settings).resolve(&image, &Cancel::default()).unwrap();
    assert_eq!(found.digest, sample.digest());
    let tokens = registry.tokens.as_ref().unwrap().asked().len() - before;
    assert_eq!((proxy.outcomes(""), tokens), (vec!["HEAD 401".to_owned(), "HEAD 200".to_owned()], 1));
}

/// What was good at the beginning may not be in the middle.
#[test]
fn a_token_that_runs_out_is_replaced() {
    let Some(registry) = Registry::start(Kind::Token) else { return };
    let (image, sample, registries) =
        (named(&registry.host(), "app:v1"), Sample::new(10), registry.registries());
    let tokens = registry.tokens.as_ref().unwrap();
    tokens.live_for(3);
    upload(&registries, &image, &sample.config).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(3100));
    tokens.live_for(300);
    sample.push(&registries, &image).unwrap();
    assert_eq!(tokens.asked().len(), 2);
}

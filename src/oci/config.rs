//! The image configuration as JSON (image-spec, config.md), with what Docker adds to `config`:
//! `Healthcheck`, `Shell`, `OnBuild`. A field without a value is left out.

use oci_spec::image as spec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::digest::OciDigest;
use crate::oci::descriptor::canonical_json;
use crate::oci::error::OciError;
use crate::oci::image::{Config, Healthcheck, HistoryEntry, Platform};

/// What a stored configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub config: Config,
    pub platform: Platform,
    /// Lowest layer first.
    pub diff_ids: Vec<OciDigest>,
}

/// What is told of layers that were made here.
pub struct Made<'m> {
    /// Seconds since 1970.
    pub created: u64,
    /// For each layer, lowest first, what made it; `None` or nothing where that is not told.
    pub by: &'m [Option<String>],
}

pub fn write(config: &Config, platform: &Platform, diff_ids: &[OciDigest], made: &Made<'_>) -> Vec<u8> {
    let created = rfc3339(made.created);
    let mut image = spec::ImageConfiguration::default();
    image.set_created(Some(created.clone()));
    image.set_author(config.author.clone());
    image.set_architecture(spec::Arch::from(platform.architecture.as_str()));
    image.set_os(spec::Os::from(platform.os.as_str()));
    image.set_variant(platform.variant.clone());
    let history = history(config, &created, diff_ids.len(), made.by);
    image.set_history(Some(history.iter().map(written).collect()));
    image.rootfs_mut().set_diff_ids(diff_ids.iter().map(OciDigest::to_string).collect());
    let mut json = serde_json::to_value(&image).expect("bug: a configuration is always JSON");
    let mut runtime = serde_json::to_value(execution(config)).expect("bug: a configuration is always JSON");
    if let (Value::Object(runtime), Value::Object(docker)) = (&mut runtime, docker(config)) {
        runtime.extend(docker);
    }
    if runtime.as_object().is_some_and(|fields| !fields.is_empty()) {
        json["config"] = runtime;
    }
    canonical_json(&json)
}

pub fn read(bytes: &[u8]) -> Result<Stored, OciError> {
    let image: spec::ImageConfiguration = serde_json::from_slice(bytes).map_err(malformed)?;
    let extra: WithDocker = serde_json::from_slice(bytes).map_err(malformed)?;
    let diff_ids = image.rootfs().diff_ids().iter();
    Ok(Stored {
        config: runtime(&image, extra.config.unwrap_or_default()),
        platform: Platform {
            os: image.os().to_string(),
            architecture: image.architecture().to_string(),
            variant: image.variant().clone().filter(|variant| !variant.is_empty()),
        },
        diff_ids: diff_ids
            .map(|text| text.parse().map_err(|_| OciError::BadDigest(text.clone())))
            .collect::<Result<_, _>>()?,
    })
}

/// Docker's additions to the specification's `config`.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DockerConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<DockerHealthcheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shell: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_build: Option<Vec<String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerHealthcheck {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    test: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_period: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_interval: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retries: Option<u64>,
}

#[derive(Deserialize)]
struct WithDocker {
    config: Option<DockerConfig>,
}

fn docker(config: &Config) -> Value {
    let healthcheck = config.healthcheck.as_ref().map(|check| DockerHealthcheck {
        test: filled(check.test.clone()),
        interval: check.interval,
        timeout: check.timeout,
        start_period: check.start_period,
        start_interval: check.start_interval,
        retries: check.retries,
    });
    let docker =
        DockerConfig { healthcheck, shell: config.shell.clone(), on_build: filled(config.onbuild.clone()) };
    serde_json::to_value(docker).expect("bug: a configuration is always JSON")
}

fn execution(config: &Config) -> spec::Config {
    let env = config.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let labels = config.labels.clone().into_iter().collect();
    let mut fields = spec::Config::default();
    fields.set_user(config.user.clone());
    fields.set_exposed_ports(filled(config.ports.iter().cloned().collect()));
    fields.set_env(filled(env));
    fields.set_entrypoint(config.entrypoint.clone());
    fields.set_cmd(config.cmd.clone());
    fields.set_volumes(filled(config.volumes.iter().cloned().collect()));
    fields.set_working_dir(config.workdir.clone());
    fields.set_labels((!config.labels.is_empty()).then_some(labels));
    fields.set_stop_signal(config.stop_signal.clone());
    fields
}

fn runtime(image: &spec::ImageConfiguration, docker: DockerConfig) -> Config {
    let fields = image.config().clone().unwrap_or_default();
    let mut config = Config {
        entrypoint: fields.entrypoint().clone(),
        cmd: fields.cmd().clone(),
        workdir: fields.working_dir().clone().and_then(named),
        user: fields.user().clone().and_then(named),
        shell: docker.shell.and_then(filled),
        labels: fields.labels().clone().unwrap_or_default().into_iter().collect(),
        ports: fields.exposed_ports().clone().unwrap_or_default().into_iter().collect(),
        volumes: fields.volumes().clone().unwrap_or_default().into_iter().collect(),
        stop_signal: fields.stop_signal().clone().and_then(named),
        healthcheck: docker.healthcheck.map(|check| Healthcheck {
            test: check.test.unwrap_or_default(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }),
        onbuild: docker.on_build.unwrap_or_default(),
        author: image.author().clone().and_then(named),
        history: read_history(image),
        env: Vec::new(),
    };
    for definition in fields.env().iter().flatten() {
        let (name, value) = definition.split_once('=').unwrap_or((definition, ""));
        config.set_env(name, value);
    }
    config
}

/// Every layer has an entry (image-spec, config.md, "history"); an image without layers has an empty one.
fn history(config: &Config, created: &str, layers: usize, by: &[Option<String>]) -> Vec<HistoryEntry> {
    let mut entries = config.history.clone();
    let told = entries.iter().filter(|entry| !entry.empty_layer).count();
    entries.extend((told..layers).map(|layer| HistoryEntry {
        created: Some(created.to_owned()),
        created_by: by.get(layer).cloned().flatten(),
        ..HistoryEntry::default()
    }));
    if entries.is_empty() {
        let created = Some(created.to_owned());
        entries.push(HistoryEntry { created, empty_layer: true, ..HistoryEntry::default() });
    }
    entries
}

fn written(entry: &HistoryEntry) -> spec::History {
    let mut written = spec::History::default();
    written.set_created(entry.created.clone());
    written.set_created_by(entry.created_by.clone());
    written.set_author(entry.author.clone());
    written.set_comment(entry.comment.clone());
    written.set_empty_layer(entry.empty_layer.then_some(true));
    written
}

/// Nothing where it does not fit the layers: it could not be gone on with.
fn read_history(image: &spec::ImageConfiguration) -> Vec<HistoryEntry> {
    let entries = image.history().iter().flatten().map(|entry| HistoryEntry {
        created: entry.created().clone(),
        created_by: entry.created_by().clone(),
        author: entry.author().clone(),
        comment: entry.comment().clone(),
        empty_layer: entry.empty_layer().unwrap_or(false),
    });
    let entries: Vec<HistoryEntry> = entries.collect();
    let told = entries.iter().filter(|entry| !entry.empty_layer).count();
    if told == image.rootfs().diff_ids().len() { entries } else { Vec::new() }
}

/// RFC 3339 in UTC; the day from the count of days by Howard Hinnant's `civil_from_days`.
/// Years after 9999 are written as 9999's last second: RFC 3339 has four digits.
fn rfc3339(seconds: u64) -> String {
    const LAST: u64 = 253_402_300_799;
    let seconds = seconds.min(LAST);
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn named(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn malformed(error: serde_json::Error) -> OciError {
    OciError::Malformed { what: "the image's configuration".to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::fixture::full_config;

    fn amd64() -> Platform {
        Platform { os: "linux".into(), architecture: "amd64".into(), variant: None }
    }

    fn made(created: u64) -> Made<'static> {
        Made { created, by: &[] }
    }

    /// A base whose history tells of other layers than it has would put ours beside the wrong ones.
    #[test]
    fn a_history_that_does_not_fit_is_left_out() {
        let entry = |empty_layer| HistoryEntry { empty_layer, ..HistoryEntry::default() };
        let base = Config { history: vec![entry(true), entry(false), entry(true)], ..Config::default() };
        let layers = [OciDigest::of(b"a"), OciDigest::of(b"b")];
        let by = [None, Some("mine".to_owned())];
        let bytes = write(&base, &amd64(), &layers, &Made { created: 0, by: &by });
        let history = read(&bytes).unwrap().config.history;
        let told: Vec<_> =
            history.iter().map(|entry| (entry.empty_layer, entry.created_by.as_deref())).collect();
        assert_eq!(told, [(true, None), (false, None), (true, None), (false, Some("mine"))]);
        let mut json: Value = serde_json::from_slice(&bytes).unwrap();
        json["history"].as_array_mut().unwrap().pop();
        assert_eq!(read(json.to_string().as_bytes()).unwrap().config.history, []);
    }

    #[test]
    fn every_field_comes_back() {
        let platform = Platform { variant: Some("v8".into()), ..amd64() };
        let diff_ids = vec![OciDigest::of(b"a")];
        let stored = Stored { config: full_config(), platform, diff_ids };
        let bytes = write(&stored.config, &stored.platform, &stored.diff_ids, &made(0));
        assert_eq!(read(&bytes).unwrap(), stored);
    }

    #[test]
    fn an_empty_configuration_has_no_empty_fields() {
        let json = String::from_utf8(write(&Config::default(), &amd64(), &[], &made(315_532_800))).unwrap();
        assert_eq!(
            json,
            r#"{"architecture":"amd64","created":"1980-01-01T00:00:00Z","history":[{"created":"1980-01-01T00:00:00Z","empty_layer":true}],"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
        );
    }

    #[test]
    fn golden() {
        let made =
            Made { created: 1_000_000_000, by: &[None, None, Some("run build # memobuild".to_owned())] };
        let bytes = write(
            &full_config(),
            &amd64(),
            &["", "a", "b"].map(|text| OciDigest::of(text.as_bytes())),
            &made,
        );
        insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
    }

    #[test]
    fn nulls_and_unknown_fields_of_other_writers_are_read() {
        let json = r#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":["sh"],"Volumes":null,
            "OnBuild":null,"Healthcheck":{"Test":["NONE"]},"Image":"","User":"","Labels":null},
            "container_config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;
        let stored = read(json.as_bytes()).unwrap();
        assert_eq!(stored.config.cmd, Some(vec!["sh".to_owned()]));
        assert_eq!(stored.config.healthcheck.unwrap().test, ["NONE"]);
        assert_eq!(stored.config.user, None);
    }

    #[test]
    fn moments() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (315_532_800, "1980-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), expected);
        }
    }
}

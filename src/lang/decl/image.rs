//! `image`: layers and configuration, ready to be exported.

mod rows;

use std::collections::BTreeMap;

use crate::graph::image_settings::{ConfigEdit, Edit, ImageSettings};
use crate::graph::op::{Assemble, Composition, From, Op};
use crate::graph::value::Type;
use crate::lang::code::Code;
use crate::lang::decl::place;
use crate::lang::decl::tree::has_root;
use crate::lang::decl::{Declaration, Edges, Outputs};
use crate::lang::item::{Given, Item};
use crate::lang::mistake::{Findings, Mistake};
use crate::oci::image::{Compression, Format, Healthcheck, Packing};

pub use rows::{LINE, PLATFORMS};

pub const KIND: Declaration = Declaration { line: &LINE, check, outputs, lower, is_of_a_platform: true };

/// The greatest level of gzip, and of zstd without `--ultra`.
const GZIP_LEVELS: std::ops::RangeInclusive<i64> = 0..=9;
const ZSTD_LEVELS: std::ops::RangeInclusive<i64> = 1..=22;

fn outputs(_: &Item) -> Outputs {
    Outputs::only("image", Type::Image)
}

fn check(item: &Item, findings: &mut Findings) {
    check_platform(item, findings);
    let has_root = has_root(item);
    for line in item.body.iter().flat_map(|line| std::iter::once(line).chain(&line.body)) {
        place::check(line, has_root, findings);
    }
    if let Some(onbuild) = item.only("onbuild")
        && format(item) == Format::Oci
    {
        let message = "images of the OCI format have no `onbuild`";
        let help = "add: format docker";
        findings
            .add(Mistake::new(Code::ImageOnbuild, message, help).at(onbuild.word.clone(), "would be lost"));
    }
    if let Some(compress) = item.only("compress") {
        check_level(compress, findings);
    }
    if let Some(healthcheck) = item.only("healthcheck") {
        check_health(healthcheck, findings);
    }
}

/// What stands on another platform's root cannot be said to be for several.
fn check_platform(item: &Item, findings: &mut Findings) {
    let from = item.only("from").and_then(|line| line.property("platform"));
    if let Some(given) = from.filter(|given| given.text() == Some("build"))
        && let Some(platforms) = item.only("platforms")
    {
        let message = "an image for these platforms cannot stand on a root of the build platform";
        let help = "remove `platform=build`: an image only holds files, and executes nothing";
        let mistake =
            Mistake::new(Code::TypePlatform, message, help).at(given.span.clone(), "another platform");
        findings.add(mistake.at(platforms.word.clone(), "asked for here"));
    }
}

fn check_level(compress: &Item, findings: &mut Findings) {
    let Some(level) = compress.property("level") else { return };
    let Some(number) = level.int() else { return };
    let (fits, help) = match compress.text() {
        Some("gzip") => (GZIP_LEVELS.contains(&number), "gzip has the levels 0 to 9"),
        Some("zstd") => (ZSTD_LEVELS.contains(&number), "zstd has the levels 1 to 22"),
        _ => (false, "without compression there is no level: remove it"),
    };
    if !fits {
        let message = format!("there is no level {number} here");
        findings
            .add(Mistake::new(Code::ImageCompress, message, help).at(level.span.clone(), "no such level"));
    }
}

fn check_health(healthcheck: &Item, findings: &mut Findings) {
    let commands = healthcheck.body.len();
    let stated = !healthcheck.arguments.is_empty();
    if (stated && commands + healthcheck.properties.len() > 0) || (!stated && commands != 1) {
        let message = "a health check has exactly one command, or is `none`";
        let help = "healthcheck { exec \"/app\" \"--health\"; }, or: healthcheck none";
        let label = if stated { "is `none`, and more" } else { "not one command" };
        findings.add(Mistake::new(Code::ImageHealthcheck, message, help).at(healthcheck.word.clone(), label));
    }
}

fn lower(item: &Item, edges: &mut Edges<'_>) -> Op {
    let from = edges.from(item).unwrap_or(From::Scratch);
    let mut layers = Vec::new();
    for line in item.body.chunk_by(place::is_one_line) {
        if line[0].line.word == "layer" {
            layers.push(place::lower_all(&line[0].body, edges));
        } else if place::is_place(&line[0]) {
            layers.push(place::lower(line, edges));
        }
    }
    Op::Assemble(Assemble { from, layers, result: Composition::Image(Box::new(settings(item))) })
}

fn settings(item: &Item) -> ImageSettings {
    let annotations = |on: &str| -> BTreeMap<String, String> {
        let of = |line: &Item| line.property("on").and_then(Given::text).unwrap_or("manifest").to_owned();
        let lines = item.each("annotation").filter(|line| of(line) == on);
        lines
            .flat_map(Item::assignments)
            .filter(|(key, _)| key != "on")
            .filter_map(|(key, value)| Some((key, value?.known().to_owned())))
            .collect()
    };
    ImageSettings {
        names: item.each("name").flat_map(Item::texts).collect(),
        config: config(item),
        annotations: annotations("manifest"),
        index_annotations: annotations("index"),
        descriptor_annotations: annotations("descriptor"),
        packing: Packing { format: format(item), compression: compression(item) },
        created: item.only("created").and_then(|line| line.argument(0)?.time()),
        squash: item.only("squash").is_some(),
    }
}

fn config(item: &Item) -> ConfigEdit {
    ConfigEdit {
        env: item.each("env").flat_map(Item::assignments).collect(),
        labels: item.each("label").flat_map(Item::assignments).collect(),
        entrypoint: edit(item, "entrypoint", |line| Some(line.texts())),
        cmd: edit(item, "cmd", |line| Some(line.texts())),
        workdir: edit(item, "workdir", |line| Some(line.argument(0)?.path()?.to_string())),
        user: edit(item, "user", text),
        shell: edit(item, "shell", |line| Some(line.texts())),
        stop_signal: edit(item, "stop-signal", text),
        healthcheck: edit(item, "healthcheck", healthcheck),
        author: edit(item, "author", text),
        ports: item.each("expose").flat_map(ports).collect(),
        volumes: item.each("volume").flat_map(volumes).collect(),
        onbuild: item.each("onbuild").flat_map(Item::texts).collect(),
    }
}

/// A line that sets, or with `#null` removes.
fn edit<T>(item: &Item, word: &str, value: impl Fn(&Item) -> Option<T>) -> Option<Edit<T>> {
    let line = item.only(word)?;
    match line.argument(0) {
        Some(given) if given.is_null() => Some(Edit::Remove),
        _ => value(line).map(Edit::Set),
    }
}

fn text(line: &Item) -> Option<String> {
    line.text().map(str::to_owned)
}

fn ports(line: &Item) -> Vec<String> {
    let protocol = line.property("protocol").and_then(Given::text).unwrap_or("tcp");
    line.arguments.iter().filter_map(Given::int).map(|port| format!("{port}/{protocol}")).collect()
}

fn volumes(line: &Item) -> impl Iterator<Item = String> {
    line.arguments.iter().filter_map(|given| given.path().map(ToString::to_string))
}

fn healthcheck(line: &Item) -> Option<Healthcheck> {
    if line.text() == Some("none") {
        return Some(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() });
    }
    let command = line.body.first()?;
    let form = if command.line.word == "exec" { "CMD" } else { "CMD-SHELL" };
    let duration = |name: &str| line.property(name).and_then(Given::duration);
    Some(Healthcheck {
        test: std::iter::once(form.to_owned()).chain(command.texts()).collect(),
        interval: duration("interval"),
        timeout: duration("timeout"),
        start_period: duration("start-period"),
        start_interval: duration("start-interval"),
        retries: line.property("retries").and_then(Given::int).and_then(|count| u64::try_from(count).ok()),
    })
}

fn format(item: &Item) -> Format {
    match item.text_of("format").as_deref() {
        Some("docker") => Format::Docker,
        _ => Format::Oci,
    }
}

fn compression(item: &Item) -> Compression {
    let Some(line) = item.only("compress") else { return Packing::DEFAULT.compression };
    let level = line.property("level").and_then(Given::int);
    match line.text() {
        Some("none") => Compression::None,
        Some("zstd") => {
            Compression::Zstd { level: level.and_then(|level| level.try_into().ok()).unwrap_or(3) }
        }
        _ => Compression::Gzip { level: level.and_then(|level| level.try_into().ok()).unwrap_or(6) },
    }
}

//! The rows of `image` in the table.

use crate::lang::decl::place::{COPY, DIR, EXTRACT, FILE, MERGE, REMOVE, SYMLINK};
use crate::lang::decl::tree::FROM;
use crate::lang::table::{Holds, Line, Often, Slot, may, maybe, one, some};

pub const LINE: Line = Line {
    word: "image",
    doc: "An OCI image: what it stands on, layers, configuration.",
    example: "image app {\n    from base\n    copy build.dist to=\"/app\"\n    entrypoint \"/app/server\"\n}",
    arguments: &[one("NAME", Slot::Name)],
    body: &[
        &NAME,
        &FROM,
        &PLATFORMS,
        &LAYER,
        &COPY,
        &EXTRACT,
        &MERGE,
        &FILE,
        &DIR,
        &SYMLINK,
        &REMOVE,
        &ENV,
        &LABEL,
        &ANNOTATION,
        &ENTRYPOINT,
        &CMD,
        &WORKDIR,
        &USER,
        &SHELL,
        &EXPOSE,
        &VOLUME,
        &STOP_SIGNAL,
        &AUTHOR,
        &ONBUILD,
        &HEALTHCHECK,
        &CREATED,
        &FORMAT,
        &COMPRESS,
        &SQUASH,
    ],
    holds: Holds::Node,
    ..Line::EMPTY
};

/// Also of `test`.
pub const PLATFORMS: Line = Line {
    word: "platforms",
    doc: "The platforms that it is made for, under one index where they are several; default: the one that is asked for.",
    example: "platforms \"linux/amd64\" \"linux/arm64\"",
    often: Often::Maybe,
    arguments: &[some("OS/ARCH", Slot::Platform)],
    ..Line::EMPTY
};

const NAME: Line = Line {
    word: "name",
    doc: "References that it gets, all of them, wherever it goes under no other: in layouts their tags.",
    example: "name \"example.org/app:1.2\"",
    arguments: &[some("TEXT", Slot::Text)],
    ..Line::EMPTY
};

const LAYER: Line = Line {
    word: "layer",
    doc: "One layer. A line that composes files, outside of a `layer`, is a layer by itself.",
    example: "layer deps { copy deps.modules to=\"/app/node_modules\"; }",
    arguments: &[one("NAME", Slot::Name)],
    body: &[&COPY, &EXTRACT, &MERGE, &FILE, &DIR, &SYMLINK, &REMOVE],
    ..Line::EMPTY
};

const ENV: Line = Line {
    word: "env",
    doc: "Environment variables of whatever runs on the image; `#null` removes an inherited one.",
    example: "env NODE_ENV=\"production\" DEBUG=#null",
    free: Some(Slot::Late),
    removable: true,
    ..Line::EMPTY
};

const LABEL: Line = Line {
    word: "label",
    doc: "Labels of the configuration; `#null` removes an inherited one.",
    example: "label org.opencontainers.image.licenses=\"MIT\"",
    free: Some(Slot::Late),
    removable: true,
    ..Line::EMPTY
};

const ANNOTATION: Line = Line {
    word: "annotation",
    doc: "Annotations: of the manifest, of the index over all platforms, or of the manifest's entry in it.",
    example: "annotation org.opencontainers.image.title=\"app\"",
    properties: &[may(
        "on",
        Slot::Word(&["manifest", "index", "descriptor"]),
        "What is annotated; default `manifest`.",
    )],
    free: Some(Slot::Text),
    ..Line::EMPTY
};

const ENTRYPOINT: Line = Line {
    word: "entrypoint",
    doc: "The program that the image runs; clears an inherited `cmd`.",
    example: "entrypoint \"/app/server\"",
    often: Often::Maybe,
    arguments: &[some("ARGV", Slot::Text)],
    removable: true,
    ..Line::EMPTY
};

const CMD: Line = Line {
    word: "cmd",
    doc: "The arguments that a caller may replace.",
    example: "cmd \"--port\" \"8080\"",
    often: Often::Maybe,
    arguments: &[some("ARGV", Slot::Text)],
    removable: true,
    ..Line::EMPTY
};

const WORKDIR: Line = Line {
    word: "workdir",
    doc: "The folder it starts in.",
    example: "workdir \"/app\"",
    often: Often::Maybe,
    arguments: &[one("PATH", Slot::Path)],
    removable: true,
    ..Line::EMPTY
};

const USER: Line = Line {
    word: "user",
    doc: "The user it runs as.",
    example: "user \"1000:1000\"",
    often: Often::Maybe,
    arguments: &[one("TEXT", Slot::Text)],
    removable: true,
    ..Line::EMPTY
};

const SHELL: Line = Line {
    word: "shell",
    doc: "The shell of `sh` in runs on the image.",
    example: "shell \"/bin/bash\" \"-c\"",
    often: Often::Maybe,
    arguments: &[some("ARGV", Slot::Text)],
    removable: true,
    ..Line::EMPTY
};

const EXPOSE: Line = Line {
    word: "expose",
    doc: "Ports that it listens on.",
    example: "expose 8080 protocol=udp",
    arguments: &[some("PORT", Slot::Int { min: 1, max: 65535 })],
    properties: &[may("protocol", Slot::Word(&["tcp", "udp", "sctp"]), "Default `tcp`.")],
    ..Line::EMPTY
};

const VOLUME: Line = Line {
    word: "volume",
    doc: "Folders that hold data.",
    example: "volume \"/data\"",
    arguments: &[some("PATH", Slot::Path)],
    ..Line::EMPTY
};

const STOP_SIGNAL: Line = Line {
    word: "stop-signal",
    doc: "The signal that ends it.",
    example: "stop-signal \"SIGTERM\"",
    often: Often::Maybe,
    arguments: &[one("TEXT", Slot::Text)],
    removable: true,
    ..Line::EMPTY
};

const AUTHOR: Line = Line {
    word: "author",
    doc: "Who made it.",
    example: "author \"Jo <jo@example.org>\"",
    often: Often::Maybe,
    arguments: &[one("TEXT", Slot::Text)],
    removable: true,
    ..Line::EMPTY
};

const ONBUILD: Line = Line {
    word: "onbuild",
    doc: "A Dockerfile line for images built on this one (docker format only).",
    example: "onbuild \"RUN make\"",
    arguments: &[one("TEXT", Slot::Script)],
    ..Line::EMPTY
};

const HEALTHCHECK: Line = Line {
    word: "healthcheck",
    doc: "How to see that it works; `none` switches an inherited one off.",
    example: "healthcheck interval=\"30s\" retries=3 {\n    exec \"/app/server\" \"--health\"\n}",
    often: Often::Maybe,
    arguments: &[maybe("none", Slot::Word(&["none"]))],
    properties: &[
        may("interval", Slot::Duration, "Between two checks."),
        may("timeout", Slot::Duration, "How long one may take."),
        may("start-period", Slot::Duration, "At the start, when failures do not count."),
        may("start-interval", Slot::Duration, "Between two checks at the start."),
        may("retries", Slot::Int { min: 1, max: 1_000_000 }, "How many failures in a row count."),
    ],
    removable: true,
    body: &[&HEALTH_EXEC, &HEALTH_SH],
    ..Line::EMPTY
};

const HEALTH_EXEC: Line = Line {
    word: "exec",
    doc: "The command: program and arguments.",
    example: "exec \"/app/server\" \"--health\"",
    arguments: &[some("ARGV", Slot::Text)],
    ..Line::EMPTY
};

const HEALTH_SH: Line = Line {
    word: "sh",
    doc: "The command, for the image's shell.",
    example: "sh \"test -e /run/ready\"",
    arguments: &[one("SCRIPT", Slot::Script)],
    ..Line::EMPTY
};

const CREATED: Line = Line {
    word: "created",
    doc: "The time that the image says it was made; part of its digest.",
    example: "created epoch",
    often: Often::Maybe,
    arguments: &[one("TIME", Slot::Time)],
    ..Line::EMPTY
};

const FORMAT: Line = Line {
    word: "format",
    doc: "The media types: `oci` (default) or `docker`.",
    example: "format docker",
    often: Often::Maybe,
    arguments: &[one("FORMAT", Slot::Word(&["oci", "docker"]))],
    ..Line::EMPTY
};

const COMPRESS: Line = Line {
    word: "compress",
    doc: "How layers are packed; default gzip of level 6.",
    example: "compress zstd level=3",
    often: Often::Maybe,
    arguments: &[one("COMPRESSION", Slot::Word(&["none", "zstd", "gzip"]))],
    properties: &[may("level", Slot::Int { min: 0, max: 22 }, "zstd 1 to 22, gzip 0 to 9.")],
    ..Line::EMPTY
};

const SQUASH: Line = Line {
    word: "squash",
    doc: "All layers become one.",
    example: "squash",
    often: Often::Maybe,
    ..Line::EMPTY
};
